// When things are due: pure functions of certificates, failures and a clock. All times in milliseconds.
import { createHash } from "node:crypto";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How far this clock may be from the CA's, or be set, before it is worth a word. */
export const CLOCK_TOLERANCE = 5 * MINUTE;

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** A number in [0, 1) that is always the same for the same text. */
function fractionOf(seed: string): number {
  return createHash("sha256").update(seed).digest().readUInt32BE(0) / 2 ** 32;
}

/** When a CA would like a certificate to be renewed (RFC 9773 section 4.2); milliseconds since the epoch. */
export interface RenewalWindow {
  readonly start: number;
  readonly end: number;
}

/** When a certificate is to be renewed, and on whose word. */
export interface RenewalPlan {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** `ari`: inside the window that the CA suggests. `lifetime`: at a fraction of the certificate's lifetime. */
  readonly basis: "ari" | "lifetime";
}

/** Lifetime left at a renewal: a third, half below ten days (Let's Encrypt's integration guide). */
function marginOf(lifetime: number): number {
  return lifetime < 10 * DAY ? lifetime / 2 : lifetime / 3;
}

/**
 * When a certificate is to be renewed if its CA suggests nothing: at the margin, and up to a sixtieth of the lifetime
 * earlier, so that many hosts do not come at the same moment. The seed (hostname and serial) makes the choice repeatable.
 */
export function renewalTime(validity: Validity, seed: string): number {
  const lifetime = validity.notAfter - validity.notBefore;
  return Math.round(validity.notAfter - marginOf(lifetime) - (lifetime / 60) * fractionOf(seed));
}

/**
 * When a certificate is to be renewed: at a moment of the CA's window if it suggests one, else at a fraction of the
 * lifetime. The moment is random over all seeds (RFC 9773 section 4.2 asks for that) and always the same for one.
 *
 * A window in the past means now. Two limits keep a CA's mistake from doing harm: nothing is renewed in its first hours
 * (an eighth of the lifetime, 6 hours at most; a window that is always in the past would be an endless loop of orders),
 * and nothing later than with half of the margin left.
 */
export function renewalPlan(validity: Validity, seed: string, window?: RenewalWindow): RenewalPlan {
  if (window === undefined) return { at: renewalTime(validity, seed), basis: "lifetime" };
  const lifetime = validity.notAfter - validity.notBefore;
  const earliest = validity.notBefore + Math.min(lifetime / 8, 6 * HOUR);
  const latest = validity.notAfter - marginOf(lifetime) / 2;
  const limit = (time: number): number => Math.min(Math.max(time, earliest), latest);
  const [start, end] = [limit(window.start), limit(window.end)];
  return { at: Math.round(start + (end - start) * fractionOf(seed)), basis: "ari" };
}

/** When a renewal counts as overdue: half of the time between its planned moment and the certificate's end has passed. */
export function overdueTime(notAfter: number, renewAt: number): number {
  return renewAt + (notAfter - renewAt) / 2;
}

/**
 * Wait before a CA is asked for its window again: what its Retry-After says (RFC 9773 section 4.3.1) between a minute and
 * half a day, so that it is at least twice a day; 6 hours if it says nothing.
 */
export function renewalInfoInterval(retryAfter: number | undefined): number {
  return retryAfter === undefined ? 6 * HOUR : Math.min(Math.max(retryAfter, MINUTE), 12 * HOUR);
}

/** Wait after the n-th failed order in a row (n >= 1): 1, 10, 100 minutes, then a day. */
export function orderBackoff(failures: number): number {
  if (failures <= 0) return 0;
  return [MINUTE, 10 * MINUTE, 100 * MINUTE][failures - 1] ?? DAY;
}

/** Wait after the n-th order in a row that was cut off by certd's own end: no reproach the first time, then growing. */
export function interruptionBackoff(interruptions: number): number {
  return [0, 0, 5 * SECOND, 10 * SECOND, 30 * SECOND][interruptions] ?? MINUTE;
}

/** Whether a moment has come; one further away than a day comes from a clock that was set back. */
export function passed(moment: number, now: number): boolean {
  return now >= moment || moment - now > DAY;
}

/** Wait before the CA's directory is tried again after the n-th attempt in a row (n >= 1) without an answer. */
export function connectionBackoff(attempts: number, publicCa: boolean): number {
  return publicCa ? Math.min(MINUTE * 2 ** (attempts - 1), 30 * MINUTE) : ([2, 3, 5, 8][attempts - 1] ?? 10) * SECOND;
}

/**
 * Wait before a CA is asked for renewal information again. A CA of one's own is asked every 20 s, whatever it says in a
 * good answer: the same question shows whether it still knows the certificate. A refusal's Retry-After counts for both.
 */
export function caPollInterval(publicCa: boolean, refused: boolean, retryAfter: number | undefined): number {
  return publicCa || (refused && retryAfter !== undefined) ? renewalInfoInterval(retryAfter) : 20 * SECOND;
}

/** Wait before Traefik is let choose again, for the n-th time (n >= 0), between its own and the shared certificate. */
export function rerollBackoff(choices: number): number {
  return choices === 0 ? 3 * SECOND : choices < 20 ? 1.5 * SECOND : MINUTE;
}

/** Wait before the n-th (n >= 0) reminder to the HTTPS endpoint that it still lacks a certificate. */
export function reminderBackoff(reminders: number): number {
  return [10 * SECOND, 30 * SECOND, MINUTE, 10 * MINUTE, 100 * MINUTE][reminders] ?? DAY;
}

/**
 * Wait between two probes of a port: nearly at once while it differs from what was published a moment ago,
 * rarely once it agrees or has differed for long.
 * @param since milliseconds since the publication or since certd started, whichever is later
 */
export function probeInterval(agrees: boolean, since: number): number {
  if (agrees) return 30 * SECOND;
  if (since > 10 * MINUTE) return 10 * SECOND;
  return since < 30 * SECOND ? 250 : since < 2 * MINUTE ? SECOND : 3 * SECOND;
}

/** How long before its end a placeholder is replaced by another. */
export const PLACEHOLDER_MARGIN = 2 * DAY;
/** Lifetime of a placeholder in days. */
export const PLACEHOLDER_DAYS = 7;

/**
 * Wait before the DNS host's API is asked again after the n-th time in a row (n >= 1): soon and often while it is out of
 * order, ever more rarely while it refuses the token, which only a person can change (a new token ends the wait).
 */
export function dnsBackoff(attempts: number, kind: "unavailable" | "refused"): number {
  const first = kind === "unavailable" ? 5 * SECOND : 30 * SECOND;
  return Math.min(first * 2 ** (attempts - 1), kind === "unavailable" ? 5 * MINUTE : HOUR);
}
