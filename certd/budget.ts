// Let's Encrypt's limit on duplicate certificates, counted before it is spent: five for one exact set of names in seven
// days, whoever orders them. Traefik and the sidecar share it where they order for the same names. Pure.
// Source: letsencrypt.org/docs/rate-limits, "New Certificates per Exact Set of Identifiers".
import type { LeafFacts } from "./validate.ts";

const LIMIT = 5;
const HOUR = 3_600_000;
const WINDOW = 7 * 24 * HOUR;
/** One is given back after this time. */
const REFILL = WINDOW / LIMIT;
/** Kept for a lost volume, which costs one here and one at HTTPS: only what cannot wait may take them. */
export const RESERVE = 2;

/** A certificate that was issued, as it is remembered. */
export interface Issued {
  /** SHA-256 of the leaf. */
  readonly sha256: string;
  /** Its names, sorted, a blank between them. */
  readonly names: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface Budget {
  /** Orders for exactly these names in seven days. */
  readonly limit: number;
  /** 0 to `limit`. */
  readonly remaining: number;
  /** When the next one is given back, milliseconds since the epoch; `undefined`: none is spent. */
  readonly nextAt: number | undefined;
}

/** One text for a set of names, whatever their order. */
export const nameSet = (names: readonly string[]): string => [...names].sort().join(" ");

/** Whether the limit applies at a directory: it is Let's Encrypt's, and its staging environment does without. */
export function hasLimit(directory: string): boolean {
  return new URL(directory).hostname === "acme-v02.api.letsencrypt.org";
}

/** Whether a leaf counts against it: HTTPS may still serve one of staging, or of another CA. */
export const counts = ({ issuer }: Pick<LeafFacts, "issuer">): boolean => /\bO=Let's Encrypt\b/.test(issuer);

/** Takes a certificate into the list, and drops what no longer counts. The same list if it is in there already. */
export function remember(issued: readonly Issued[], leaf: LeafFacts, now: number): readonly Issued[] {
  if (issued.some(({ sha256 }) => sha256 === leaf.sha256)) return issued;
  // Let's Encrypt dates certificates back by an hour.
  const at = Math.min(now, leaf.notBefore + HOUR);
  if (at <= now - WINDOW) return issued;
  const kept = issued.filter((one) => one.at > now - WINDOW);
  return [...kept, { sha256: leaf.sha256, names: nameSet(leaf.names), at }];
}

/** What is left for a set of names: a bucket of five that fills at an even pace. */
export function budget(issued: readonly Issued[], names: readonly string[], now: number): Budget {
  const set = nameSet(names);
  const times = issued.filter((one) => one.names === set).map(({ at }) => Math.min(at, now));
  const full = times.sort((a, b) => a - b).reduce((until, at) => Math.max(until, at) + REFILL, 0);
  const spent = Math.max(0, full - now) / REFILL;
  if (spent === 0) return { limit: LIMIT, remaining: LIMIT, nextAt: undefined };
  // The moment at which one more whole order fits.
  const remaining = Math.max(0, Math.floor(LIMIT - spent));
  return { limit: LIMIT, remaining, nextAt: full - (LIMIT - remaining - 1) * REFILL };
}

/**
 * When an order may be placed that can wait: once it leaves the reserve alone. `undefined`: now.
 * @param certificates how many it is for
 */
export function heldUntil({ remaining, nextAt }: Budget, certificates = 1): number | undefined {
  const short = RESERVE + certificates - remaining;
  return short <= 0 || nextAt === undefined ? undefined : nextAt + (short - 1) * REFILL;
}
