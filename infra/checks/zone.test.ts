import assert from "node:assert/strict";
import { test } from "node:test";
import { mailRecords, recordOwner, recordResourceName, type WantedRecord } from "../../components/mail-records.ts";
import { recordInputs } from "../../components/records.ts";
import type { Issuance } from "../issuance.ts";
import type { Finding } from "./finding.ts";
import { isAlias, type WantedRecords, zoneFindings, type ZoneRecord } from "./zone.ts";

const zoneId = "023e105f4ecef8ad9ca31a8372d0c353";
const owner = recordOwner("mx1");
const issuance: Issuance = {
  issuer: { identity: "ca.example", accountUris: [] },
  orders: [
    { client: "acme.sh", names: ["mail.example.com"], challenge: "http-01", challengeKey: "vectis:tls.challenge" },
  ],
};

const challenges = {
  names: ["_acme-challenge.imap.example.com"],
  target: "_acme-challenge.mail.example.com.example.net",
};

function wanted(changed: Partial<WantedRecords> = {}, addresses = ["192.0.2.25", "2001:db8::25"]): WantedRecords {
  const records = mailRecords({
    hostname: "mail.example.com",
    addresses,
    caa: { issuer: "ca.example", accountUris: [], orders: issuance.orders },
    challenges,
    reports: "admin@example.com",
    ttl: 300,
    domains: [
      {
        domain: "example.com",
        reports: "admin@example.com",
        spf: "v=spf1 mx -all",
        dmarc: "quarantine",
        mtaSts: "enforce",
      },
    ],
  });
  return {
    stack: "prod",
    owner,
    mailHost: "mail.example.com",
    records,
    issuance,
    enforcesMx: true,
    ...changed,
  };
}

/** The zone after an update: each wanted record as the API lists it. */
function published(comment: string | undefined): ZoneRecord[] {
  return wanted().records.map((record, index) => {
    const inputs = recordInputs(record, owner) as Record<string, unknown>;
    const caa = record.type === "CAA" ? record.caa : undefined;
    const srv = record.type === "SRV" ? record.srv : undefined;
    const content =
      (inputs["content"] as string | undefined) ??
      (caa ? `${caa.flags} ${caa.tag} "${caa.value}"` : `${srv?.weight} ${srv?.port} ${srv?.target}`);
    return {
      ...inputs,
      zoneId,
      id: `id${index}`,
      content,
      comment: comment ?? "",
    } as ZoneRecord;
  });
}

const foreign = (type: string, name: string, content: string, more: Partial<ZoneRecord> = {}): ZoneRecord => ({
  zoneId,
  id: "f0",
  name,
  type,
  content,
  proxied: false,
  ...more,
});
const judged = (about: WantedRecords, records: ZoneRecord[]): Finding[] => zoneFindings(about, records);
const find = (...existing: ZoneRecord[]): Finding[] => judged(wanted(), existing);

test("an empty zone, one with the stack's own records, and one with unrelated records are all in order", () => {
  assert.deepEqual(find(), []);
  assert.deepEqual(find(...published(owner)), []);
  assert.deepEqual(
    find(
      foreign("TXT", "example.com", '"google-site-verification=abc"'),
      foreign("A", "www.example.com", "192.0.2.80", { proxied: true }),
      foreign("A", "example.com", "192.0.2.80", { proxied: true }),
      foreign("CNAME", "autoconfig.example.com", "other.example"),
      foreign("TXT", "_acme-challenge.mail.example.com", '"abc"'),
      foreign("CAA", "www.example.com", '0 issue "other.example"'),
    ),
    [],
  );
});

test("an identical record that nobody marked is a warning with the command that imports it, for every type", () => {
  const existing = published(undefined);
  const findings = find(...existing);
  assert.equal(findings.length, existing.length);
  for (const [index, record] of wanted().records.entries()) {
    const name = recordResourceName("records", record);
    const command = `pulumi import cloudflare:index/dnsRecord:DnsRecord ${name} ${zoneId}/id${index} --protect=false --generate-code=false --stack prod`;
    const match = findings.filter(({ problem }) => problem.endsWith(`\n      ${command}`));
    assert.equal(match.length, 1, command);
    assert.equal(match[0]?.severity, "warning");
  }
});

test("another stack's mark is a foreign one, and other spellings of a value are the same value", () => {
  const same = (record: ZoneRecord): void => {
    const [finding, ...more] = find(record);
    assert.deepEqual([finding?.severity, more], ["warning", []], record.content);
    assert.match(finding?.problem ?? "", /pulumi import /);
  };
  same(foreign("MX", "Example.com", "MAIL.example.com.", { priority: 10, comment: "vectis:other" }));
  same(foreign("AAAA", "mail.example.com", "2001:0db8:0:0::25"));
  same(foreign("TXT", "example.com", "v=spf1 mx -all"));
  same(foreign("TXT", "example.com", '"v=spf1 mx" " -all"'));
  same(foreign("CAA", "mail.example.com", '0 issuewild ";"'));
  same(foreign("SRV", "_imaps._tcp.example.com", "0 1 993 mail.example.com", { priority: 0 }));
});

test("what would break mail or certificates is an error with the key to change", () => {
  const cases: readonly [record: ZoneRecord, key: string, message: RegExp][] = [
    [
      foreign("TXT", "example.com", '"v=spf1 include:_spf.example.net ~all"'),
      "vectis:dns.spf",
      /^makes a record beside example\.com TXT .*_spf\.example\.net.*one SPF record at most .*RFC 7208 section 3\.2.*delete that/,
    ],
    [
      foreign("TXT", "_dmarc.example.com", '"v=DMARC1;p=none"'),
      "vectis:dns.dmarc",
      /beside _dmarc\.example\.com TXT .*one DMARC record at most/,
    ],
    [
      foreign("TXT", "_mta-sts.example.com", '"v=STSv1; id=1;"'),
      "vectis:dns.mtaSts",
      /beside _mta-sts\.example\.com TXT .*one MTA-STS record at most/,
    ],
    [
      foreign("TXT", "_smtp._tls.example.com", '"v=TLSRPTv1; rua=mailto:x@example.net"'),
      "vectis:dns.reports",
      /one TLS-RPT record at most/,
    ],
    [
      foreign("CNAME", "mail.example.com", "host.example.net"),
      "vectis:dns",
      /^needs the name of mail\.example\.com CNAME host\.example\.net, which is not this stack.s: an MX must not name an alias \(RFC 2181/,
    ],
    [
      foreign("CNAME", "_dmarc.example.com", "dmarc.example.net"),
      "vectis:dns",
      /nothing may be beside an alias \(RFC 1034/,
    ],
    [
      foreign("A", "mta-sts.example.com", "192.0.2.80"),
      "vectis:dns.mtaSts",
      /^needs the name of mta-sts\.example\.com A 192\.0\.2\.80, .*or set vectis:dns\.mtaSts to off/,
    ],
    [
      foreign("TXT", "_acme-challenge.imap.example.com", '"somebody else\'s order"'),
      "vectis:dns.challengeZone",
      /^needs the name of _acme-challenge\.imap\.example\.com TXT .*for an alias; delete that record, or remove the key/,
    ],
    [
      foreign("CNAME", "_acme-challenge.imap.example.com", "other.example.net"),
      "vectis:dns",
      /^needs the name of _acme-challenge\.imap\.example\.com CNAME other\.example\.net/,
    ],
    [
      foreign("CNAME", "mta-sts.example.com", "policy.example.net"),
      "vectis:dns",
      /^needs the name of mta-sts\.example\.com CNAME policy\.example\.net/,
    ],
    [
      foreign("A", "mail.example.com", "192.0.2.99"),
      "vectis:addresses",
      /^does not list mail\.example\.com A 192\.0\.2\.99, .*list its address/,
    ],
    [foreign("AAAA", "mail.example.com", "2001:db8::99"), "vectis:addresses", /^does not list mail\.example\.com AAAA/],
    [
      foreign("A", "mail.example.com", "192.0.2.99", { proxied: true }),
      "vectis:addresses",
      /^cannot be reached through mail\.example\.com A 192\.0\.2\.99, which is behind Cloudflare's proxy/,
    ],
  ];
  for (const [record, key, message] of cases) {
    const findings = find(record);
    assert.deepEqual(
      findings.map(({ severity }) => severity),
      ["error"],
      JSON.stringify(findings),
    );
    assert.equal(findings[0]?.key, key);
    assert.match(findings[0]?.problem ?? "", message);
  }
});

test("SPF of the mail host's own name is one record at most, as a domain's is", () => {
  const [finding, ...more] = find(foreign("TXT", "mail.example.com", '"v=spf1 ip4:192.0.2.1 -all"'));
  assert.deepEqual([finding?.severity, finding?.key, more], ["error", "vectis:dns.spf", []]);
  assert.match(finding?.problem ?? "", /^makes a record beside mail\.example\.com TXT .*one SPF record at most/);
});

test("a mail host with a wildcard's address needs its addresses listed: its own records would take that away", () => {
  const wildcard = foreign("A", "*.example.com", "192.0.2.25");
  const [finding, ...more] = judged(wanted({}, []), [wildcard]);
  assert.deepEqual([finding?.severity, finding?.key, more], ["error", "vectis:addresses", []]);
  assert.match(finding?.problem ?? "", /^is empty, and mail\.example\.com has its address by \*\.example\.com A 192/);
  assert.deepEqual(judged(wanted(), [wildcard]), []);
  assert.deepEqual(judged(wanted({}, []), [wildcard, foreign("A", "mail.example.com", "192.0.2.25")]), []);
});

test("a mail host behind the proxy is named, whosever its records are", () => {
  const proxied = foreign("A", "mail.example.com", "192.0.2.25", { proxied: true });
  const others = judged(wanted({}, []), [proxied]);
  assert.equal(others.length, 1);
  assert.equal(others[0]?.severity, "error");
  assert.match(others[0]?.problem ?? "", /behind Cloudflare's proxy: it forwards no mail; set it to "DNS only"/);
  const own = find({ ...proxied, comment: owner });
  assert.deepEqual(
    own.map(({ severity }) => severity),
    ["warning"],
  );
  assert.match(own[0]?.problem ?? "", /`pulumi up --refresh` turns the proxy off/);
});

test("CAA that forbids the CA is an error: at the name, at a parent, the stack's own included", () => {
  const only = (records: readonly WantedRecord[], ...existing: ZoneRecord[]): Finding[] =>
    judged(wanted({ records }), existing).filter(({ key }) => key.startsWith("vectis:tls"));
  const { records } = wanted();
  const without = records.filter(({ type }) => type !== "CAA");
  const shutOut = foreign("CAA", "example.com", '0 issue "other.example"');
  assert.deepEqual(only(records, shutOut), [], "the nearer set of this stack admits the CA");
  const [atParent] = only(without, shutOut);
  assert.equal(atParent?.severity, "error");
  assert.match(
    atParent?.problem ?? "",
    /^belongs to ca\.example, but the CAA records of example\.com let only other\.example issue for mail\.example\.com/,
  );
  const own = records.map((record): WantedRecord =>
    record.type === "CAA" && record.caa.tag === "issue"
      ? { ...record, caa: { ...record.caa, value: "ca.example; validationmethods=dns-01" } }
      : record,
  );
  assert.equal(only(own).length, 1, "its own record names another method");
  const old = published(owner).filter(({ type }) => type === "CAA");
  assert.deepEqual(
    only(records, ...old.map((record) => ({ ...record, content: '0 issue ";"', data: {} }))),
    [],
    "its old records go",
  );
  assert.deepEqual(judged(wanted({ records: without, issuance: undefined }), [shutOut]), [], "no CA, no question");
});

test("another MX is told of where the MTA-STS policy makes senders refuse it", () => {
  const other = foreign("MX", "example.com", "mx2.example.net", { priority: 20 });
  assert.deepEqual(
    find(other).map(({ severity, key }) => [severity, key]),
    [["warning", "vectis:dns.mtaSts"]],
  );
  assert.deepEqual(judged(wanted({ enforcesMx: false }), [other]), []);
});

test("an alias at a name that gets CAA alone is to be replaced, not deleted: the CA looks for the name", () => {
  const caa = { flags: 0, tag: "issue", value: "ca.example" };
  const more = { key: "caa-imap", name: "imap.example.com", ttl: 300, type: "CAA", caa } as const;
  const about = wanted({ records: [...wanted().records, more] });
  const findings = judged(about, [foreign("CNAME", "imap.example.com", "mail.example.com")]);
  assert.deepEqual(
    findings.map(({ severity, key }) => [severity, key]),
    [["error", "vectis:tls.names"]],
  );
  assert.match(findings[0]?.problem ?? "", /replace it by A and AAAA records, or leave the name out$/);
});

test("a name stands for another as an alias, or by a wildcard that a record of its own would put out", () => {
  const imap = "imap.example.com";
  const wildcard = foreign("A", "*.example.com", "192.0.2.25");
  assert.ok(!isAlias(imap, []));
  assert.ok(!isAlias(imap, [foreign("A", imap, "192.0.2.25")]));
  assert.ok(isAlias(imap, [foreign("CNAME", "IMAP.example.com", "mail.example.com")]));
  assert.ok(isAlias(imap, [wildcard]));
  assert.ok(isAlias(imap, [wildcard, foreign("CAA", imap, '0 issuewild ";"', { comment: owner })]), "that one goes");
  assert.ok(!isAlias(imap, [wildcard, foreign("AAAA", imap, "2001:db8::25")]));
  assert.ok(!isAlias(imap, [foreign("MX", "*.example.com", "mail.example.com")]));
  assert.ok(!isAlias("example.com", [wildcard]));
});

test("CAA of an alias is that of its target (RFC 8659 section 3)", () => {
  const names = ["mail.example.com", "imap.example.com"];
  const order = { client: "acme.sh", names, challenge: "http-01", challengeKey: "vectis:tls.challenge" } as const;
  const about = wanted({ issuance: { ...issuance, orders: [order] } });
  const shutOut = foreign("CAA", "example.com", '0 issue "other.example"');
  const refused = (...existing: ZoneRecord[]): string[] =>
    judged(about, [shutOut, ...existing]).map(({ problem }) => /for (\S+);/.exec(problem)?.[1] ?? problem);
  assert.deepEqual(refused(), ["imap.example.com"]);
  assert.deepEqual(refused(foreign("CNAME", "imap.example.com", "mail.example.com")), []);
  assert.deepEqual(refused(foreign("CNAME", "*.example.com", "mail.example.com")), []);
  const [there, back] = [
    foreign("CNAME", "imap.example.com", "pop.example.com"),
    foreign("CNAME", "pop.example.com", "imap.example.com"),
  ];
  assert.deepEqual(refused(there, back), ["imap.example.com"], "a loop ends");
});
