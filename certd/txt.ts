// Waits until a TXT value can be seen at every authoritative name server of its zone: the CA asks one of them, and
// which one nobody knows. acme.sh's DNS hook runs this as a command of its own.
import { setTimeout as pause } from "node:timers/promises";
import { authoritative, type Lookups, type NameServer, realLookups } from "./name-servers.ts";

/** What one name server says: the value, other values or none, or nothing at all. */
export type Sight = "seen" | "missing" | "silent";

/** How the wait ended, with a sentence about it. */
export interface Outcome {
  readonly seen: boolean;
  readonly text: string;
}

export interface Patience {
  /** Milliseconds after which it is given up. */
  readonly limit: number;
  /** Milliseconds after which servers that do not answer are passed over. */
  readonly grace: number;
  /** Milliseconds between two progress lines. */
  readonly progress: number;
}

const PATIENCE: Patience = { limit: 300_000, grace: 15_000, progress: 20_000 };

async function sight(lookups: Lookups, name: string, value: string, address?: string): Promise<Sight> {
  try {
    return (await lookups.txt(name, address)).includes(value) ? "seen" : "missing";
  } catch {
    return "silent";
  }
}

function described(servers: readonly NameServer[]): string {
  return servers.map(({ host, address }) => `${host} (${address})`).join(", ");
}

/**
 * One look at all servers.
 * @param patient whether servers that do not answer are still waited for
 */
async function look(
  name: string,
  value: string,
  lookups: Lookups,
  servers: readonly NameServer[],
  patient: boolean,
): Promise<Outcome> {
  if (servers.length === 0) return { seen: false, text: `no name servers are found for the zone of ${name}` };
  const sights = await Promise.all(servers.map(({ address }) => sight(lookups, name, value, address)));
  const those = (kind: Sight): NameServer[] => servers.filter((_, index) => sights[index] === kind);
  const [missing, silent] = [those("missing"), those("silent")];
  if (missing.length > 0) return { seen: false, text: `${name} is not yet at ${described(missing)}` };
  const quiet = `no answer from ${described(silent)}`;
  if (silent.length === 0) return { seen: true, text: `${name} is at all ${servers.length} name servers` };
  if (patient) return { seen: false, text: quiet };
  if (silent.length < servers.length) return { seen: true, text: `${name} is at the other name servers; ${quiet}` };
  const seen = (await sight(lookups, name, value)) === "seen";
  return { seen, text: seen ? `${name} is at the resolver; ${quiet}` : quiet };
}

/**
 * Waits for a TXT value. Servers that do not answer are passed over after a while if one that answers has it; if none
 * answers at all (a firewall that lets only the resolver through), the machine's own resolver is asked.
 * @param say takes progress
 */
export async function awaitTxt(
  name: string,
  value: string,
  say: (line: string) => void,
  lookups: Lookups = realLookups,
  { limit, grace, progress }: Patience = PATIENCE,
): Promise<Outcome> {
  const start = performance.now();
  let servers: readonly NameServer[] = [];
  let told = 0;
  for (let wait = 100; ; wait = Math.min(wait * 1.5, 2000)) {
    let outcome: Outcome;
    try {
      if (servers.length === 0) servers = await authoritative(name, lookups);
      outcome = await look(name, value, lookups, servers, performance.now() - start < grace);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      outcome = { seen: false, text: `the name servers of ${name} cannot be looked up (${cause})` };
    }
    const elapsed = performance.now() - start;
    const after = `after ${(elapsed / 1000).toFixed(1)} s`;
    if (outcome.seen || elapsed > limit) return { ...outcome, text: `${outcome.text}, ${after}` };
    if (elapsed - told > progress) {
      told = elapsed;
      say(`${outcome.text}, ${after}; waiting for up to ${Math.round((limit - elapsed) / 1000)} s more`);
    }
    await pause(wait);
  }
}
