// What an order by DNS-01 costs beside the bare acme.sh call: the guide's command against the packaged acme.sh with its own
// dns_cf, at the same CA, API and zone, in turns.
import { BareAcme } from "../test/support/bare-acme.ts";
import { Site } from "../test/support/site.ts";
import { until } from "../test/support/wait.ts";
import { secondsTable, type Benchmark, type Progress } from "./benchmark.ts";
import { summarise, timed, type Summary } from "./statistics.ts";

/** Milliseconds of one order for one name, from the command's start to its end. */
interface Dns01 {
  /** Includes the check of the token, the wait for all name servers of the zone, and the removal of the record. */
  readonly stack: Summary;
  /** Waits a fixed second for DNS: less than anybody would dare outside of a lab. */
  readonly bare: Summary;
}

const zone = "vectis.test";

export const dns01: Benchmark = async ({ runs }, progress) => {
  const result = await measureDns01(runs, progress);
  return {
    data: result,
    text: [
      secondsTable([
        ["order by DNS-01, the guide's command", result.stack],
        ["order by DNS-01, bare acme.sh", result.bare],
      ]),
    ],
  };
};

async function measureDns01(runs: number, progress: Progress): Promise<Dns01> {
  const site = await Site.prepare("dns01");
  const { stack, lab } = site;
  const tls = { ...(stack.config["vectis:tls"] as object), challenge: "dns-01" };
  await site.up(...stack.withConfig({ "vectis:tls": tls }));
  await site.asExpected();
  const { id, value } = await lab.cloudflare.createToken(["DNS Write", "Zone Read"], [zone]);
  const acme = new BareAcme(site, value, lab.cloudflare.zoneId(zone));
  const bare = async (): Promise<void> => {
    const output = await acme.order(site.outputs.hostname);
    if (!output.endsWith("code 0")) throw new Error(`the bare acme.sh failed:\n${output}`);
  };
  // The stack has its account; the first order of the other registers one.
  await bare();
  const times: { stack: number[]; bare: number[] } = { stack: [], bare: [] };
  for (let run = 1; run <= runs; run++) {
    progress(`DNS-01, run ${run} of ${runs}`);
    const old = await site.publishedSerial();
    times.stack.push(await timed(() => site.forceRenewal()));
    // Delivery is none of an order's time, and none of the next one's either.
    await until("the certificate published", async () => (await site.publishedSerial()) !== old);
    await site.asExpected();
    times.bare.push(await timed(bare));
  }
  await lab.cloudflare.removeToken(id);
  await site.remove();
  return { stack: summarise(times.stack), bare: summarise(times.bare) };
}
