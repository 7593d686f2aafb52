// A stack as it comes: the first start, updates without changes, rotations under load, sizes.
import { table } from "../cli/table.ts";
import { mailServices } from "../cli/verdict.ts";
import { ImapSession, SmtpSession } from "../test/support/clients.ts";
import { docker, inspect } from "../test/support/docker.ts";
import { HandshakeLoad } from "../test/support/load.ts";
import { alice, bob, roles, Site, type Role } from "../test/support/site.ts";
import { until } from "../test/support/wait.ts";
import { secondsTable, type Benchmark, type Progress } from "./benchmark.ts";
import { inTurns, withEmptyProgram, type Updates } from "./no-op.ts";
import { summarise, timed, type Summary } from "./statistics.ts";

export const stack: Benchmark = async ({ runs, rotations: count }, progress) => {
  const { site, result: firstStart } = await measureFirstStart(runs, progress);
  await site.healthy();
  const sizes = await measureSizes(site);
  const updates = await measureUpdates(site, runs + 2, progress);
  const rotations = await measureRotations(site, count, progress);
  await site.remove();
  return {
    data: { firstStart, updates, rotations, sizes },
    text: [
      secondsTable([
        ["up without changes", updates.up.stack],
        ["up of an empty program", updates.up.empty],
        ["preview without changes", updates.preview.stack],
        ["preview of an empty program", updates.preview.empty],
        ["lab, images cached", firstStart.lab],
        ["first up, images cached", firstStart.up],
        ["first up to six verified ports", firstStart.sixPorts],
        ["renewal by the guide's command", rotations.renewal],
        ...rotations.delays.map(({ port, delay }) => [`published to served, port ${port}`, delay] as const),
        ["published to served, last port", rotations.lastPort],
      ]),
      `${rotations.rotations} rotations: ${rotations.failedHandshakes} of ${rotations.handshakes} handshakes failed, ` +
        `${rotations.lostSessions} of ${rotations.sessions} sessions lost`,
      table(
        ["Container", "Image MB", "Memory MiB"],
        sizes.map(({ role, image, memory }) => [role, image.toFixed(0), memory.toFixed(1)]),
        ["Image MB", "Memory MiB"],
      ),
    ],
  };
};

/** No-op `up --skip-preview` and `preview` of a running site against a program without resources, in turns. */
async function measureUpdates(site: Site, runs: number, progress: Progress): Promise<Updates> {
  return withEmptyProgram((empty) =>
    inTurns({ stack: site.stack, empty }, runs, (run) => progress(`update without changes, run ${run} of ${runs}`)),
  );
}

interface FirstStart {
  /** Milliseconds for the lab alone: CA, DNS, sinks. */
  readonly lab: Summary;
  /** From the start of the stack's first `up` to its end, and to six ports with verified certificates. */
  readonly up: Summary;
  readonly sixPorts: Summary;
}

/** First starts with images cached; the last site is left running for the other measurements. */
async function measureFirstStart(
  runs: number,
  progress: Progress,
): Promise<{ readonly site: Site; readonly result: FirstStart }> {
  const times: { lab: number[]; up: number[]; sixPorts: number[] } = { lab: [], up: [], sixPorts: [] };
  for (let run = 1; ; run++) {
    progress(`first start, run ${run} of ${runs}`);
    const started = performance.now();
    const site = await Site.prepare(`bench${run}`);
    const ready = performance.now();
    await site.up();
    times.lab.push(ready - started);
    times.up.push(performance.now() - ready);
    await site.asExpected({ interval: 50 });
    times.sixPorts.push(performance.now() - ready);
    if (run < runs) await site.remove();
    else
      return {
        site,
        result: { lab: summarise(times.lab), up: summarise(times.up), sixPorts: summarise(times.sixPorts) },
      };
  }
}

interface Rotations {
  readonly rotations: number;
  /** Milliseconds from the switch of the symlink until the port no longer serves the old certificate. */
  readonly delays: readonly { readonly port: number; readonly delay: Summary }[];
  /** The slowest port of each rotation. */
  readonly lastPort: Summary;
  readonly handshakes: number;
  readonly failedHandshakes: number;
  readonly sessions: number;
  readonly lostSessions: number;
  /** Milliseconds of the guide's renewal command. */
  readonly renewal: Summary;
}

/** Forced renewals under handshake load, with IDLE and submission sessions held open throughout. */
async function measureRotations(site: Site, rotations: number, progress: Progress): Promise<Rotations> {
  const target = await site.target();
  const trust = { hostname: target.hostname, ca: target.ca ?? "" };
  const { imaps, submission } = target.endpoints;
  const idling = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const session = await ImapSession.open(imaps, trust, bob);
      return { session, idle: await session.idle() };
    }),
  );
  const submitting = await Promise.all(
    Array.from({ length: 2 }, async () => {
      const session = await SmtpSession.startTls(submission, trust);
      await session.login(alice);
      return session;
    }),
  );
  const load = new HandshakeLoad(target, { perPort: 2 });
  const published: { serial: string; at: number }[] = [];
  const renewals: number[] = [];
  for (let rotation = 1; rotation <= rotations; rotation++) {
    progress(`rotation ${rotation} of ${rotations}`);
    const old = await site.publishedSerial();
    renewals.push(await timed(() => site.forceRenewal()));
    const serial = await until("a new certificate published", async () => {
      const now = await site.publishedSerial();
      return now !== old && now;
    });
    published.push({ serial, at: await site.publishedAt() });
    await until("every port on it", () => Promise.resolve(load.portsServing(serial).length === mailServices.length));
    // Submission servers hang up on a client that says nothing for five minutes (RFC 5321 §4.5.3.2.7).
    await Promise.all(submitting.map((session) => session.command("NOOP").catch(() => undefined)));
  }
  await until("a second under load after the last rotation", () =>
    Promise.resolve(Date.now() - (published.at(-1)?.at ?? 0) > 5_000),
  );
  await load.stop();

  const alive = await Promise.all(
    [
      ...idling.map(async ({ session, idle }) => {
        await idle.done();
        await session.command("NOOP");
        await session.logout();
      }),
      ...submitting.map(async (session) => {
        await session.expect("250", "NOOP");
        await session.quit();
      }),
    ].map((check) =>
      check.then(
        () => true,
        () => false,
      ),
    ),
  );
  const delays = published.map(({ serial, at }) => load.delays(serial, at));
  const ofPort = (port: number): number[] => delays.flatMap((byPort) => byPort.get(port) ?? []);
  return {
    rotations,
    delays: mailServices.map(({ port }) => ({ port, delay: summarise(ofPort(port)) })),
    lastPort: summarise(delays.map((byPort) => Math.max(...byPort.values()))),
    handshakes: load.handshakes,
    failedHandshakes: load.failures.length,
    sessions: alive.length,
    lostSessions: alive.filter((is) => !is).length,
    renewal: summarise(renewals),
  };
}

interface Size {
  readonly role: Role;
  /** MB of 10^6 bytes. */
  readonly image: number;
  /** MiB that Docker counts for the container at rest. */
  readonly memory: number;
}

async function measureSizes(site: Site): Promise<readonly Size[]> {
  return Promise.all(
    roles.map(async (role) => {
      const { Image } = await inspect(site.containers[role]);
      const bytes = Number(await docker("image", "inspect", "--format", "{{.Size}}", Image));
      const usage = await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", site.containers[role]);
      return { role, image: bytes / 1e6, memory: mebibytes(usage) };
    }),
  );
}

/** "41.5MiB / 512MiB" as 41.5. */
function mebibytes(usage: string): number {
  const [, amount = "NaN", unit = ""] = /^([\d.]+)([KMG]i)B/.exec(usage) ?? [];
  return Number(amount) * ({ Ki: 1 / 1024, Mi: 1, Gi: 1024 }[unit] ?? NaN);
}
