// What a zone already holds against what this stack wants to put there. Pure: the zone's listing in, findings out.
// Nobody changes or removes a record that the stack does not own; a human is told what to do.
import { isIP } from "node:net";
import type { CaaData } from "../../components/caa.ts";
import { type RecordData, recordResourceName, type WantedRecord } from "../../components/mail-records.ts";
import { rdata, unquoted } from "../../components/zone-file.ts";
import { recordsName } from "../dns-plan.ts";
import { climb, type CaaRecord } from "../facts/dns.ts";
import type { Issuance } from "../issuance.ts";
import { caaFindings } from "./caa.ts";
import { error, warning, type Finding } from "./finding.ts";

/** A record as Cloudflare's API lists it. */
export interface ZoneRecord {
  readonly zoneId: string;
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly priority?: number;
  readonly data?: {
    readonly flags?: unknown;
    readonly tag?: string;
    readonly value?: string;
    readonly weight?: number;
    readonly port?: number;
    readonly target?: string;
    readonly certificate?: string;
  };
  readonly proxied?: boolean;
  /** Tells whose a record is. */
  readonly comment?: string;
  /** RFC 3339. */
  readonly createdOn?: string;
}

/** The stack's records, and whose they are. */
export interface WantedRecords {
  /** Name of the Pulumi stack. */
  readonly stack: string;
  /** Comment of the stack's own records. */
  readonly owner: string;
  readonly mailHost: string;
  readonly records: readonly WantedRecord[];
  /** Undefined if nothing is ordered from a CA. */
  readonly issuance: Issuance | undefined;
  /** Whether the MTA-STS policy makes senders refuse every other MX. */
  readonly enforcesMx: boolean;
}

const recordType = "cloudflare:index/dnsRecord:DnsRecord";

/** The command that takes a record into the stack's state; the next update writes the owner into its comment. */
export function importCommand(stack: string, resourceName: string, { zoneId, id }: ZoneRecord): string {
  const options = `--protect=false --generate-code=false --stack ${stack}`;
  return `pulumi import ${recordType} ${resourceName} ${zoneId}/${id} ${options}`;
}

/**
 * Whether a name stands for another by what its zone holds: as an alias, or by a wildcard's addresses, which a record of
 * its own would take from it (RFC 4592 section 2.2.1).
 */
export function isAlias(name: string, existing: readonly ZoneRecord[]): boolean {
  const at = existing.filter((record) => plain(record.name) === name && record.type !== "CAA");
  return at.length > 0 ? at.some(({ type }) => type === "CNAME") : wildcardFor(name, existing) !== undefined;
}

/** The wildcards that may answer for a name without records, the nearest first. */
const wildcardsOf = (name: string): string[] =>
  climb(name)
    .slice(1)
    .map((parent) => `*.${parent}`);

/** The one that leads a name without records to an address. */
const wildcardFor = (name: string, existing: readonly ZoneRecord[]): ZoneRecord | undefined =>
  wildcardsOf(name)
    .flatMap((wildcard) => existing.filter((record) => plain(record.name) === wildcard))
    .find(({ type }) => ["A", "AAAA", "CNAME"].includes(type));

/**
 * All that speaks against an update. An identical record is a warning only: after its import it stays unmarked until the
 * next update.
 */
export function zoneFindings(wanted: WantedRecords, existing: readonly ZoneRecord[]): Finding[] {
  const at = byName(existing);
  return [
    ...[...byName(wanted.records)].flatMap(([name, records]) => atName(wanted, name, records, at.get(name) ?? [])),
    ...putOut(wanted, existing),
    ...forbidden(wanted, existing),
  ];
}

function byName<T extends { readonly name: string }>(records: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    const name = plain(record.name);
    groups.set(name, [...(groups.get(name) ?? []), record]);
  }
  return groups;
}

function atName(
  stack: WantedRecords,
  name: string,
  wanted: readonly WantedRecord[],
  existing: readonly ZoneRecord[],
): Finding[] {
  const values = new Map(wanted.map((record) => [identity(record), record]));
  return existing.flatMap((record) => {
    if (record.comment === stack.owner) return record.proxied === true ? [turnedOn(record)] : [];
    const same = values.get(valueOf(record));
    if (same === undefined) return conflict(stack, name, wanted, record);
    const command = importCommand(stack.stack, recordResourceName(recordsName, same), record);
    return [
      warning(
        "vectis:dns",
        `makes ${shown(record)}, which exists already without this stack's mark; ` +
          `if this stack's state does not have it yet, take it in with\n      ${command}`,
      ),
    ];
  });
}

/** A mail host that has its addresses by a wildcard alone: the first record at its name would take them away. */
function putOut({ mailHost, records }: WantedRecords, existing: readonly ZoneRecord[]): Finding[] {
  const listed = records.some(({ name, type }) => name === mailHost && (type === "A" || type === "AAAA"));
  const wildcard = wildcardFor(mailHost, existing);
  if (listed || wildcard === undefined || byName(existing).has(mailHost)) return [];
  const what = `is empty, and ${mailHost} has its address by ${shown(wildcard)} alone`;
  const why = "the stack's records at the name end that (RFC 4592 section 2.2.1)";
  return [error("vectis:addresses", `${what}: ${why}; list the addresses of the mail host`)];
}

const turnedOn = (record: ZoneRecord): Finding =>
  warning("vectis:dns", `made ${behindProxy(record)}; \`pulumi up --refresh\` turns the proxy off`);

/** What makes a foreign record at a wanted name a problem, if it is one. */
function conflict(
  { mailHost, enforcesMx }: WantedRecords,
  name: string,
  wanted: readonly WantedRecord[],
  record: ZoneRecord,
): Finding[] {
  const types = new Set(wanted.map(({ type }) => type));
  const isAddress = record.type === "A" || record.type === "AAAA";
  const foreign = `${shown(record)}, which is not this stack's`;
  if (record.type === "CNAME" && name !== mailHost && wanted.every(({ type }) => type === "CAA")) {
    const choice = "replace it by A and AAAA records, or leave the name out";
    return [error("vectis:tls.names", `needs the name of ${foreign}, for CAA records; ${choice}`)];
  }
  if (record.type === "CNAME") {
    const why =
      name === mailHost
        ? "an MX must not name an alias (RFC 2181 section 10.3)"
        : "nothing may be beside an alias (RFC 1034 section 3.6.2)";
    return [error("vectis:dns", `needs the name of ${foreign}: ${why}; delete that record`)];
  }
  if (types.has("CNAME")) {
    const [key, off] = name.startsWith("_acme-challenge.")
      ? ["vectis:dns.challengeZone", "remove the key"]
      : ["vectis:dns.mtaSts", "set vectis:dns.mtaSts to off"];
    return [error(key, `needs the name of ${foreign}, for an alias; delete that record, or ${off}`)];
  }
  if (isAddress && name === mailHost && record.proxied === true)
    return [error("vectis:addresses", `cannot be reached through ${behindProxy(record)}; set it to "DNS only"`)];
  if (isAddress && (types.has("A") || types.has("AAAA"))) {
    const choice = "delete that record, or list its address";
    return [error("vectis:addresses", `does not list ${foreign}: mail would go there too; ${choice}`)];
  }
  if (record.type === "TXT") {
    const [kind] = wanted.flatMap((one) => (one.type === "TXT" ? (sameKind(one.text, record) ?? []) : []));
    if (kind === undefined) return [];
    const rule = `one ${kind.what} at most may be at a name (${kind.section})`;
    return [error(kind.key, `makes a record beside ${foreign}: ${rule}; delete that record`)];
  }
  if (record.type === "MX" && enforcesMx) {
    const effect = "senders that know the policy refuse to deliver there";
    return [warning("vectis:dns.mtaSts", `is enforce, and ${name} has ${foreign}: ${effect}`)];
  }
  return [];
}

/** TXT records of which a name may have one only, by the version tag that they begin with. */
const kinds: Readonly<Record<string, { readonly what: string; readonly key: string; readonly section: string }>> = {
  "v=spf1": { what: "SPF record", key: "vectis:dns.spf", section: "RFC 7208 section 3.2" },
  "v=dmarc1": { what: "DMARC record", key: "vectis:dns.dmarc", section: "RFC 7489 section 6.6.3" },
  "v=stsv1": { what: "MTA-STS record", key: "vectis:dns.mtaSts", section: "RFC 8461 section 3.1" },
  "v=tlsrptv1": { what: "TLS-RPT record", key: "vectis:dns.reports", section: "RFC 8460 section 3" },
};

/** What a wanted text and a foreign record both are, if they are of one kind. */
function sameKind(text: string, record: ZoneRecord): (typeof kinds)[string] | undefined {
  const version = (value: string): string => value.toLowerCase().split(/[\s;]/, 1)[0] ?? "";
  return version(text) === version(unquoted(record.content)) ? kinds[version(text)] : undefined;
}

/** CAA as it will be after the update: what is wanted, and what others have put there. */
function forbidden({ issuance, records, owner }: WantedRecords, existing: readonly ZoneRecord[]): Finding[] {
  if (issuance?.issuer === undefined) return [];
  const others = existing.filter(({ comment }) => comment !== owner);
  const entries = [
    ...records.flatMap((record) => (record.type === "CAA" ? [{ name: record.name, caa: record.caa }] : [])),
    ...others.flatMap((record) => {
      const caa = record.type === "CAA" ? caaOf(record) : undefined;
      return caa === undefined ? [] : [{ name: plain(record.name), caa }];
    }),
  ];
  const names = issuance.orders.flatMap((order) => order.names.flatMap(climb));
  const at = (name: string): CaaRecord[] =>
    entries
      .filter((entry) => entry.name === name)
      .map(({ caa }) => ({ critical: caa.flags >= 128, tag: caa.tag.toLowerCase(), value: caa.value }));
  const targets = new Map([
    ...others.flatMap(({ type, name, content }) => (type === "CNAME" ? [[plain(name), plain(content)] as const] : [])),
    ...records.flatMap((record) => (record.type === "CNAME" ? [[record.name, record.target] as const] : [])),
  ]);
  const known = new Set([...others, ...records].map(({ name }) => plain(name)));
  const targetOf = (name: string): string | undefined =>
    [name, ...(known.has(name) ? [] : wildcardsOf(name))].flatMap((at) => targets.get(at) ?? [])[0];
  /** As a resolver answers: with the records of an alias's target (RFC 8659 section 3). */
  const answer = (name: string, passed: readonly string[] = []): CaaRecord[] => {
    const target = at(name).length > 0 || passed.includes(name) ? undefined : targetOf(name);
    return target === undefined ? at(name) : answer(target, [...passed, name]);
  };
  const CAA = Object.fromEntries(names.map((name) => [name, answer(name)]));
  return caaFindings({ A: {}, AAAA: {}, CNAME: {}, MX: {}, TXT: {}, CAA }, issuance.issuer, issuance.orders);
}

const plain = (name: string): string => (name === "." ? name : name.toLowerCase().replace(/\.$/, ""));
const behindProxy = (record: ZoneRecord): string =>
  `${shown(record)}, which is behind Cloudflare's proxy: it forwards no mail`;
const shown = (record: ZoneRecord): string =>
  `${plain(record.name)} ${record.type} ${record.priority === undefined ? "" : `${record.priority} `}${record.content}`;

const identity = (record: RecordData): string => `${record.type} ${rdata(record)}`;

/** The same for a record of the zone, so that equal records are equal texts. */
function valueOf(record: ZoneRecord): string {
  const data = dataOf(record);
  return data === undefined ? `${record.type} ${record.content}` : identity(data);
}

function dataOf(record: ZoneRecord): RecordData | undefined {
  const { type, content } = record;
  switch (type) {
    case "A":
      return { type, address: content };
    case "AAAA":
      return { type, address: isIP(content) === 6 ? new URL(`http://[${content}]/`).hostname.slice(1, -1) : content };
    case "CNAME":
      return { type, target: plain(content) };
    case "MX":
      return { type, priority: record.priority ?? 0, target: plain(content) };
    case "TXT":
      return { type, text: unquoted(content) };
    case "CAA": {
      const caa = caaOf(record);
      return caa && { type, caa };
    }
    case "SRV": {
      // The content repeats the data, with the priority in front or not.
      const [weight = 0, port = 0, target = ""] = content.split(" ").slice(-3);
      const { data } = record;
      return {
        type,
        srv: {
          priority: record.priority ?? 0,
          weight: Number(data?.weight ?? weight),
          port: Number(data?.port ?? port),
          target: plain(data?.target || target),
        },
      };
    }
    default:
      return undefined;
  }
}

function caaOf({ content, data }: ZoneRecord): CaaData | undefined {
  if (data?.tag) return { flags: Number(data.flags ?? 0), tag: data.tag, value: data.value ?? "" };
  const [, flags, tag, value] = /^(\d+) (\w+) "?([^"]*)"?$/.exec(content) ?? [];
  return tag === undefined ? undefined : { flags: Number(flags), tag, value: value ?? "" };
}
