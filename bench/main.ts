// `make bench`: measures the stack on this machine and prints tables, then JSON. Removes what it made.
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { removeSites } from "../test/support/site.ts";
import type { Benchmark, Options } from "./benchmark.ts";
import { dns01 } from "./dns-01.ts";
import { domains } from "./domains.ts";
import { rotation } from "./rotation.ts";
import { stack } from "./stack.ts";

const benchmarks: Readonly<Record<string, Benchmark>> = { stack, rotation, "dns-01": dns01, domains };

const usage = `Usage: bench [--only NAME,NAME] [--runs N] [--rotations N] [--domains N,N] [--json]

  --only NAME,NAME  of ${Object.keys(benchmarks).join(", ")} (default: all)
  --runs N          runs to take the median of (default: 3)
  --rotations N     rotations under load, and a quarter as many for each other way (default: 40)
  --domains N,N     numbers of domains to compare (default: 1,10,100)
  --json            JSON only
`;

/** What the command line asks for; `undefined` if it makes no sense. */
function chosen(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: Object.keys(benchmarks).join(",") },
      runs: { type: "string", default: "3" },
      rotations: { type: "string", default: "40" },
      domains: { type: "string", default: "1,10,100" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const options: Options = {
    runs: Number(values.runs),
    rotations: Number(values.rotations),
    domains: values.domains.split(",").map(Number),
  };
  const names = values.only.split(",");
  const good =
    [options.runs, options.rotations, ...options.domains].every((number) => Number.isInteger(number) && number >= 1) &&
    names.every((name) => name in benchmarks);
  return { options, names, good, json: values.json, help: values.help };
}

async function main(args: readonly string[]): Promise<number> {
  const { options, names, good, json, help } = chosen(args);
  if (help || !good) {
    process.stdout.write(usage);
    return help ? 0 : 2;
  }
  const machine = { processors: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30) };
  const show = (text: string): void => void (json || process.stdout.write(`${text}\n\n`));
  const report: Record<string, object> = { machine };
  show(`${machine.processors} processors, ${machine.memoryGiB} GiB`);
  try {
    for (const [name, benchmark] of Object.entries(benchmarks)) {
      if (!names.includes(name)) continue;
      const { data, text } = await benchmark(options, (line) => void process.stderr.write(`${line}\n`));
      report[name] = data;
      text.forEach(show);
    }
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    return 0;
  } finally {
    await removeSites();
  }
}

process.exitCode = await main(process.argv.slice(2));
