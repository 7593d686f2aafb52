// Judges what DNS says about the mail host and its domains where the stack does not make the records itself.
import { BlockList, isIPv6 } from "node:net";
import { isEmpty, recordsOf, unansweredQuestions, type DnsFacts } from "../facts/dns.ts";
import { error, warning, type Finding } from "./finding.ts";

/**
 * Addresses of Cloudflare's proxy, https://www.cloudflare.com/ips/ (unchanged since 2021). A name that resolves to one
 * is proxied, and the proxy forwards no mail.
 */
const cloudflareProxy = new BlockList();
for (const [network, prefix] of [
  ["173.245.48.0", 20],
  ["103.21.244.0", 22],
  ["103.22.200.0", 22],
  ["103.31.4.0", 22],
  ["141.101.64.0", 18],
  ["108.162.192.0", 18],
  ["190.93.240.0", 20],
  ["188.114.96.0", 20],
  ["197.234.240.0", 22],
  ["198.41.128.0", 17],
  ["162.158.0.0", 15],
  ["104.16.0.0", 13],
  ["104.24.0.0", 14],
  ["172.64.0.0", 13],
  ["131.0.72.0", 22],
] as const)
  cloudflareProxy.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of [
  ["2400:cb00::", 32],
  ["2606:4700::", 32],
  ["2803:f800::", 32],
  ["2405:b500::", 32],
  ["2405:8100::", 32],
  ["2a06:98c0::", 29],
  ["2c0f:f248::", 32],
] as const)
  cloudflareProxy.addSubnet(network, prefix, "ipv6");

const isProxy = (address: string): boolean => cloudflareProxy.check(address, isIPv6(address) ? "ipv6" : "ipv4");

/** One spelling for each address (RFC 5952). */
export const canonical = (address: string): string =>
  isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;

const familyOf = (address: string): "A" | "AAAA" => (isIPv6(address) ? "AAAA" : "A");

/**
 * Whether a name leads to the mail host.
 * @param key the key that names the host
 * @param addresses the mail host's public addresses; empty if the configuration does not say
 */
export function hostFindings(facts: DnsFacts, key: string, host: string, addresses: readonly string[]): Finding[] {
  const found = [...recordsOf(facts.A[host]), ...recordsOf(facts.AAAA[host])].map(canonical);
  const proxied = found.find(isProxy);
  if (proxied !== undefined) {
    return [
      error(
        key,
        `${host} resolves to ${proxied}, Cloudflare's proxy, which forwards no mail; set the record to DNS only`,
      ),
    ];
  }
  if (isEmpty(facts.A[host]) && isEmpty(facts.AAAA[host])) {
    const example = addresses[0] ?? "192.0.2.25";
    const record = `'${host}. ${familyOf(example)} ${example}'`;
    return [warning(key, `${host} has no address in DNS: neither a CA nor a mail server finds it; add ${record}`)];
  }
  if (addresses.length === 0) return [];
  const expected = addresses.map(canonical);
  const strangers = found.filter((address) => !expected.includes(address));
  const absent = expected.filter(
    (address) => !found.includes(address) && !("unanswered" in (facts[familyOf(address)][host] ?? [])),
  );
  const record = (address: string) => `'${host}. ${familyOf(address)} ${address}'`;
  return [
    ...strangers.map((address) =>
      error(
        "vectis:addresses",
        `does not list ${address}, to which ${host} leads: mail and the CA's validation would go there; ` +
          `remove the record ${record(address)}, or list the address`,
      ),
    ),
    ...absent.map((address) =>
      warning(
        "vectis:addresses",
        `lists ${address}, to which ${host} does not lead; add the record ${record(address)}, or take the address out`,
      ),
    ),
  ];
}

/** An MX record must not name an alias (RFC 2181 section 10.3, RFC 5321 section 5.1). */
export function aliasFindings(facts: DnsFacts, hostname: string): Finding[] {
  return recordsOf(facts.CNAME[hostname]).map((target) =>
    error(
      "vectis:hostname",
      `${hostname} is a CNAME of ${target}, which an MX record must not name; give it A and AAAA records instead`,
    ),
  );
}

/** Whether challenges that are delegated will be found; until then certd places no order. */
export function delegationFindings(facts: DnsFacts, name: string, target: string): Finding[] {
  const answer = facts.CNAME[name];
  if (answer === undefined || "unanswered" in answer || answer.includes(target)) return [];
  const is = answer.length === 0 ? "is no alias" : `is an alias of ${answer.join(", ")}`;
  const record = `'${name}. CNAME ${target}.'`;
  return [
    warning(
      "vectis:dns.challengeZone",
      `is not led to: ${name} ${is}, so that no certificate is ordered; add ${record}`,
    ),
  ];
}

const key = "vectis:domains";

/** Whether the mail of a domain comes here. */
export function mxFindings(facts: DnsFacts, domain: string, hostname: string): Finding[] {
  const answer = facts.MX[domain];
  const targets = recordsOf(answer);
  const record = `'${domain}. MX 10 ${hostname}.'`;
  const aliases = targets
    .filter((target) => target !== hostname && recordsOf(facts.CNAME[target]).length > 0)
    .map((target) =>
      warning(
        key,
        `has ${domain}, whose MX record names ${target}, a CNAME; many senders refuse that: name its target`,
      ),
    );
  if (isEmpty(answer)) {
    return [warning(key, `has ${domain}, which has no MX record: its mail does not come here; add ${record}`)];
  }
  if (targets.length === 0 || targets.includes(hostname)) return aliases;
  const named = targets.map((target) => (target === "" ? "nobody" : target)).join(", ");
  return [
    warning(key, `has ${domain}, whose MX names ${named}: its mail does not come here; add ${record}`),
    ...aliases,
  ];
}

/** A domain with two SPF records has none that counts (RFC 7208 section 4.5). */
export function spfFindings(facts: DnsFacts, domain: string): Finding[] {
  const records = recordsOf(facts.TXT[domain]).filter((text) => /^v=spf1(?: |$)/i.test(text));
  if (records.length < 2) return [];
  const texts = records.map((text) => `"${text}"`).join(" and ");
  return [warning(key, `has ${domain}, which has ${records.length} SPF records, ${texts}; merge them into one`)];
}

/** One warning for all questions without an answer: the checks that need them are left out. */
export function silenceFindings(facts: DnsFacts, servers: readonly string[]): Finding[] {
  const open = unansweredQuestions(facts);
  const [first] = open;
  if (first === undefined) return [];
  const more = open.length === 1 ? "" : ` and ${open.length - 1} more`;
  const who = servers.length === 0 ? "(the resolvers of this machine) did" : `${servers.join(", ")} did`;
  return [
    warning("vectis:resolvers", `${who} not answer ${first}${more}: DNS was not checked there; correct the addresses`),
  ];
}
