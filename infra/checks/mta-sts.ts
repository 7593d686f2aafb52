// Whether an MTA-STS policy may be enforced: senders that know it deliver only to a server whose certificate they trust, and
// keep to that for as long as the policy says (RFC 8461 sections 4 and 5). Pure.
import { covers, type LeafFacts } from "../../certd/validate.ts";
import { mtaStsRecordName } from "../../components/mail-records.ts";
import { error, warning, type Finding } from "./finding.ts";
import type { ZoneRecord } from "./zone.ts";

/** What is to be enforced. */
export interface EnforceWish {
  readonly mailHost: string;
  readonly domains: readonly string[];
  /** Id of the enforcing policy, as `_mta-sts` records announce it. */
  readonly policyId: string;
  /** Who signs the mail certificate, as far as the configuration tells. */
  readonly signer: "public" | "unknown" | "staging" | "stack";
}

export interface EnforceFacts {
  /** What port 25 serves. */
  readonly served: LeafFacts | { readonly unanswered: string };
  /** The records of the domains' zones; undefined if they cannot be seen. */
  readonly records: readonly ZoneRecord[] | undefined;
}

const key = "vectis:dns.mtaSts";
const first = "set it to testing, update, and wait until `vectis verify` is content";

const distrusted = {
  staging: "no sender trusts Let's Encrypt's staging environment; set vectis:tls.acme.directory to its production",
  stack: "no sender trusts the CA that the stack makes for itself; set vectis:tls.provider to letsencrypt or custom",
} as const;

/** @param now milliseconds since the epoch */
export function enforceFindings(wish: EnforceWish, facts: EnforceFacts, now: number): Finding[] {
  const { signer } = wish;
  if (signer === "staging" || signer === "stack") {
    return [error(key, `is enforce, and ${distrusted[signer]}, or this to testing`)];
  }
  // Once announced, senders hold the host to it whatever is changed here, and a host that is down must come up again.
  if (facts.records !== undefined && wish.domains.every((domain) => announces(wish, domain, facts.records ?? []))) {
    return [];
  }
  const problem = problemOf(wish.mailHost, facts.served, now);
  if (problem === undefined) return [];
  const what = `is enforce, and senders would find ${problem} on port 25; first ${first}`;
  // Where the records are made by hand, it cannot be told whether this begins now or has been so for long.
  return [facts.records === undefined ? warning(key, what) : error(key, what)];
}

function announces({ policyId }: EnforceWish, domain: string, records: readonly ZoneRecord[]): boolean {
  const name = mtaStsRecordName(domain);
  return records.some((record) => record.type === "TXT" && record.name === name && record.content.includes(policyId));
}

function problemOf(mailHost: string, served: EnforceFacts["served"], now: number): string | undefined {
  if ("unanswered" in served) return `no certificate (${served.unanswered})`;
  if (served.selfSigned) return "a self-signed certificate";
  if (!covers(served.names, mailHost)) return `a certificate for ${served.names.join(", ")}`;
  if (served.notAfter <= now) return "an expired certificate";
  return undefined;
}
