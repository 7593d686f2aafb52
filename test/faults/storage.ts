// Faults of the volumes: full, read-only, emptied, and files that are not what they should be.
import type { SmallVolume } from "./breakage.ts";
import { says, type Fault, type Scene, type Shown } from "./rehearsal.ts";
import { wantCertificate } from "./ca.ts";

const publicationFails = says("why nothing can be published", ({ failing }) => failing.includes("publish"));

const cannotWrite = says(
  "what cannot be written",
  ({ failing }) => failing.includes("work") || failing.includes("fault"),
);

/** Something that cannot be written while certd renews; it does when it can again. */
function unwritable(
  title: string,
  shows: Shown,
  { begin, end }: { begin: (scene: Scene) => Promise<unknown>; end: (scene: Scene) => Promise<unknown> },
): Fault {
  let before = "";
  return {
    title,
    shows,
    inject: async (scene) => {
      before = await scene.site.publishedSerial();
      await wantCertificate(scene.site);
      scene.begins();
      await begin(scene);
    },
    heal: end,
    over: async ({ site }) => (await site.publishedSerial()) !== before,
    alerts: ["VectisCannotPublish"],
  };
}

const readOnly = (volume: SmallVolume, shows: Shown): Fault =>
  unwritable(`the volume ${volume} is read-only while certd renews`, shows, {
    begin: ({ volumes }) => volumes.remount(volume, "ro"),
    end: ({ volumes }) => volumes.remount(volume, "rw"),
  });

const pairIsWhole =
  "cat current/privkey.pem current/fullchain.pem | cmp - current/keychain.pem && openssl x509 -noout -checkend 0 -in fullchain.pem";

/** Damage to published files, done by a script in the sidecar; certd repairs it. */
function damage(title: string, script: string, whole = pairIsWhole): Fault {
  return {
    title,
    over: async ({ site }) => site.exec("acme", "sh", "-euc", `cd /etc/ssl/mail; ${whole}`).then(() => true),
    orders: 0,
    inject: async ({ site, begins }) => {
      begins();
      await site.exec("acme", "sh", "-euc", `cd /etc/ssl/mail; ${script}`);
    },
  };
}

export const storageFaults: readonly Fault[] = [
  unwritable("the disk is full while certd renews", cannotWrite, {
    begin: ({ volumes }) => volumes.fill(),
    end: ({ volumes }) => volumes.empty(),
  }),
  readOnly("mail-certs", publicationFails),
  { ...readOnly("acme-home", cannotWrite), long: true },
  damage("everything in the volume mail-certs is deleted", "rm -rf ./* ./.[a-z]*"),
  damage(
    "everything in the volume acme-home is deleted",
    "rm -rf /acme.sh/* /acme.sh/.[a-z]*",
    "ls /acme.sh/*/certd.json",
  ),
  damage("the published key is overwritten", "echo rubbish >current/privkey.pem"),
  damage("the published keychain.pem is cut off in the middle", "truncate -s 400 current/keychain.pem"),
  damage(
    "the published chain is that of another generation",
    'for other in generations/*; do [ "$other" = "$(readlink current)" ] || cat "$other/fullchain.pem" >current/fullchain.pem; done',
  ),
  damage("the link current names a generation that is not there", "ln -sfn generations/999999 current"),
  damage("the link current is deleted", "rm current"),
  damage(
    "everything in Traefik's watched folder is deleted",
    "rm -rf /etc/traefik/dynamic/*",
    "cat /etc/traefik/dynamic/vectis.yml",
  ),
  damage(
    "half-written generations lie about",
    "mkdir generations/.new-000098 generations/000099; head -c 100 current/privkey.pem | tee generations/.new-000098/privkey.pem >generations/000099/privkey.pem",
  ),
  damage(
    "the link current is set back to an older generation",
    'ln -sfn "$(ls -d generations/0* | head -n 1)" current',
  ),
];
