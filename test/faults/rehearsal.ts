// Rehearses one fault on a running site and tells what came of it: what clients on every port saw, what the health API said
// and when, which alerts that raises, whether all was well again by itself and how long that took.
// What the faults are is in ca.ts, storage.ts, daemons.ts and host.ts; groups.ts lists them.
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { probeInterval } from "../../certd/schedule.ts";
import type { Health } from "../../certd/health.ts";
import { tlsServices } from "../../cli/verdict.ts";
import { raisedAlerts } from "./alerts.ts";
import { SmallVolumes } from "./breakage.ts";
import { HealthWatch, type Reading } from "./health-watch.ts";
import { HandshakeLoad, type Failure } from "../support/load.ts";
import { logs } from "../support/docker.ts";
import { Sessions } from "./sessions.ts";
import type { Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

/** Everything that a fault may touch. */
export interface Scene {
  readonly site: Site;
  readonly volumes: SmallVolumes;
  readonly load: HandshakeLoad;
  /** Says that the cause begins now; without it, it begins with `inject`. */
  readonly begins: () => void;
  /** To be done at the end, whatever comes of it. */
  readonly finally: (tidy: () => Promise<unknown>) => void;
}

/** What the health API says, in words and as a condition. */
export interface Shown {
  readonly words: string;
  readonly when: (reading: Reading) => boolean;
}

/** What the report says; it is there. */
export function says(words: string, when: (health: Health) => boolean): Shown {
  return { words, when: ({ health }) => health !== undefined && when(health) };
}

export interface Fault {
  /** What happens, as the row of docs/faults.md says it; unique. */
  readonly title: string;
  /** Takes long, or resembles another: `make faults` rehearses it, `make test` does not. Default: both do. */
  readonly long?: boolean;
  /** Brings it about; resolves when it is there. */
  readonly inject: (scene: Scene) => Promise<unknown>;
  /** Makes it worse in the way that time would; after it was shown. Default: nothing. */
  readonly lasts?: (scene: Scene) => Promise<unknown>;
  /** Takes the cause away. Default: nobody does. */
  readonly heal?: (scene: Scene) => Promise<unknown>;
  /** What the health API says meanwhile. Default: nothing is amiss for whoever asks. */
  readonly shows?: Shown;
  /** Alerts that are raised when the cause lasts for more than an hour or, if nobody takes it away, until it is over. */
  readonly alerts?: readonly string[];
  /** Ports whose own daemon is stopped: only there may clients fail. Default: none. */
  readonly stops?: readonly number[];
  /** When it is over, beyond what the health API says. */
  readonly over?: (scene: Scene) => Promise<boolean>;
  /** Orders that may be placed because of it. Default: any number. */
  readonly orders?: number;
  /** Seconds that recovery may take. Default 120: a loaded machine is no fault. */
  readonly patience?: number;
}

export interface Outcome {
  readonly title: string;
  readonly handshakes: number;
  readonly failures: readonly Failure[];
  readonly sessions: number;
  /** Ports of those that were lost. */
  readonly lostSessions: readonly number[];
  readonly shows: string | undefined;
  /** Seconds from the cause until the health API showed it. */
  readonly shownAfter: number | undefined;
  readonly alerts: readonly string[];
  readonly cause: "goes away" | "stays";
  /** Seconds from the end of the cause (or, if it stays, from its begin) until all was well. */
  readonly recoveredAfter: number;
}

/** certd looks at a port that was well this often and needs up to 5 s for a look; a reading is a second old. */
const noticed = probeInterval(true, 0) / 1000 + 6;

/** How long a fault is thought to last when alerts are evaluated; longer than any rule waits. */
const long = 75 * 60;

const well = ({ health }: Reading): boolean => health?.ok === true && health.failing.length === 0;

export async function rehearse(site: Site, volumes: SmallVolumes, fault: Fault): Promise<Outcome> {
  const { title, inject, lasts, heal, shows, over, alerts = [], stops = [], patience = 120 } = fault;
  const target = await site.target();
  const sessions = await Sessions.open(target);
  const { orders } = await site.lab.ledger();
  const load = new HandshakeLoad(target, { pause: 80, services: tlsServices });
  const health = new HealthWatch(target, () => load.ca);
  const tidyUps: (() => Promise<unknown>)[] = [];
  let begun = Date.now();
  const scene: Scene = {
    site,
    volumes,
    load,
    begins: () => void (begun = Date.now()),
    finally: (tidy) => void tidyUps.push(tidy),
  };
  try {
    await until("all well at first", () => Promise.resolve(health.since(0, well)));
    begun = Date.now();
    if (heal !== undefined) tidyUps.push(() => heal(scene));
    await inject(scene);
    const shown =
      shows &&
      (await until(`health to show: ${shows.words}`, () => Promise.resolve(health.first(begun, shows.when)), {
        deadline: noticed,
      }));
    if (lasts !== undefined) {
      await lasts(scene);
      const worse = Date.now();
      await until("a reading of that", () => Promise.resolve((health.readings.at(-1)?.at ?? 0) >= worse));
    }
    let raised: string[] = [];
    if (heal !== undefined) {
      const lasting = () => raisedAlerts(upTo(health.readings, shows), long);
      raised = await settled(lasting, alerts);
      tidyUps.splice(0, 1);
      await heal(scene);
    }
    const cause = heal === undefined ? begun : Date.now();
    if (over !== undefined) await until("the end of it", () => over(scene), { deadline: patience });
    const overAt = over === undefined ? 0 : Date.now();
    const recovered = (): number | undefined => {
      const since = health.since(cause, well);
      // The first reading may be older than what it is to show.
      return since !== undefined && Date.now() - since > 3_000 ? since : undefined;
    };
    const recoveredAt = await until("recovery", () => Promise.resolve(recovered()), { deadline: patience });
    await site.asExpected({ interval: 200 });
    await load.stop();
    await health.stop();
    const lost = await sessions.lost();
    const lastFailure = Math.max(0, ...load.failures.map(({ at }) => at));
    const outcome: Outcome = {
      title,
      handshakes: load.handshakes + load.failures.length,
      failures: load.failures,
      sessions: sessions.count,
      lostSessions: lost,
      shows: shows?.words,
      shownAfter: shown && (shown.at - begun) / 1000,
      alerts: heal === undefined ? await raisedAlerts(health.readings, 0) : raised,
      cause: heal === undefined ? "stays" : "goes away",
      recoveredAfter: (Math.max(recoveredAt, overAt, lastFailure) - cause) / 1000,
    };
    const elsewhere = (ports: readonly { readonly port: number }[]) =>
      ports.filter(({ port }) => !stops.includes(port));
    assert.deepEqual(elsewhere(load.failures), [], "handshakes failed on ports whose daemon was not stopped");
    assert.deepEqual(
      elsewhere(lost.map((port) => ({ port }))),
      [],
      "sessions were lost on ports whose daemon was not stopped",
    );
    assert.deepEqual(outcome.alerts, alerts, "these alerts are raised and no others");
    const ordered = (await site.lab.ledger()).orders - orders;
    if (fault.orders !== undefined) assert.ok(ordered <= fault.orders, `${ordered} orders were placed`);
    return outcome;
  } catch (error) {
    throw new Error(`${String(error)}\n${await explain(site, begun, load, health)}`, { cause: error });
  } finally {
    for (const tidy of tidyUps) await tidy().catch(() => undefined);
    await Promise.all([load.stop(), health.stop(), sessions.lost()]);
  }
}

/**
 * What a look finds, once it is what is expected or at the last when that does not come: what is so for a moment, like a port
 * in the middle of a switch, is not what lasts.
 */
async function settled(look: () => Promise<string[]>, expected: readonly string[]): Promise<string[]> {
  const end = Date.now() + noticed * 1000;
  for (;;) {
    const seen = await look();
    if (isDeepStrictEqual(seen, expected) || Date.now() >= end) return seen;
    await delay(1_000);
  }
}

/** The readings up to the last that shows the fault. */
function upTo(readings: readonly Reading[], shows: Shown | undefined): readonly Reading[] {
  return shows === undefined ? readings : readings.slice(0, readings.findLastIndex(shows.when) + 1);
}

/** What one wants to know of a rehearsal that went wrong. */
async function explain(site: Site, begun: number, load: HandshakeLoad, health: HealthWatch): Promise<string> {
  const since = new Date(begun - 1000).toISOString();
  const said = await Promise.all(
    (["acme", "postfix", "dovecot"] as const).map(async (role) => {
      // A container that is gone has no log.
      const log = await logs(site.containers[role]).catch(String);
      const lines = log.split("\n").filter((line) => line >= since);
      const telling = lines.filter(
        (line) => !/(?:dis)?connect (?:from|\(no auth)|Login: |lost connection|TLS connection established/i.test(line),
      );
      return `${role}:\n${telling.slice(-25).join("\n")}`;
    }),
  );
  const last = health.readings.at(-1)?.health;
  const ports = last?.ports.map(({ port, ok, error }) => `${port} ${ok ? "ok" : (error ?? "differs")}`);
  return [
    `health: ${last?.state}, ${ports?.join(", ")}; failing: ${last?.failing.join(", ")}; ${last?.lastError?.cause}`,
    `failures: ${JSON.stringify(load.failures.slice(0, 10))}`,
    ...said,
  ].join("\n");
}
