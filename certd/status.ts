// The facts that certd reports, one object for the health check, the health API and the command line.
// Times are ISO 8601 texts; `null` means "not yet".
import type { Renewal } from "./decide.ts";
import type { LeafFacts } from "./validate.ts";
import type { Watched } from "./watch.ts";

/**
 * `ok`: a certificate from the source is published and every port serves it. `placeholder`: no certificate yet.
 * `not-served`: a port serves something else. `expired`: what is published has expired.
 */
export type OverallState = "ok" | "placeholder" | "not-served" | "expired" | "nothing-published";

export interface CertificateStatus {
  readonly sha256: string;
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

export interface PublishedStatus extends CertificateStatus {
  readonly generation: number;
  readonly source: string;
  readonly keyType: string;
  readonly publishedAt: string;
}

export interface PortStatus {
  readonly host: string;
  readonly port: number;
  /** Whether the published leaf is served; where an RSA certificate is published too, whether both are. */
  readonly agrees: boolean;
  /** The leaf that is served; `null` if none was seen. */
  readonly served: CertificateStatus | null;
  /** The leaf that clients without ECDSA are served; `null` if none was seen, or none is published. */
  readonly servedRsa: CertificateStatus | null;
  /** Why nothing was seen at the last look. */
  readonly error: string | null;
  readonly checkedAt: string | null;
}

/** Something that went wrong: why, and what a person can do. */
export interface FailureStatus {
  readonly at: string;
  readonly cause: string;
  /** `null` where nothing can be said beyond the cause. */
  readonly advice: string | null;
}

/** When the certificate in use will be renewed, and on whose word. */
export interface RenewalStatus {
  readonly at: string;
  /** `ari`: inside the window that the CA suggests (RFC 9773). `lifetime`: at a fraction of the lifetime. */
  readonly basis: "ari" | "lifetime";
  readonly window: { readonly start: string; readonly end: string } | null;
  /** A page of the CA that tells why, if it names one. */
  readonly explanationUrl: string | null;
}

export interface Status {
  readonly version: 1;
  readonly state: OverallState;
  readonly at: string;
  readonly names: readonly string[];
  readonly source: string;
  readonly published: PublishedStatus | null;
  /** The RSA certificate beside it; `null` if the generation has none. */
  readonly publishedRsa: (CertificateStatus & { readonly keyType: string }) | null;
  /** The generation that a person wants to stay in service, whatever the source brings; `null`: none. */
  readonly pinned: { readonly generation: number; readonly since: string; readonly until: string } | null;
  readonly ports: readonly PortStatus[];
  /** The HTTPS endpoint with its own certificate; here `agrees` means that it has one for the hostname. */
  readonly https: PortStatus | null;
  readonly order: {
    readonly running: boolean;
    /** Why a certificate is wanted now; `null` if none is. */
    readonly reason: string | null;
    readonly last: {
      readonly at: string;
      readonly ok: boolean;
      /** Why it failed, and what a person can do; empty if it did not fail. */
      readonly cause: string;
      readonly advice: string;
    } | null;
    readonly failures: number;
    /** When the next order is allowed, if one is wanted. */
    readonly nextAt: string | null;
    /** `null` while no certificate is usable, and for sources that do not order. */
    readonly renewal: RenewalStatus | null;
  };
  /** What is left of Let's Encrypt's limit for these names; `null` where it does not apply. */
  readonly budget: {
    /** Names of the mail certificate as they are ordered. */
    readonly names: readonly string[];
    readonly limit: number;
    readonly remaining: number;
    /** When the next order is given back; `null`: none is spent. */
    readonly nextAt: string | null;
    /** Until when an order that can wait is held back; `null`: none is. */
    readonly heldUntil: string | null;
  } | null;
  /** The ACME CA; `null` where certificates come from elsewhere. */
  readonly ca: {
    readonly directory: string;
    readonly answers: boolean | null;
    readonly checkedAt: string | null;
  } | null;
  /** The last thing that went wrong, until it goes well again. */
  readonly lastError: FailureStatus | null;
  /** What has gone wrong and not gone well since, for example `publish`; docs/health.md lists them. */
  readonly failing: readonly string[];
}

/** ISO 8601 text for milliseconds since the epoch. */
export function iso(time: number): string {
  return new Date(time).toISOString();
}

/** The overall state from what is published and what is served. */
export function overallState(
  published: { readonly placeholder: boolean; readonly notAfter: number } | undefined,
  everyPortAgrees: boolean,
  now: number,
): OverallState {
  if (published === undefined) return "nothing-published";
  if (published.placeholder) return "placeholder";
  if (now >= published.notAfter) return "expired";
  return everyPortAgrees ? "ok" : "not-served";
}

export function certificateStatus(leaf: LeafFacts): CertificateStatus {
  return {
    sha256: leaf.sha256,
    subject: leaf.subject,
    issuer: leaf.issuer,
    names: leaf.names,
    serial: leaf.serial,
    notBefore: iso(leaf.notBefore),
    notAfter: iso(leaf.notAfter),
  };
}

export function portStatus({ target, agrees, result, checkedAt }: Watched): PortStatus {
  const seen = result !== undefined && "leaf" in result ? result : undefined;
  const rsa = seen?.rsa;
  const error = result !== undefined && "error" in result ? result.error : undefined;
  const rsaError = rsa !== undefined && "error" in rsa ? `without ECDSA: ${rsa.error}` : undefined;
  return {
    host: target.host,
    port: target.port,
    agrees,
    served: seen === undefined ? null : certificateStatus(seen.leaf),
    servedRsa: rsa !== undefined && "leaf" in rsa ? certificateStatus(rsa.leaf) : null,
    error: error ?? rsaError ?? null,
    checkedAt: checkedAt === 0 ? null : iso(checkedAt),
  };
}

export function renewalStatus({ at, basis, suggestion }: Renewal): RenewalStatus {
  const window = suggestion && { start: iso(suggestion.window.start), end: iso(suggestion.window.end) };
  return { at: iso(at), basis, window: window ?? null, explanationUrl: suggestion?.explanationUrl || null };
}
