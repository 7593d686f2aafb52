// The CAA records (RFC 8659, RFC 8657) that admit this stack's ACME clients and nobody else. Pure.
import { createHash } from "node:crypto";

/** Challenge types as they are named in `validationmethods` (RFC 8657 section 4). */
export type ChallengeType = "http-01" | "tls-alpn-01" | "dns-01";

/** What CAA records say of the CA and its clients. */
export interface CaaPolicy {
  /** The CA's issuer domain name; undefined for a CA that has none, such as an internal one. */
  readonly issuer: string | undefined;
  /** The clients' accounts, where they are known. Empty: any account. */
  readonly accountUris: readonly string[];
  /** All clients that order from it, with host names and wildcards in lower case. */
  readonly orders: readonly { readonly names: readonly string[]; readonly challenge: ChallengeType }[];
}

export interface CaaData {
  readonly flags: number;
  readonly tag: string;
  readonly value: string;
}

/** A CAA record to publish. `id` tells it from the others at its name and outlives a change of method. */
export interface CaaEntry {
  readonly name: string;
  readonly id: string;
  readonly data: CaaData;
}

/**
 * The records at the ordered names themselves: at a parent they would bind certificates that are none of this stack's. A
 * wildcard's parent gets `issuewild` alone, which leaves the single names there free. Without an issuer only `iodef` is
 * left: any `issue` would shut out the CA that cannot be named.
 *
 * Names that are a CNAME to the mail host can have no record: a CA finds those of the alias's target (RFC 8659 section 3).
 * The host's admit what any single name is ordered by, therefore. Which names those are, the caller knows.
 */
export function caaEntries(host: string, { issuer, accountUris, orders }: CaaPolicy, reports: string): CaaEntry[] {
  const ordered = orders.flatMap(({ names }) => names.map((name) => name.replace(/^\*\./, "")));
  const methods = (name: string): ChallengeType[] => {
    const counts = (ordered: string): boolean => ordered === name || (name === host && !ordered.startsWith("*."));
    return [...new Set(orders.filter(({ names }) => names.some(counts)).map(({ challenge }) => challenge))].sort();
  };
  /** One record for each account; which of them is which client's is not known, so each may use every method. */
  const admit = (name: string, tag: string, ca: string, used: readonly ChallengeType[]): CaaEntry[] =>
    (accountUris.length === 0 ? [undefined] : accountUris).map((uri) => ({
      name,
      id: uri === undefined ? tag : `${tag}-${digest(uri)}`,
      data: {
        flags: 0,
        tag,
        value: [ca, ...(uri === undefined ? [] : [`accounturi=${uri}`]), `validationmethods=${used.join(",")}`].join(
          "; ",
        ),
      },
    }));
  const single = (name: string, tag: string, value: string): CaaEntry => ({
    name,
    id: tag,
    data: { flags: 0, tag, value },
  });
  const names = issuer === undefined ? [host] : [...new Set([host, ...ordered])];
  return names.flatMap((name) => {
    const incidents = single(name, "iodef", `mailto:${reports}`);
    if (issuer === undefined) return [incidents];
    const [exact, wild] = [methods(name), methods(`*.${name}`)];
    return [
      ...(exact.length === 0 ? [] : admit(name, "issue", issuer, exact)),
      ...(wild.length === 0 ? [single(name, "issuewild", ";")] : admit(name, "issuewild", issuer, wild)),
      incidents,
    ];
  });
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);
