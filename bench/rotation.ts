// Rotations of the mail certificate under load, done by the followers and, on the same daemons, the way others do it;
// and what certd and the followers cost while nothing happens.
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import Docker from "dockerode";
import { table } from "../cli/table.ts";
import { mailServices } from "../cli/verdict.ts";
import { docker } from "../test/support/docker.ts";
import { countsOf, MailLoad } from "../test/support/mail-load.ts";
import { FilesSite } from "../test/support/rotations.ts";
import type { Role, Site } from "../test/support/site.ts";
import { measureHandshakes, type HandshakeRates } from "./handshakes.ts";
import { inSeconds, type Benchmark, type Progress } from "./benchmark.ts";
import { percentiles, type Percentiles } from "./statistics.ts";

/**
 * `follower`: this product. `poll and reload`: docker-mailserver's check-for-changes.sh, which compares checksums every two
 * seconds, copies what changed and reloads. `restart`: mailcow's acme container, which has both containers restarted.
 */
const ways = ["follower", "poll and reload", "restart"] as const;
type Way = (typeof ways)[number];

interface RotationResult {
  readonly way: Way;
  readonly rotations: number;
  /** Milliseconds from the switch of the symlink until the port no longer serves the old certificate. */
  readonly delays: readonly { readonly port: number; readonly delay: Percentiles }[];
  /** The slowest port of each rotation. */
  readonly lastPort: Percentiles;
  readonly handshakes: number;
  readonly failedHandshakes: number;
  /** Milliseconds. */
  readonly slowestHandshake: number;
  readonly sessions: number;
  readonly lostSessions: number;
  readonly submissions: number;
  readonly failedSubmissions: number;
}

interface Idle {
  readonly role: Role;
  /** Share of one processor, percent, over half a minute in which nothing happens. */
  readonly processor: number;
  /** MiB that Docker counts for the container. */
  readonly memory: number;
}

interface RotationReport {
  readonly results: readonly RotationResult[];
  readonly idle: readonly Idle[];
  /** Resident MiB of the certd process alone. */
  readonly certdResident: number;
  readonly rates: readonly HandshakeRates[];
}

const mailRoles = ["postfix", "dovecot"] as const;
type MailRole = (typeof mailRoles)[number];

/** What docker-mailserver runs in its container, with this stack's paths; `reload` is the daemon's own command. */
const pollAndReload = (reload: string): string => `
  sum() { cat /etc/ssl/mail/fullchain.pem /etc/ssl/mail/privkey.pem | sha512sum; }
  old=$(sum)
  while sleep 2; do
    new=$(sum)
    [ "$new" != "$old" ] || continue
    cp /etc/ssl/mail/fullchain.pem /etc/ssl/mail/privkey.pem /etc/ssl/mail/keychain.pem /run/vectis/certs/
    ${reload}
    old=$new
  done`;
const reloads: Readonly<Record<MailRole, string>> = {
  postfix: "postfix reload",
  dovecot: "doveadm -c /run/vectis/dovecot.conf reload",
};

/** Sends a signal to the follower of a container and to what would start it again. */
async function signalFollower(site: Site, role: MailRole, signal: "STOP" | "CONT"): Promise<void> {
  const script = `for p in /proc/[0-9]*; do case $(tr "\\0" " " <"$p/cmdline") in
    */bin/s[h]" "*"vectis/follower "*) kill -${signal} "\${p#/proc/}";; esac; done 2>/dev/null; true`;
  await site.exec(role, "sh", "-c", script);
}

/** Starts the peer's way in both containers; `takeUp` is what to do after a publication, `end` undoes it. */
async function begin(way: Way, site: Site): Promise<{ takeUp?: () => Promise<unknown>; end: () => Promise<unknown> }> {
  switch (way) {
    case "follower":
      return { end: () => Promise.resolve() };
    case "poll and reload": {
      for (const role of mailRoles) await signalFollower(site, role, "STOP");
      const pollers = mailRoles.map((role) => {
        const command = ["exec", site.containers[role], "sh", "-c", pollAndReload(reloads[role])];
        return spawn("docker", command, { stdio: "ignore" });
      });
      return {
        // It finds out by itself.
        takeUp: () => Promise.resolve(),
        end: async () => {
          for (const poller of pollers) poller.kill();
          // What `docker exec` started goes on without its client; a restart ends it and brings the follower back.
          for (const role of mailRoles) await docker("restart", "--time", "10", site.containers[role]);
          await site.asExpected();
        },
      };
    }
    case "restart": {
      const stop = (): Promise<unknown> => Promise.all(mailRoles.map((role) => signalFollower(site, role, "STOP")));
      await stop();
      return {
        takeUp: async () => {
          for (const role of ["dovecot", "postfix"] as const)
            await docker("restart", "--time", "10", site.containers[role]);
          await stop();
        },
        end: async () => {
          for (const role of mailRoles) await signalFollower(site, role, "CONT");
          await site.asExpected();
        },
      };
    }
  }
}

async function measureWay(files: FilesSite, way: Way, rotations: number): Promise<RotationResult> {
  const { takeUp, end } = await begin(way, files.site);
  const load = await MailLoad.start(await files.site.target());
  try {
    const done = await files.rotate(load, rotations, takeUp);
    const report = await load.stop();
    const counts = countsOf(report);
    const delays = done.map(({ serial, publishedAt }) => counts.delays(serial, publishedAt));
    return {
      way,
      rotations,
      delays: mailServices.map(({ port }) => ({
        port,
        delay: percentiles(delays.flatMap((byPort) => byPort.get(port) ?? [])),
      })),
      lastPort: percentiles(delays.map((byPort) => Math.max(...byPort.values()))),
      handshakes: report.handshakes + report.failures.length,
      failedHandshakes: report.failures.length,
      slowestHandshake: report.slowest,
      sessions: report.sessions.opened,
      lostSessions: report.sessions.lost.length,
      submissions: report.submissions.accepted + report.submissions.failures.length,
      failedSubmissions: report.submissions.failures.length + report.submissions.accepted - report.submissions.arrived,
    };
  } finally {
    load.abandon();
    await end();
  }
}

/** What Docker counts for a container, whatever version of control groups the host has. */
async function usage(site: Site, role: Role): Promise<{ readonly processorNs: number; readonly memoryBytes: number }> {
  const container = new Docker().getContainer(site.containers[role]);
  const { cpu_stats, memory_stats } = await container.stats({ stream: false, "one-shot": true });
  return { processorNs: cpu_stats.cpu_usage.total_usage, memoryBytes: memory_stats.usage };
}

async function measureIdle(site: Site): Promise<Pick<RotationReport, "idle" | "certdResident">> {
  const seconds = 30;
  const watched: readonly Role[] = ["acme", ...mailRoles];
  const look = () => Promise.all(watched.map((role) => usage(site, role)));
  const before = await look();
  await delay(seconds * 1000);
  const after = await look();
  const script = `for p in /proc/[0-9]*; do case $(tr "\\0" " " <"$p/cmdline") in
    "node "*certd.mjs*) grep VmRSS "$p/status";; esac; done 2>/dev/null; true`;
  const resident = await site.exec("acme", "sh", "-c", script);
  return {
    idle: watched.map((role, index) => ({
      role,
      processor: ((after[index]?.processorNs ?? NaN) - (before[index]?.processorNs ?? NaN)) / (seconds * 1e7),
      memory: (after[index]?.memoryBytes ?? NaN) / 2 ** 20,
    })),
    certdResident: Number(/(\d+) kB/.exec(resident)?.[1]) / 1024,
  };
}

export const rotation: Benchmark = async ({ rotations }, progress) => {
  const data = await measureRotations(rotations, progress);
  return { data, text: tables(data) };
};

async function measureRotations(rotations: number, progress: Progress): Promise<RotationReport> {
  const files = await FilesSite.start("rotate");
  try {
    progress("idle");
    const idle = await measureIdle(files.site);
    const results: RotationResult[] = [];
    for (const way of ways) {
      // The others are the same each time: a quarter of the rotations shows it.
      const count = way === "follower" ? rotations : Math.max(5, Math.ceil(rotations / 4));
      progress(`${count} rotations: ${way}`);
      results.push(await measureWay(files, way, count));
    }
    progress("handshakes per second");
    return { results, ...idle, rates: await measureHandshakes(files.site) };
  } finally {
    files.removeFiles();
    await files.site.remove();
  }
}

function tables({ results, idle, certdResident, rates }: RotationReport): string[] {
  const delays = results.flatMap(({ way, delays, lastPort, rotations }) =>
    [...delays, { port: "last", delay: lastPort }].map(({ port, delay: { p50, p95, max } }) => [
      way,
      String(port),
      ...[p50, p95, max].map(inSeconds),
      String(rotations),
    ]),
  );
  const losses = results.map((result) => [
    result.way,
    `${result.failedHandshakes} of ${result.handshakes}`,
    `${result.lostSessions} of ${result.sessions}`,
    `${result.failedSubmissions} of ${result.submissions}`,
    inSeconds(result.slowestHandshake),
  ]);
  const rateRow = ({ port, published, container, outside }: HandshakeRates): string[] => [
    String(port),
    ...[published, container, outside].map(({ median }) => median.toFixed(0)),
    ((100 * container.median) / outside.median).toFixed(0),
  ];
  const delayTitles = ["p50 s", "p95 s", "Max s", "Rotations"];
  const lossTitles = ["Handshakes failed", "Sessions lost", "Submissions failed", "Slowest handshake s"];
  const rateTitles = ["At the published port", "At its address", "Outside a container", "Address/outside %"];
  return [
    table(["Rotated by", "Port", ...delayTitles], delays, delayTitles),
    table(["Rotated by", ...lossTitles], losses, lossTitles),
    table(["Full handshakes/s on", ...rateTitles], rates.map(rateRow), rateTitles),
    table(
      ["Idle", "Processor %", "Memory MiB"],
      [
        ...idle.map(({ role, processor, memory }) => [role, processor.toFixed(2), memory.toFixed(1)]),
        ["certd alone", "", certdResident.toFixed(1)],
      ],
      ["Processor %", "Memory MiB"],
    ),
  ];
}
