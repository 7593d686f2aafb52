// What many domains cost: time, and requests to Cloudflare's API as the lab's stand-in counts them.
import { Site } from "../test/support/site.ts";
import type { Progress } from "./measure.ts";
import { inTurns, withEmptyProgram, type Updates } from "./no-op.ts";
import { timed } from "./statistics.ts";

export interface Domains {
  readonly domains: number;
  readonly records: number;
  /** Milliseconds of the update that makes the records. */
  readonly first: number;
  readonly updates: Updates;
  /** Requests to the API of one command that changes nothing. */
  readonly requests: { readonly preview: number; readonly up: number; readonly refresh: number };
}

const zone = "vectis.test";

/** One stack with more and more domains, every one with its own records in one zone. */
export async function measureDomains(
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
