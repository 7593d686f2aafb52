// From settings to the model of the mail host's DNS, and to all that follows from it. Pure.
import type { ChallengeTokenArgs } from "../components/challenge-token.ts";
import {
  type MailDns,
  mailRecords,
  mtaStsHost,
  mtaStsPolicy,
  recordOwner,
  type WantedRecord,
} from "../components/mail-records.ts";
import type { Settings } from "./config.ts";
import { type Dns, isInZones, zoneIdOf, zoneNames } from "./dns-config.ts";
import { challengeName, delegatedName } from "../certd/names.ts";
import { issuance, type Issuance } from "./issuance.ts";

/** Name of the component with the records; its children's names begin with it. */
export const recordsName = "records";

/** Where the sidecar's API token for DNS-01 comes from. */
export type ChallengeTokenSource =
  { readonly from: "operator"; readonly value: string } | ({ readonly from: "stack" } & ChallengeTokenArgs);

export interface DnsPlan {
  /** In the stack's own zones without the CAA records for which `besideAliases` finds no place. */
  readonly records: readonly WantedRecord[];
  /** Mark of the stack's own records. */
  readonly owner: string;
  /** Undefined if nothing is ordered from a CA. */
  readonly issuance: Issuance | undefined;
  /** The zones that hold the records; undefined where the stack reaches none. */
  readonly zones: { readonly ids: readonly string[]; readonly idOf: (name: string) => string } | undefined;
  /** Where challenges are delegated to; undefined: they are answered in the names' own zones, or not in DNS. */
  readonly challenges: MailDns["challenges"];
  /** Undefined: no challenge is answered in DNS. */
  readonly challengeToken: ChallengeTokenSource | undefined;
  /** Text of the MTA-STS policy, the same for every domain; undefined if none is announced. */
  readonly mtaStsPolicy: string | undefined;
  /** Hosts that serve it. */
  readonly mtaStsHosts: readonly string[];
}

/** @param certificateNames the names of the mail certificate */
export function dnsPlan(settings: Settings, certificateNames: readonly string[]): DnsPlan {
  const { name, hostname, domains, addresses, dns, tls } = settings;
  const mtaSts = dns.mtaSts === "off" ? undefined : dns.mtaSts;
  const orders = issuance(settings, certificateNames);
  const reports = (domain: string): string => dns.reports ?? tls.email ?? `postmaster@${domain}`;
  const challenges = delegation(settings, orders);
  const home = domains.find((domain) => `.${hostname}`.endsWith(`.${domain}`)) ?? domains[0] ?? hostname;
  const all = mailRecords({
    hostname,
    addresses,
    caa: {
      issuer: orders?.issuer?.identity,
      accountUris: orders?.issuer?.accountUris ?? [],
      orders: orders?.orders ?? [],
    },
    challenges,
    reports: reports(home),
    ttl: dns.ttl,
    domains: domains.map((domain) => ({ domain, reports: reports(domain), spf: dns.spf, dmarc: dns.dmarc, mtaSts })),
  });
  const records = withoutCaa(all, (at) => !takesCaa(settings, all, at));
  const idOf = dns.provider === "none" ? undefined : zoneIn(dns);
  return {
    records,
    owner: recordOwner(name),
    issuance: orders,
    zones: idOf && { ids: [...new Set(records.map((record) => idOf(record.name)))], idOf },
    challenges,
    challengeToken: tokenSource(settings, orders),
    mtaStsPolicy: mtaSts === undefined ? undefined : mtaStsPolicy(mtaSts, hostname),
    mtaStsHosts: mtaSts === undefined ? [] : domains.map(mtaStsHost),
  };
}

/**
 * Whether CAA records may be put at an ordered name. Of a name in somebody else's zone, and of one that nobody here knows
 * not to be an alias, the records are not this stack's business: a CA finds those of the target, or of the domain above.
 */
function takesCaa(settings: Settings, records: readonly WantedRecord[], name: string): boolean {
  const { dns, hostname, domains } = settings;
  if (records.some((record) => record.type === "CNAME" && record.name === name)) return false;
  // What MX records name, and what has one, is no alias.
  if (dns.provider === "none") return name === hostname || domains.includes(name);
  return isInZones(dns, zoneNames(settings), name);
}

const withoutCaa = (records: readonly WantedRecord[], leavesOut: (name: string) => boolean): WantedRecord[] =>
  records.filter(({ type, name }) => type !== "CAA" || !leavesOut(name));

/** Names at which the stack wants CAA records and nothing else: they may be aliases. */
export function caaOnlyNames(records: readonly WantedRecord[]): string[] {
  const others = new Set(records.flatMap(({ type, name }) => (type === "CAA" ? [] : [name])));
  return [...new Set(records.map(({ name }) => name))].filter((name) => !others.has(name));
}

/** The records without CAA at names that turned out to be aliases, and want nothing else. */
export function besideAliases(records: readonly WantedRecord[], isAlias: (name: string) => boolean): WantedRecord[] {
  const aliases = new Set(caaOnlyNames(records).filter(isAlias));
  return withoutCaa(records, (name) => aliases.has(name));
}

/** @throws Error for a name that the configuration's check let through without a zone */
function zoneIn(dns: Dns & { readonly provider: "cloudflare" }): (name: string) => string {
  return (name) => {
    const id = zoneIdOf(dns, name);
    if (id === undefined) throw new Error(`vectis:dns.zones has no zone for ${name}`);
    return id;
  };
}

/** Names whose challenges are answered in DNS. */
const provenInDns = (orders: Issuance | undefined): readonly string[] =>
  (orders?.orders ?? []).filter(({ challenge }) => challenge === "dns-01").flatMap((order) => order.names);

/** The aliases into the zone for challenges alone. */
function delegation({ hostname, dns }: Settings, orders: Issuance | undefined): MailDns["challenges"] {
  const names = [...new Set(provenInDns(orders).map(challengeName))];
  if (dns.challengeZone === undefined || names.length === 0) return undefined;
  return { names, target: delegatedName(hostname, dns.challengeZone.name) };
}

function tokenSource(
  { name, dns, challengeToken }: Settings,
  orders: Issuance | undefined,
): ChallengeTokenSource | undefined {
  const names = provenInDns(orders);
  if (names.length === 0) return undefined;
  if (challengeToken !== undefined) return { from: "operator", value: challengeToken };
  if (dns.provider === "none") return undefined;
  return {
    from: "stack",
    tokenName: `vectis ${name} dns-01`,
    zoneIds: dns.challengeZone
      ? [dns.challengeZone.zoneId]
      : names.map((ordered) => zoneIn(dns)(ordered.replace(/^\*\./, ""))),
    accountId: dns.accountId,
    allowedAddresses: dns.token.allowedAddresses,
    expiresOn: dns.token.expiresOn,
  };
}
