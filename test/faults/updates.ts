// Faults around an update: what it has made is gone, or it is interrupted. Not on a site with volumes of its own making,
// which a refresh would take for foreign.
import assert from "node:assert/strict";
import { docker, inspect } from "../support/docker.ts";
import { stackName } from "../support/pulumi.ts";
import type { Fault, Scene } from "./rehearsal.ts";
import { roles, type Site } from "../support/site.ts";
import { shell } from "../support/vectis.ts";
import { until } from "../support/wait.ts";

const everyPort = [25, 443, 465, 587, 993, 995] as const;

type Policy = "modern" | "intermediate";

/** Configures a TLS policy; a change of it replaces containers. */
function choose({ stack }: Site, policy: Policy): void {
  const tls = stack.config["vectis:tls"] as Readonly<Record<string, unknown>>;
  stack.configure({ "vectis:tls": { ...tls, policy } });
}

/** Starts an update whose engine is killed (SIGKILL) at a signal. */
const interrupted = ({ stack }: Site, at: AbortSignal): Promise<unknown> =>
  stack.killed(at, "up", "--yes", "--skip-preview");

/** Runs `vectis up` once, which has to come to its end by itself. */
async function upAgain(site: Site): Promise<void> {
  const { code, stdout, stderr } = await shell(site, `vectis up -s ${stackName} --refresh`);
  assert.equal(code, 0, `${stdout}${stderr}`);
}

/** Changes the TLS policy; the engine is killed when it has removed a container, or has just made the new one. */
async function interruptAtWorst({ site, begins, finally: atEnd }: Scene): Promise<void> {
  const id = (): Promise<string> =>
    inspect(site.containers.postfix).then(
      ({ Id }) => Id,
      () => "",
    );
  const before = await id();
  const moment = new AbortController();
  atEnd(() => Promise.resolve(choose(site, "intermediate")));
  choose(site, "modern");
  const killed = interrupted(site, moment.signal);
  await until("a container replaced", async () => (await id()) !== before, { interval: 20 });
  begins();
  moment.abort();
  await killed;
  await upAgain(site);
  choose(site, "intermediate");
  await site.up();
  await site.up("--expect-no-changes");
}

/** Moments of an update at which the engine is killed, evenly over the time that a whole one takes. */
const moments = 10;

/** Changes the TLS policy to and fro, each time with an engine that is killed a little later. */
async function interruptEverywhere({ site, finally: atEnd }: Scene): Promise<void> {
  atEnd(() => Promise.resolve(choose(site, "intermediate")));
  const policyOf = (turn: number): Policy => (turn % 2 === 0 ? "modern" : "intermediate");
  choose(site, policyOf(0));
  const began = Date.now();
  await site.up();
  const whole = Date.now() - began;
  for (let moment = 1; moment <= moments; moment++) {
    choose(site, policyOf(moment));
    await interrupted(site, AbortSignal.timeout(Math.round((whole * moment) / (moments + 1))));
    await upAgain(site);
    await site.up("--expect-no-changes");
  }
  choose(site, "intermediate");
  await site.up();
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
    title: "the engine of an update is killed (SIGKILL) when it has removed a container; `vectis up` is run again",
    stops: everyPort,
    inject: interruptAtWorst,
    orders: 0,
  },
  {
    title: "the engine is killed at ten moments of an update, from its begin to its end; `vectis up` after each",
    long: true,
    stops: everyPort,
    inject: interruptEverywhere,
    orders: 0,
  },
];
