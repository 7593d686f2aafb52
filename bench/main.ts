// `make bench`: measures the stack on this machine and prints a table, or JSON with --json. Removes what it made.
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { table } from "../cli/table.ts";
import { removeSites } from "../test/support/site.ts";
import { measureDomains, type Domains } from "./domains.ts";
import { measureFirstStart, measureRotations, measureSizes, measureUpdates } from "./measure.ts";
import type { FirstStart, Rotations, Size } from "./measure.ts";
import type { Updates } from "./no-op.ts";
import type { Summary } from "./statistics.ts";

const usage = `Usage: bench [--runs N] [--rotations N] [--domains N,N] [--json]

  --runs N        first starts and updates to take the median of (default: 3)
  --rotations N   renewals under load (default: 20)
  --domains N,N   numbers of domains to compare (default: 1,10,100)
  --json          JSON only; otherwise the table, then the JSON
`;

interface Report {
  readonly machine: { readonly processors: number; readonly memoryGiB: number };
  readonly firstStart: FirstStart;
  readonly updates: Updates;
  readonly rotations: Rotations;
  readonly sizes: readonly Size[];
  readonly domains: readonly Domains[];
}

async function measure(runs: number, rotations: number, counts: readonly number[]): Promise<Report> {
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const { site, result: firstStart } = await measureFirstStart(runs, progress);
  await site.healthy();
  const sizes = await measureSizes(site);
  const updates = await measureUpdates(site, runs + 2, progress);
  const machine = { processors: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30) };
  const rotated = await measureRotations(site, rotations, progress);
  await site.remove();
  const domains = await measureDomains(counts, runs, progress);
  return { machine, firstStart, updates, rotations: rotated, sizes, domains };
}

function render({ machine, firstStart, updates, rotations, sizes, domains }: Report): string {
  const row = (what: string, { median, min, max, runs }: Summary): string[] => [
    what,
    ...[median, min, max].map((milliseconds) => (milliseconds / 1000).toFixed(2)),
    String(runs),
  ];
  const seconds = table(
    ["Seconds", "Median", "Min", "Max", "Runs"],
    [
      row("up without changes", updates.up.stack),
      row("up of an empty program", updates.up.empty),
      row("preview without changes", updates.preview.stack),
      row("preview of an empty program", updates.preview.empty),
      row("lab, images cached", firstStart.lab),
      row("first up, images cached", firstStart.up),
      row("first up to six verified ports", firstStart.sixPorts),
      row("renewal by the guide's command", rotations.renewal),
      ...rotations.delays.map(({ port, delay }) => row(`published to served, port ${port}`, delay)),
      row("published to served, last port", rotations.lastPort),
    ],
    ["Median", "Min", "Max", "Runs"],
  );
  const containers = table(
    ["Container", "Image MB", "Memory MiB"],
    sizes.map(({ role, image, memory }) => [role, image.toFixed(0), memory.toFixed(1)]),
    ["Image MB", "Memory MiB"],
  );
  const inSeconds = (milliseconds: number): string => (milliseconds / 1000).toFixed(2);
  const titles = [
    ...["Domains", "Records", "First up s", "Up s", "Empty up s", "Preview s", "Empty preview s"],
    ...["Requests: up", "preview", "preview --refresh"],
  ];
  const manyDomains = table(
    titles,
    domains.map(({ domains: count, records, first, updates: { up, preview }, requests }) => [
      ...[count, records].map(String),
      ...[first, up.stack.median, up.empty.median, preview.stack.median, preview.empty.median].map(inSeconds),
      ...[requests.up, requests.preview, requests.refresh].map(String),
    ]),
    titles,
  );
  return [
    `${machine.processors} processors, ${machine.memoryGiB} GiB`,
    seconds,
    `${rotations.rotations} rotations: ${rotations.failedHandshakes} of ${rotations.handshakes} handshakes failed, ` +
      `${rotations.lostSessions} of ${rotations.sessions} sessions lost`,
    containers,
    manyDomains,
  ].join("\n\n");
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: "string", default: "3" },
      rotations: { type: "string", default: "20" },
      domains: { type: "string", default: "1,10,100" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [runs, rotations] = [Number(values.runs), Number(values.rotations)];
  const counts = values.domains.split(",").map(Number);
  if (values.help || !(runs >= 1 && rotations >= 1 && counts.every((count) => count >= 1))) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  try {
    const report = await measure(runs, rotations, counts);
    if (!values.json) process.stdout.write(`${render(report)}\n\n`);
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    return 0;
  } finally {
    await removeSites();
  }
}

process.exitCode = await main(process.argv.slice(2));
