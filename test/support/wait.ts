// Waiting for conditions instead of for time: every wait names what it waits for and ends with what was seen last.
import { setTimeout as delay } from "node:timers/promises";

export interface Patience {
  /** Seconds after which the wait fails. Default 120. */
  readonly deadline?: number;
  /** Milliseconds between two looks. Default 200. */
  readonly interval?: number;
}

/** Looks until `look` returns something other than undefined or false; an error while looking counts as not yet. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  { deadline = 120, interval = 200 }: Patience = {},
): Promise<T> {
  const end = Date.now() + deadline * 1000;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= end) {
      throw new Error(`after ${deadline} s still not: ${what}${last instanceof Error ? ` (${last.message})` : ""}`);
    }
    await delay(interval);
  }
}
