// Which DNS records a mail host and its domains need, and the MTA-STS policy that one of them announces. Pure.
// How a record is written for a DNS host is components/zone-file.ts and components/records.ts.
import { createHash } from "node:crypto";
import { type CaaData, caaEntries, type CaaPolicy } from "./caa.ts";
import type { TlsaData } from "./tlsa.ts";

export interface SrvData {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** A host name, or `.`: the service is not offered (RFC 2782). */
  readonly target: string;
}

/** What a record says, by its type. Names are FQDNs in lower case without the last dot. */
export type RecordData =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "CNAME"; readonly target: string }
  | { readonly type: "MX"; readonly priority: number; readonly target: string }
  | { readonly type: "TXT"; readonly text: string }
  | { readonly type: "CAA"; readonly caa: CaaData }
  | { readonly type: "SRV"; readonly srv: SrvData }
  | { readonly type: "TLSA"; readonly tlsa: TlsaData };

export type WantedRecord = RecordData & {
  /** Type and name, and what tells it from others of both: stable as long as the record is the same one. */
  readonly key: string;
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
};

/** What marks a record of this stack: its comment, which the dashboard shows. */
export const recordOwner = (stack: string): string => `vectis:${stack}`;

/** Name of the resource for a record of the component called `component`. */
export const recordResourceName = (component: string, record: WantedRecord): string => `${component}-${record.key}`;

/** A mode of RFC 8461 section 5: report only, refuse what does not match, or withdraw an earlier policy (section 8.3). */
export type MtaStsMode = "testing" | "enforce" | "none";

/** One domain whose mail is delivered here. */
export interface MailDomain {
  readonly domain: string;
  /** Mailbox that gets the reports. */
  readonly reports: string;
  /** The SPF record's text (RFC 7208). */
  readonly spf: string;
  /** What receivers shall do with mail that fails (RFC 7489 section 6.3). */
  readonly dmarc: "none" | "quarantine" | "reject";
  /** Undefined: no policy is announced. */
  readonly mtaSts: MtaStsMode | undefined;
}

/** Everything that the records of one mail host follow from. */
export interface MailDns {
  readonly hostname: string;
  /** Its public addresses; empty if its A and AAAA records are somebody else's. */
  readonly addresses: readonly string[];
  readonly caa: CaaPolicy;
  /** Names that are looked up for challenges, and the one name in another zone that answers for them all; often none. */
  readonly challenges: { readonly names: readonly string[]; readonly target: string } | undefined;
  /** Mailbox that CAs report refused orders to. */
  readonly reports: string;
  readonly domains: readonly MailDomain[];
  /** Seconds. */
  readonly ttl: number;
}

/**
 * The services of RFC 6186 section 3 and RFC 8314 section 5.1. Implicit TLS is what clients shall use; the names of the
 * services that start in clear text say `.`, not offered. IMAP is preferred to POP3 by its priority (RFC 6186 section 3.3).
 */
const services: readonly (readonly [service: string, offered?: Omit<SrvData, "target">])[] = [
  ["_submissions", { priority: 0, weight: 1, port: 465 }],
  ["_imaps", { priority: 0, weight: 1, port: 993 }],
  ["_pop3s", { priority: 10, weight: 1, port: 995 }],
  ["_submission"],
  ["_imap"],
  ["_pop3"],
];

const day = 86_400;
/** Senders keep a policy this long (RFC 8461 section 3.2); short while it is tried out or withdrawn, weeks when it protects. */
const policyMaxAge: Readonly<Record<MtaStsMode, number>> = { testing: day, none: day, enforce: 14 * day };

/** The policy that `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` serves (RFC 8461 section 3.2). */
export function mtaStsPolicy(mode: MtaStsMode, mailHost: string): string {
  // With mode none no MX is named (section 3.2: at least one unless the mode is none).
  const mx = mode === "none" ? [] : [`mx: ${mailHost}`];
  return ["version: STSv1", `mode: ${mode}`, ...mx, `max_age: ${policyMaxAge[mode]}`, ""].join("\n");
}

/** Up to 32 letters and digits that change whenever the policy does (RFC 8461 section 3.1). */
export function mtaStsId(policy: string): string {
  return createHash("sha256").update(policy).digest("hex").slice(0, 32);
}

/** The host of a domain's policy; RFC 8461 section 3.3 fixes its name. */
export const mtaStsHost = (domain: string): string => `mta-sts.${domain}`;

/** The record that announces a domain's policy (RFC 8461 section 3.1). */
export const mtaStsRecordName = (domain: string): string => `_mta-sts.${domain}`;

/** Every record, the host's first, in an order that only the configuration decides. */
export function mailRecords(model: MailDns): WantedRecord[] {
  return [...hostRecords(model), ...model.domains.flatMap((domain) => domainRecords(model, domain))];
}

function hostRecords(model: MailDns): WantedRecord[] {
  const { hostname: name, addresses, caa: policy, challenges, domains, reports, ttl } = model;
  const hosts = addresses.map((address): WantedRecord => {
    const type = address.includes(":") ? "AAAA" : "A";
    // The address is part of the key: as an update in place, a move within the list would meet its own old record.
    // No colons: two in a row part the fields of a URN.
    return { key: `${type.toLowerCase()}-${name}-${address.replaceAll(":", "-")}`, name, ttl, type, address };
  });
  const caa = caaEntries(name, policy, reports).map((entry): WantedRecord => ({
    key: `caa-${entry.name}-${entry.id}`,
    name: entry.name,
    ttl,
    type: "CAA",
    caa: entry.data,
  }));
  const delegated = (challenges?.names ?? []).map((alias): WantedRecord => ({
    key: `cname-${alias}`,
    name: alias,
    ttl,
    type: "CNAME",
    target: challenges?.target ?? "",
  }));
  return [
    ...hosts,
    ...(domains.some(({ domain }) => domain === name) ? [] : [hostSpf(name, ttl, domains[0]?.spf)]),
    ...caa,
    ...delegated,
  ];
}

/**
 * Bounces have no sender: they are judged by the name in EHLO (RFC 7208 sections 2.4 and 10.1.3), which is the domain of
 * their From too. Without a record there they fail the DMARC policy of the domain above. The domains' record, with the
 * host itself instead of their MX: mail leaves by the same way.
 */
const hostSpf = (name: string, ttl: number, ofDomains = "v=spf1 mx -all"): WantedRecord => ({
  key: `txt-${name}-spf`,
  name,
  ttl,
  type: "TXT",
  text: ofDomains.replace(/(?<= [+?~-]?)mx(?= |$)/, "a"),
});

function domainRecords({ hostname, domains, ttl }: MailDns, model: MailDomain): WantedRecord[] {
  const { domain, reports, mtaSts } = model;
  const txt = (name: string, text: string): WantedRecord => ({ key: `txt-${name}`, name, ttl, type: "TXT", text });
  // RFC 5321 section 5.1. The target is no alias (RFC 2181 section 10.3).
  const mx: WantedRecord = { key: `mx-${domain}`, name: domain, ttl, type: "MX", priority: 10, target: hostname };
  return [
    mx,
    ...services.map(([service, offered]): WantedRecord => {
      const name = `${service}._tcp.${domain}`;
      const srv = offered ? { ...offered, target: hostname } : { priority: 0, weight: 0, port: 0, target: "." };
      return { key: `srv-${name}`, name, ttl, type: "SRV", srv };
    }),
    // One record at most may begin like this at a name (RFC 7208 section 3.2); other TXT records beside it are fine.
    { ...txt(domain, model.spf), key: `txt-${domain}-spf` },
    txt(`_dmarc.${domain}`, `v=DMARC1; p=${model.dmarc}; rua=mailto:${reports}`),
    ...reportConsent(domains, model).map((name) => txt(name, "v=DMARC1")),
    // RFC 8460 section 3.
    txt(`_smtp._tls.${domain}`, `v=TLSRPTv1; rua=mailto:${reports}`),
    ...(mtaSts === undefined ? [] : mtaStsRecords(domain, hostname, mtaSts, ttl)),
  ];
}

function mtaStsRecords(domain: string, hostname: string, mode: MtaStsMode, ttl: number): WantedRecord[] {
  const [name, host] = [mtaStsRecordName(domain), mtaStsHost(domain)];
  const text = `v=STSv1; id=${mtaStsId(mtaStsPolicy(mode, hostname))};`;
  return [
    { key: `txt-${name}`, name, ttl, type: "TXT", text },
    // An alias: it follows the mail host's addresses, and its CAA records.
    { key: `cname-${host}`, name: host, ttl, type: "CNAME", target: hostname },
  ];
}

/**
 * Reports for one domain that go to a mailbox of another need that other domain's consent (RFC 7489 section 7.1). It is
 * given where the other domain is this stack's as well.
 */
function reportConsent(domains: readonly MailDomain[], { domain, reports }: MailDomain): string[] {
  const receiver = reports.slice(reports.lastIndexOf("@") + 1);
  const related = domain === receiver || domain.endsWith(`.${receiver}`) || receiver.endsWith(`.${domain}`);
  const ours = domains.some((other) => other.domain === receiver);
  return ours && !related ? [`${domain}._report._dmarc.${receiver}`] : [];
}
