// What many domains cost: time, and requests to Cloudflare's API as the lab's stand-in counts them.
import { table } from "../cli/table.ts";
import { Site } from "../test/support/site.ts";
import { inSeconds, type Benchmark, type Progress } from "./benchmark.ts";
import { inTurns, withEmptyProgram, type Updates } from "./no-op.ts";
import { timed } from "./statistics.ts";

interface Domains {
  readonly domains: number;
  readonly records: number;
  /** Milliseconds of the update that makes the records. */
  readonly first: number;
  readonly updates: Updates;
  /** Requests to the API of one command that changes nothing. */
  readonly requests: { readonly preview: number; readonly up: number; readonly refresh: number };
}

const zone = "vectis.test";

const titles = [
  ...["Domains", "Records", "First up s", "Up s", "Empty up s", "Preview s", "Empty preview s"],
  ...["Requests: up", "preview", "preview --refresh"],
];

export const domains: Benchmark = async (options, progress) => {
  const results = await measureDomains(options.domains, options.runs, progress);
  const rows = results.map(({ domains: count, records, first, updates: { up, preview }, requests }) => [
    ...[count, records].map(String),
    ...[first, up.stack.median, up.empty.median, preview.stack.median, preview.empty.median].map(inSeconds),
    ...[requests.up, requests.preview, requests.refresh].map(String),
  ]);
  return { data: results, text: [table(titles, rows, titles)] };
};

/** One stack with more and more domains, every one with its own records in one zone. */
async function measureDomains(
  counts: readonly number[],
  runs: number,
  progress: Progress,
): Promise<readonly Domains[]> {
  const site = await Site.prepare("domains");
  const { stack, lab } = site;
  const results: Domains[] = [];
  await withEmptyProgram(async (empty) => {
    for (const count of counts) {
      progress(`${count} domains`);
      const domains = [zone, ...Array.from({ length: count - 1 }, (_, index) => `d${index + 1}.${zone}`)];
      // Without MTA-STS: Traefik would order a certificate for each domain while the clock runs.
      const dns = { ...(stack.config["vectis:dns"] as object), mtaSts: "off" };
      const options = stack.withConfig({ "vectis:domains": domains, "vectis:dns": dns });
      const first = await timed(() => site.up(...options));
      const requests = async (...command: readonly string[]): Promise<number> => {
        await lab.cloudflare.forget();
        await stack.pulumi(...command, "--expect-no-changes", ...options);
        return (await lab.cloudflare.requests()).length;
      };
      results.push({
        domains: count,
        records: (await lab.cloudflare.records(zone)).length,
        first,
        updates: await inTurns(
          { stack, empty },
          runs,
          (run) => progress(`${count} domains, run ${run} of ${runs}`),
          options,
        ),
        requests: {
          preview: await requests("preview"),
          up: await requests("up", "--yes", "--skip-preview"),
          refresh: await requests("preview", "--refresh"),
        },
      });
    }
  });
  await site.remove();
  return results;
}
