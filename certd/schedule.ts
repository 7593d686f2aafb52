// When things are due: pure functions of certificates, failures and a clock. All times in milliseconds.
import { createHash } from "node:crypto";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** A number in [0, 1) that is always the same for the same text. */
function fractionOf(seed: string): number {
  return createHash("sha256").update(seed).digest().readUInt32BE(0) / 2 ** 32;
}

/**
 * When a certificate is to be renewed: with a third of its lifetime left, half for lifetimes below ten days
 * (Let's Encrypt's integration guide), and up to a sixtieth of the lifetime earlier, so that many hosts do not
 * come at the same moment. The seed (hostname and serial) makes the choice repeatable.
 */
export function renewalTime(validity: Validity, seed: string): number {
  const lifetime = validity.notAfter - validity.notBefore;
  const remaining = lifetime < 10 * DAY ? lifetime / 2 : lifetime / 3;
  return Math.round(validity.notAfter - remaining - (lifetime / 60) * fractionOf(seed));
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

/** Whether a directory belongs to a public CA that must not be asked often. */
export function isPublicCa(directory: string): boolean {
  return /(^|\.)letsencrypt\.org$/.test(new URL(directory).hostname);
}

/** Wait before the CA's directory is tried again after the n-th attempt in a row (n >= 1) without an answer. */
export function connectionBackoff(attempts: number, publicCa: boolean): number {
  return publicCa ? Math.min(MINUTE * 2 ** (attempts - 1), 30 * MINUTE) : ([2, 3, 5, 8][attempts - 1] ?? 10) * SECOND;
}

/** How often a CA is asked whether it still knows the certificate. */
export function caPollInterval(publicCa: boolean): number {
  return publicCa ? 6 * HOUR : 20 * SECOND;
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
