// A stack as it comes: the first start, updates without changes, renewals, sizes.
import { table } from "../cli/table.ts";
import { docker, inspect } from "../test/support/docker.ts";
import { roles, Site, type Role } from "../test/support/site.ts";
import { secondsTable, type Benchmark, type Progress } from "./benchmark.ts";
import { inTurns, withEmptyProgram, type Updates } from "./no-op.ts";
import { summarise, timed, type Summary } from "./statistics.ts";

export const stack: Benchmark = async ({ runs }, progress) => {
  const { site, result: firstStart } = await measureFirstStart(runs, progress);
  await site.healthy();
  const sizes = await measureSizes(site);
  const updates = await measureUpdates(site, runs + 2, progress);
  const renewal = await measureRenewals(site, runs, progress);
  await site.remove();
  return {
    data: { firstStart, updates, renewal, sizes },
    text: [
      secondsTable([
        ["up without changes", updates.up.stack],
        ["up of an empty program", updates.up.empty],
        ["preview without changes", updates.preview.stack],
        ["preview of an empty program", updates.preview.empty],
        ["lab, images cached", firstStart.lab],
        ["first up, images cached", firstStart.up],
        ["first up to six verified ports", firstStart.sixPorts],
        ["renewal by the guide's command", renewal],
      ]),
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

/** Milliseconds of the guide's renewal command, from its start to its end. */
async function measureRenewals(site: Site, runs: number, progress: Progress): Promise<Summary> {
  const times: number[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`renewal, run ${run} of ${runs}`);
    times.push(await timed(() => site.forceRenewal()));
  }
  return summarise(times);
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
