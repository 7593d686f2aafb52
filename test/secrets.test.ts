// Where secrets are not: state, previews, inspect, environments, command lines, logs, image history, other people's volumes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { docker, inspect, logs, named } from "./support/docker.ts";
import { removeSites, roles, Site, type Role } from "./support/site.ts";
import { until } from "./support/wait.ts";

interface Secret {
  readonly what: string;
  /** Texts that give it away: itself, or lines of it. */
  readonly needles: readonly string[];
  /** Volumes that hold it, by the end of their names. */
  readonly volumes: readonly string[];
}

let site: Site;
let configuration: string[];
/** Everything that Pulumi has printed. */
let printed = "";
const secrets: Secret[] = [];

/** A secret in every form in which tools of this stack carry texts. */
function secret(what: string, text: string, ...volumes: readonly string[]): Secret {
  const pem = /-----BEGIN [^\n]*PRIVATE KEY-----\n([\s\S]+?)\n-----END/.exec(text)?.[1]?.split("\n");
  const texts = pem === undefined ? [text.trim()] : pem.filter((line) => line.length > 40);
  assert.ok(texts.length > 0 && texts.every((line) => line.length >= 16), `${what} is long enough to be searched for`);
  const encoded = texts.flatMap((line) => [0, 1, 2].map((shift) => inBase64(line, shift)));
  return { what, needles: [...texts, ...encoded], volumes };
}

/** What base64 makes of a text that begins `shift` bytes after a group of three, without what its neighbours change. */
function inBase64(text: string, shift: number): string {
  const encoded = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString("base64");
  return encoded.slice(shift === 0 ? 0 : 4, -4);
}

/** `place: secret` for everything in the text that should not be there. */
function found(place: string, text: string, allowed: (one: Secret) => boolean = () => false): string[] {
  return secrets
    .filter((one) => !allowed(one) && one.needles.some((needle) => text.includes(needle)))
    .map(({ what }) => `${place}: ${what}`);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((path) => statSync(path).isFile());
}

const inAcme = (script: string): Promise<string> => site.exec("acme", "sh", "-c", script);

/** A command's whole output as Latin-1, which keeps every byte. */
function output(command: string, ...args: readonly string[]): { readonly text: Promise<string>; stop(): void } {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const text = new Promise<string>((resolve) =>
    child.once("close", () => resolve(Buffer.concat(chunks).toString("latin1"))),
  );
  return { text, stop: () => void child.kill() };
}

/** Command lines of everything that runs in a container, and environments of what its root may look at, over and over. */
function processes(role: Role): ReturnType<typeof output> {
  const script = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; sleep 0.02; done 2>/dev/null";
  return output("docker", "exec", "--user", "0", site.containers[role], "sh", "-c", script);
}

describe("secrets", () => {
  before(async () => {
    site = await Site.prepare("secrets");
    const { cloudflare } = site.lab;
    const { config } = site.stack;
    const healthToken = randomBytes(24).toString("hex");
    const mailboxes = config["vectis:mailboxes"] as { address: string; passwordHash: string }[];
    configuration = site.stack.withConfig({
      "vectis:tls": { ...(config["vectis:tls"] as object), challenge: "dns-01" },
      "vectis:mailboxes": mailboxes.map(({ address }) => ({ address })),
      "cloudflare:apiToken": undefined,
    });
    const set = (key: string, value: string) =>
      site.stack.pulumi("config", "set", "--secret", "--path", key, value, ...configuration);
    await set("cloudflare:apiToken", cloudflare.deploymentToken);
    await set("vectis:healthToken", healthToken);
    for (const [index, { passwordHash }] of mailboxes.entries())
      await set(`vectis:mailboxes[${index}].passwordHash`, passwordHash);
    printed += await site.stack.pulumi("preview", "--diff", ...configuration);
    printed += await site.up(...configuration);
    await site.asExpected();
    await site.healthy();

    secrets.push(
      ...mailboxes.map(({ address, passwordHash }) => secret(`password hash of ${address}`, passwordHash)),
      secret("deployment token", cloudflare.deploymentToken),
      secret("health token", healthToken),
      secret("challenge token", await inAcme("cat /etc/vectis/secrets/cloudflare-token")),
      secret("key of the ACME account", await inAcme("cat /acme.sh/*/ca/*/*/account.key"), "acme-home"),
      secret("key of the mail certificate", await inAcme("cat /etc/ssl/mail/privkey.pem"), "acme-home", "mail-certs"),
      secret("keys of Traefik", await traefikKeys(), "traefik-acme"),
    );
  });
  after(() => removeSites("secrets"));

  it("are read by those who need them only", async () => {
    const { Config } = await inspect(site.containers.acme);
    assert.ok(
      Config.Env?.some((line) => line.startsWith("CERTD_CONFIG=")),
      "settings travel openly",
    );
    assert.equal(await inAcme("stat -c '%a %u' /etc/vectis/secrets/cloudflare-token"), "600 0");
    assert.equal(await inAcme("stat -c %a /acme.sh"), "700");
    assert.equal(
      await inAcme("find /acme.sh -type f ! -name .lock -perm /077"),
      "",
      "everything in acme.sh's home is 0600",
    );
  });

  it("are not in the state, the configuration, previews, updates and outputs", async () => {
    const [, file = ""] = configuration;
    const files = [...filesBelow(join(site.stack.folder, ".state")), file];
    assert.ok(
      files.some((file) => file.endsWith("test.json")),
      `the state is among ${files.join(", ")}`,
    );
    const again = await site.stack.run("preview", "--diff", "--refresh", ...configuration);
    const json = await site.stack.pulumi("preview", "--json", ...configuration);
    const outputs = await site.stack.pulumi("stack", "output", "--json");
    const exported = await site.stack.pulumi("stack", "export");
    assert.deepEqual(
      [
        ...files.flatMap((file) => found(file, readFileSync(file, "latin1"))),
        ...found("preview and update", printed + again.stdout + again.stderr + json),
        ...found("outputs", outputs + exported),
      ],
      [],
    );
  });

  it("are in no command line and no environment, also while a certificate is ordered", async () => {
    await site.lab.cloudflare.fault({ delay: 200 });
    const watched = roles.map((role) => ({ role, samples: processes(role) }));
    try {
      await site.forceRenewal();
    } finally {
      await site.lab.cloudflare.heal();
      for (const { samples } of watched) samples.stop();
    }
    const texts = await Promise.all(watched.map(async ({ role, samples }) => [role, await samples.text] as const));
    const [, ofAcme = ""] = texts.find(([role]) => role === "acme") ?? [];
    assert.match(
      ofAcme,
      /api\.cloudflare\.com\/client\/v4\/zones\/[^\0]*dns_records/,
      "calls of the API were among them",
    );
    assert.deepEqual(
      texts.flatMap(([role, text]) => found(`processes of ${role}`, text)),
      [],
    );
  });

  it("are in no container's or image's metadata, and in no log", async () => {
    await until("a new generation in the log", async () =>
      /is served on every port/.test(await logs(site.containers.acme)),
    );
    const places = await Promise.all(
      roles.map(async (role) => {
        const container = site.containers[role];
        const { Image } = await inspect(container);
        return found(
          role,
          (await docker("container", "inspect", container)) +
            (await docker("image", "inspect", Image)) +
            (await docker("history", "--no-trunc", Image)) +
            (await logs(container)),
        );
      }),
    );
    const lab = await docker("network", "inspect", site.name);
    assert.deepEqual([...places.flat(), ...found("network", lab)], []);
  });

  it("are in no volume but their own", async () => {
    const { Image } = await inspect(site.containers.acme);
    const volumes = await named("volume", site.name);
    assert.ok(volumes.length >= 7);
    const seen: string[] = [];
    const strays: string[] = [];
    for (const volume of volumes) {
      const mount = `${volume}:/volume:ro`;
      const tar = ["run", "--rm", "--volume", mount, "--entrypoint", "tar", Image, "-c", "/volume"];
      const text = await output("docker", ...tar).text;
      assert.ok(text.length > 1_000, `${volume} was read`);
      const belongs = ({ volumes: own }: Secret) => own.some((end) => volume.endsWith(`-${end}`));
      strays.push(...found(volume, text, belongs));
      seen.push(...found("", text).filter((one) => one !== ""));
    }
    assert.deepEqual(strays, []);
    // The search does find what is there.
    for (const what of ["key of the ACME account", "key of the mail certificate", "keys of Traefik"])
      assert.ok(seen.includes(`: ${what}`), what);
  });
});

/** What acme.json holds is base64 of DER or PEM: the texts are searched for as they are there. */
async function traefikKeys(): Promise<string> {
  const text = await site.exec("traefik", "cat", "/etc/traefik/acme/acme.json");
  const store = Object.values(JSON.parse(text) as Record<string, { Certificates: { key: string }[] | null }>);
  const key = store.flatMap(({ Certificates }) => Certificates ?? [])[0]?.key ?? "";
  return Buffer.from(key, "base64").toString("utf8");
}
