// Whether the CAA records in DNS let a CA issue for a name: RFC 8659, with the parameters of RFC 8657.
import { climb, recordsOf, type CaaRecord, type DnsFacts } from "../facts/dns.ts";
import { error, warning, type Finding } from "./finding.ts";

/** One ACME client's order. */
export interface Order {
  /** Who orders, for the message, for example `Traefik`. */
  readonly client: string;
  readonly names: readonly string[];
  readonly challenge: "http-01" | "dns-01" | "tls-alpn-01";
  /** The key that decides the challenge. */
  readonly challengeKey: string;
}

export interface Issuer {
  /** The CA's issuer domain name, for example `letsencrypt.org`. */
  readonly identity: string;
  /** URIs of the stack's accounts there as far as they are known. */
  readonly accountUris: readonly string[];
}

export type CaaVerdict =
  | { readonly is: "allowed" }
  | { readonly is: "unanswered" }
  /** Only these issuers may issue; nobody if empty. */
  | { readonly is: "issuer"; readonly at: string; readonly tag: string; readonly allowed: readonly string[] }
  | { readonly is: "method"; readonly at: string; readonly allowed: readonly string[] }
  | { readonly is: "account"; readonly at: string; readonly allowed: readonly string[] }
  /** A critical property that is unknown forbids every CA (RFC 8659 section 4.1). */
  | { readonly is: "critical"; readonly at: string; readonly tag: string };

interface IssueProperty {
  /** Empty: nobody. */
  readonly issuer: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const knownTags = new Set(["issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"]);

/** Value of an `issue` or `issuewild` property; a malformed one counts as "nobody" (RFC 8659 section 4.2). */
export function parseIssue(value: string): IssueProperty {
  const [issuer = "", ...rest] = value.split(";").map((part) => part.trim());
  const parameters = rest.filter((part) => part !== "").map((part) => /^([a-z0-9-]+)\s*=\s*(\S*)$/i.exec(part));
  const wellFormed = /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*)?$/i.test(issuer) && parameters.every((part) => part !== null);
  if (!wellFormed) return { issuer: "", parameters: new Map() };
  return {
    issuer: issuer.toLowerCase(),
    parameters: new Map(parameters.map((part) => [part?.[1]?.toLowerCase() ?? "", part?.[2] ?? ""])),
  };
}

/** The CAA records that count for a name: those of the closest ancestor that has any. */
function relevant(facts: DnsFacts, name: string): { at: string; records: readonly CaaRecord[] } | "unanswered" {
  for (const at of climb(name)) {
    const answer = facts.CAA[at];
    if (answer !== undefined && "unanswered" in answer) return "unanswered";
    const records = recordsOf(answer);
    if (records.length > 0) return { at, records };
  }
  return { at: name, records: [] };
}

export function caaVerdict(facts: DnsFacts, issuer: Issuer, name: string, challenge: Order["challenge"]): CaaVerdict {
  const found = relevant(facts, name);
  if (found === "unanswered") return { is: "unanswered" };
  const { at, records } = found;
  const unknown = records.find(({ critical, tag }) => critical && !knownTags.has(tag));
  if (unknown !== undefined) return { is: "critical", at, tag: unknown.tag };
  const wild = name.startsWith("*.") && records.some((record) => record.tag === "issuewild");
  const tag = wild ? "issuewild" : "issue";
  const properties = records.filter((record) => record.tag === tag).map(({ value }) => parseIssue(value));
  if (properties.length === 0) return { is: "allowed" };
  const ours = properties.filter((property) => property.issuer === issuer.identity);
  if (ours.length === 0) {
    return { is: "issuer", at, tag, allowed: unique(properties.map((property) => property.issuer)) };
  }
  const methodsOf = ({ parameters }: IssueProperty) => parameters.get("validationmethods")?.toLowerCase().split(",");
  const byMethod = ours.filter((property) => methodsOf(property)?.includes(challenge) ?? true);
  if (byMethod.length === 0) {
    return { is: "method", at, allowed: unique(ours.flatMap((property) => methodsOf(property) ?? [])) };
  }
  const accounts = byMethod.map(({ parameters }) => parameters.get("accounturi"));
  // Which of the known accounts will order is not known here: one of them must do.
  return accounts.some((account) => account === undefined || issuer.accountUris.includes(account))
    ? { is: "allowed" }
    : { is: "account", at, allowed: unique(accounts.flatMap((account) => account ?? [])) };
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)].filter((text) => text !== "");

/** One finding for each name and order that the CA must refuse. */
export function caaFindings(facts: DnsFacts, issuer: Issuer, orders: readonly Order[]): Finding[] {
  return orders.flatMap((order) =>
    order.names.flatMap((name) => describe(caaVerdict(facts, issuer, name, order.challenge), issuer, name, order)),
  );
}

function describe(verdict: CaaVerdict, { identity, accountUris }: Issuer, name: string, order: Order): Finding[] {
  switch (verdict.is) {
    case "allowed":
    case "unanswered":
      return [];
    case "issuer": {
      const who = verdict.allowed.length === 0 ? "no CA" : `only ${verdict.allowed.join(", ")}`;
      const record = `'${verdict.at}. CAA 0 ${verdict.tag} "${identity}"'`;
      return [
        error(
          "vectis:tls.acme.directory",
          `belongs to ${identity}, but the CAA records of ${verdict.at} let ${who} issue for ${name}; ` +
            `add ${record}, or choose another directory`,
        ),
      ];
    }
    case "method":
      return [
        error(
          order.challengeKey,
          `makes ${order.client} use ${order.challenge}, but the CAA records of ${verdict.at} let ${identity} issue ` +
            `for ${name} by ${verdict.allowed.join(", ")} only (validationmethods); add ${order.challenge} there`,
        ),
      ];
    case "account": {
      const accounts = verdict.allowed.join(" and ");
      const says = `the CAA records of ${verdict.at} let only the account ${accounts} order for ${name} (accounturi)`;
      // Without known accounts it may be the right one.
      return accountUris.length === 0
        ? [warning("vectis:tls.acme.accountUris", `is not set, but ${says}; set it to the stack's accounts`)]
        : [error("vectis:tls.acme.accountUris", `has no such account, but ${says}; add a CAA record for each of them`)];
    }
    case "critical":
      return [
        error(
          "vectis:tls.acme.directory",
          `cannot issue for ${name}: ${verdict.at} has a critical CAA property "${verdict.tag}", which forbids every CA ` +
            `that does not know it; remove that record`,
        ),
      ];
  }
}
