// Faults of the daemons, their followers and certd.
import { certd, follower, renewable, signal } from "./breakage.ts";
import { docker, inspect } from "../support/docker.ts";
import { says, type Fault, type Scene, type Shown } from "./rehearsal.ts";
import type { Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

const postfixPorts = [25, 465, 587] as const;
const dovecotPorts = [993, 995] as const;

const differs = (...ports: readonly number[]): Shown =>
  says(
    `not-served: ${ports.join(", ")}`,
    ({ state, ports: all }) =>
      state === "not-served" && ports.every((port) => all.some((one) => one.port === port && !one.ok)),
  );

/** Renews with the guide's command and waits until that is published; `ordered` is called when the certificate is there. */
async function renew(site: Site, ordered = (): void => {}): Promise<void> {
  await renewable(site);
  const before = await site.publishedSerial();
  await site.forceRenewal();
  ordered();
  await until("the renewal published", async () => (await site.publishedSerial()) !== before);
}

/** A renewal is tried in spite of the fault; resolves with its publication. */
function renewing(title: string, begin: (scene: Scene) => Promise<unknown>): Fault {
  return {
    title,
    inject: async (scene) => {
      await renewable(scene.site);
      await begin(scene);
      await renew(scene.site, scene.begins);
    },
  };
}

const both = async (site: Site, name: string, pattern: string): Promise<void> => {
  for (const role of ["postfix", "dovecot"] as const) await signal(site, role, name, pattern);
};

const dovecotConfig = "/run/vectis/dovecot.conf";

export const daemonFaults: readonly Fault[] = [
  {
    ...renewing("both followers are frozen while a renewal is published", ({ site }) => both(site, "STOP", follower)),
    shows: differs(993, 995),
    heal: ({ site }) => both(site, "CONT", follower),
    alerts: ["VectisPortWrong"],
  },
  renewing("both followers are killed, and a renewal is published", ({ site }) => both(site, "KILL", follower)),
  {
    ...renewing("Dovecot refuses to reload while a renewal is published", ({ site }) =>
      site.exec(
        "dovecot",
        "sh",
        "-c",
        `cp ${dovecotConfig} /run/vectis/kept.conf; echo 'nonsense {' >>${dovecotConfig}`,
      ),
    ),
    shows: differs(...dovecotPorts),
    heal: ({ site }) => site.exec("dovecot", "sh", "-c", `cat /run/vectis/kept.conf >${dovecotConfig}`),
    alerts: ["VectisPortWrong"],
  },
  {
    ...renewing(
      "the main processes of Postfix and Dovecot are frozen (SIGSTOP) while a renewal is published",
      ({ volumes }) => volumes.signalMain("STOP", "postfix", "dovecot"),
    ),
    shows: differs(993, 995),
    heal: ({ volumes }) => volumes.signalMain("CONT", "postfix", "dovecot"),
    stops: [...postfixPorts, ...dovecotPorts],
    alerts: ["VectisPortWrong"],
  },
  {
    title: "Postfix's main process is frozen (SIGSTOP) until all of its ports are silent, and longer",
    long: true,
    shows: differs(...postfixPorts),
    inject: async ({ volumes, load, begins }) => {
      await volumes.signalMain("STOP", "postfix");
      const last = (port: number): number => Math.max(...[...load.serialsOn(port).values()].map(({ last }) => last));
      const silent = (): boolean => postfixPorts.every((port) => Date.now() - last(port) > 3_000);
      await until("silence", () => Promise.resolve(silent()), { deadline: 60 });
      begins();
    },
    heal: ({ volumes }) => volumes.signalMain("CONT", "postfix"),
    stops: postfixPorts,
    alerts: ["VectisPortWrong"],
    orders: 0,
  },
  {
    title: "Dovecot crashes",
    stops: dovecotPorts,
    inject: ({ volumes }) => volumes.signalMain("KILL", "dovecot"),
    orders: 0,
  },
  {
    title: "Postfix crashes",
    stops: postfixPorts,
    inject: ({ volumes }) => volumes.signalMain("KILL", "postfix"),
    orders: 0,
  },
  {
    title: "Postfix and Dovecot crash at the moment of a switch",
    stops: [...postfixPorts, ...dovecotPorts],
    inject: async ({ site, volumes, begins }) => {
      await renewable(site);
      const before = await site.generation();
      const renewal = site.forceRenewal();
      await until("the switch", async () => (await site.generation()) !== before, { interval: 20 });
      begins();
      await volumes.signalMain("KILL", "postfix", "dovecot");
      await renewal;
    },
    orders: 1,
  },
  {
    title: "certd is killed ten times during a renewal",
    inject: async ({ site }) => {
      await renewable(site);
      const renewal = renew(site);
      for (let kill = 0; kill < 10; kill++) {
        await until("certd running", () => signal(site, "acme", "KILL", certd), { interval: 100 });
      }
      await renewal;
    },
    orders: 1,
  },
  {
    title: "certd is frozen (SIGSTOP) while a person renews",
    shows: { words: "no answer", when: ({ health }) => health === undefined },
    inject: async ({ site, begins }) => {
      await renewable(site);
      await signal(site, "acme", "STOP", certd);
      begins();
      await site.forceRenewal();
    },
    heal: ({ site }) => signal(site, "acme", "CONT", certd),
    alerts: ["VectisUnreachable"],
    orders: 1,
  },
  {
    title: "a second certd is started on the same volumes, and a renewal is published",
    inject: async (scene) => {
      const { site, begins } = scene;
      const { Image: image, Config, Mounts } = await inspect(site.containers.acme);
      const twin = `${site.name}-twin`;
      scene.finally(() => docker("rm", "--force", twin));
      const volumes = Mounts.filter(({ Type }) => Type === "volume").flatMap(({ Name, Destination }) => [
        "--volume",
        `${Name}:${Destination}`,
      ]);
      const settings = (Config.Env ?? []).filter((env) => env.startsWith("CERTD_")).flatMap((env) => ["--env", env]);
      const where = ["--network", site.lab.name, "--tmpfs", "/run"];
      await docker("run", "--detach", "--name", twin, ...where, ...volumes, ...settings, image);
      await until("the second to wait", async () => (await docker("logs", twin)).includes("Another certd uses"));
      begins();
      await renew(site);
      if ((await docker("logs", twin)).includes("certd looks after")) throw new Error("two certds were at work");
    },
    orders: 1,
  },
];
