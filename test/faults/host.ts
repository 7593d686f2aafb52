// Faults of the host: its clock, restarts in any order, what is restored from older copies.
import { join } from "node:path";
import { projectRoot } from "../../cli/stack.ts";
import { follower, renewable, signal } from "./breakage.ts";
import { docker } from "../support/docker.ts";
import { says, type Fault, type Scene } from "./rehearsal.ts";
import { roles, type Role, type Site } from "../support/site.ts";
import { until } from "../support/wait.ts";
import { ageFailure, wantCertificate } from "./ca.ts";

const everyPort = [25, 443, 465, 587, 993, 995] as const;
const library = "/usr/local/lib/libfaketime.so.1";
/** What libfaketime reads the shift from, at most a second late. */
const shift = "/usr/local/lib/clock";

/**
 * Gives certd and the followers a clock that can be shifted while they run; timers that count from the boot stay right, as on a
 * real machine. Postfix, Dovecot and Traefik, whose certificates' dates only their clients look at, keep the host's clock.
 */
async function makeClocksMovable(site: Site): Promise<void> {
  const settings = `export LD_PRELOAD=${library} FAKETIME_TIMESTAMP_FILE=${shift} FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1`;
  await shiftClocks(site, "+0");
  if ((await site.exec("acme", "cat", "/usr/local/lib/vectis/entrypoint")).includes(settings)) return;
  const file = join(projectRoot, ".vectis", "lib", "libfaketime.so.1");
  for (const role of movable) {
    await docker("cp", "--follow-link", file, `${site.containers[role]}:${library}`);
    const script = `/usr/local/lib/vectis/${role === "acme" ? "entrypoint" : "follower"}`;
    await site.exec(role, "sed", "-i", `2i ${settings}`, script);
    if (role !== "acme") await signal(site, role, "KILL", follower);
  }
  await docker("restart", "--time", "10", site.containers.acme);
  await until("certd with that clock", async () =>
    /"state": "ok"/.test(await site.exec("acme", "cat", "/run/certd/status.json")),
  );
}

const movable = ["acme", "postfix", "dovecot"] as const;

async function shiftClocks(site: Site, by: string): Promise<void> {
  for (const role of movable) await site.exec(role, "sh", "-c", `echo '${by}' >${shift}`);
}

/** The clock of certd and the followers jumps while they run, and back again. */
function clockJump(title: string, by: string, more: Partial<Fault> = {}): Fault {
  return {
    title,
    ...more,
    shows: says("the clock is wrong", ({ failing }) => failing.includes("clock")),
    inject: async ({ site, begins }) => {
      await makeClocksMovable(site);
      begins();
      await shiftClocks(site, by);
    },
    heal: ({ site }) => shiftClocks(site, "+0"),
    alerts: ["VectisClockWrong"],
    orders: 0,
  };
}

/** Every container stopped, then started in an order. */
async function reboot(site: Site, order: readonly Role[]): Promise<void> {
  await docker("stop", "--time", "20", ...roles.map((role) => site.containers[role]));
  for (const role of order) await docker("start", site.containers[role]);
}

const orders: readonly (readonly Role[])[] = [
  ["dovecot", "postfix", "traefik", "acme"],
  ["postfix", "acme", "dovecot", "traefik"],
  ["acme", "traefik", "postfix", "dovecot"],
];

const volumesOf = "/mail-certs /acme-home";

export const hostFaults: readonly Fault[] = [
  ...orders.map((order, index): Fault => ({
    title: `all containers are stopped and start again in the order ${order.join(", ")}`,
    long: index > 0,
    stops: everyPort,
    inject: ({ site }) => reboot(site, order),
    orders: 0,
  })),
  {
    title: "Traefik is restarted while the CA looks for a challenge",
    stops: [443],
    inject: async ({ site, begins }) => {
      const before = await site.publishedSerial();
      const validations = async (): Promise<number> =>
        (await docker("logs", site.lab.ca)).split("Attempting to validate").length;
      const first = await validations();
      await wantCertificate(site);
      await until("a validation", async () => (await validations()) > first, { interval: 50 });
      begins();
      await docker("restart", "--time", "0", site.containers.traefik);
      await until(
        "the certificate",
        async () => {
          if ((await site.publishedSerial()) !== before) return true;
          if (/"failures": [1-9]/.test(await site.exec("acme", "cat", "/run/certd/status.json")))
            await ageFailure(site);
          return false;
        },
        { interval: 2000 },
      );
    },
  },
  {
    title: "the volumes with certificates and accounts are set back to an older copy, and the containers start again",
    long: true,
    stops: everyPort,
    inject: async ({ site, volumes, begins }: Scene) => {
      await renewable(site);
      await volumes.run(`tar -cf /tmp/copy.tar ${volumesOf}`);
      for (let count = 0; count < 2; count++) {
        const before = await site.publishedSerial();
        await site.forceRenewal();
        await until("the renewal published", async () => (await site.publishedSerial()) !== before);
      }
      begins();
      const names = roles.map((role) => site.containers[role]);
      await docker("stop", "--time", "20", ...names);
      await volumes.run(`find ${volumesOf} -mindepth 1 -delete; tar -xf /tmp/copy.tar -C /`);
      await docker("start", ...names);
    },
    orders: 2,
  },
  clockJump("the clock jumps 61 days ahead, and back", "+61d", { long: true }),
  clockJump("the clock jumps 100 days ahead, and back", "+100d"),
  clockJump("the clock jumps 61 days back, and ahead again", "-61d"),
];
