// Faults around an update: what it has made is gone, or it is interrupted. Not on a site with volumes of its own making,
// which a refresh would take for foreign.
import { docker, inspect } from "../support/docker.ts";
import type { Fault, Scene } from "./rehearsal.ts";
import { roles, type Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

const everyPort = [25, 443, 465, 587, 993, 995] as const;

const update = ["up", "--yes", "--skip-preview"] as const;

/** Options that choose a TLS policy; a change of it replaces containers. */
function configured({ stack }: Site, policy: "modern" | "intermediate"): string[] {
  const tls = stack.config["vectis:tls"] as Readonly<Record<string, unknown>>;
  return stack.withConfig({ "vectis:tls": { ...tls, policy } });
}

/** Changes the TLS policy; the engine is killed when it has removed a container, or has just made the new one. */
async function interruptAtWorst({ site, begins }: Scene): Promise<void> {
  const id = (): Promise<string> =>
    inspect(site.containers.postfix).then(
      ({ Id }) => Id,
      () => "",
    );
  const before = await id();
  const moment = new AbortController();
  const config = configured(site, "modern");
  const killed = site.stack.killed(moment.signal, ...update, ...config);
  await until("a container replaced", async () => (await id()) !== before, { interval: 20 });
  begins();
  moment.abort();
  await killed;
  await converge(site, config);
  await site.up();
  await site.up("--expect-no-changes");
}

/** The lock, and each of four containers that may be there unknown, cost a turn. */
const turns = 8;

/** Runs an update until it is through, as docs/troubleshooting.md tells an operator to. */
async function converge(site: Site, config: readonly string[]): Promise<void> {
  const { stack } = site;
  for (let turn = 0; turn < turns; turn++) {
    const { code, stdout, stderr } = await stack.run(...update, "--refresh", ...config);
    const said = `${stdout}${stderr}`;
    const inTheWay = /container name "\/?([^"]+)" is already in use/.exec(said)?.[1];
    if (code === 0) return;
    if (/currently locked/.test(said)) await stack.pulumi("cancel", "--yes");
    else if (inTheWay !== undefined) await docker("rm", "--force", inTheWay);
    else if (/pending operations/.test(said)) await stack.pulumi("refresh", "--yes", "--clear-pending-creates");
    else throw new Error(said);
  }
  throw new Error("the update does not come to its end");
}

export const updateFaults: readonly Fault[] = [
  {
    title: "every container is removed, and an update makes them anew",
    // Beside this one, test/restarts.test.ts looks at what is stored.
    long: true,
    stops: everyPort,
    inject: async ({ site }) => {
      await docker("rm", "--force", ...roles.map((role) => site.containers[role]));
      await site.up("--refresh");
    },
    orders: 0,
  },
  {
    title: "the engine of an update is killed (SIGKILL) when it has removed a container, and the update run again",
    stops: everyPort,
    inject: interruptAtWorst,
    orders: 0,
  },
];
