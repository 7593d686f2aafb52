import assert from "node:assert/strict";
import { test } from "node:test";
import { type MailDns, mailRecords, mtaStsId, mtaStsPolicy, type WantedRecord } from "./mail-records.ts";
import { zoneFile } from "./zone-file.ts";

const model: MailDns = {
  hostname: "mail.example.com",
  addresses: ["192.0.2.25", "2001:db8::25"],
  caa: {
    issuer: "letsencrypt.org",
    accountUris: [],
    orders: [
      { challenge: "http-01", names: ["mail.example.com"] },
      { challenge: "http-01", names: ["mail.example.com"] },
    ],
  },
  challenges: undefined,
  reports: "admin@example.com",
  ttl: 300,
  domains: [
    {
      domain: "example.com",
      reports: "admin@example.com",
      spf: "v=spf1 mx -all",
      dmarc: "quarantine",
      mtaSts: "testing",
    },
  ],
};
const [example] = model.domains;
assert.ok(example);

const lines = (changed: Partial<MailDns>, part: RegExp): string[] =>
  zoneFile(mailRecords({ ...model, ...changed }))
    .split("\n")
    .filter((line) => part.test(line));

test("one host and one domain: every record, as a zone file has it", () => {
  const id = mtaStsId(mtaStsPolicy("testing", "mail.example.com"));
  const wanted: readonly [line: string, source: string][] = [
    ["mail.example.com. 300 IN A 192.0.2.25", "RFC 5321 section 5.1"],
    ["mail.example.com. 300 IN AAAA 2001:db8::25", "RFC 5321 section 5.2"],
    ['mail.example.com. 300 IN TXT "v=spf1 a -all"', "RFC 7208 sections 2.4 and 10.1.3: bounces"],
    [
      'mail.example.com. 300 IN CAA 0 issue "letsencrypt.org; validationmethods=http-01"',
      "RFC 8659 section 4.2, RFC 8657 section 4",
    ],
    ['mail.example.com. 300 IN CAA 0 issuewild ";"', "RFC 8659 section 4.3: no wildcard is ordered"],
    ['mail.example.com. 300 IN CAA 0 iodef "mailto:admin@example.com"', "RFC 8659 section 4.4"],
    ["example.com. 300 IN MX 10 mail.example.com.", "RFC 5321 section 5.1"],
    ["_submissions._tcp.example.com. 300 IN SRV 0 1 465 mail.example.com.", "RFC 8314 section 5.1"],
    ["_imaps._tcp.example.com. 300 IN SRV 0 1 993 mail.example.com.", "RFC 6186 section 3.2"],
    ["_pop3s._tcp.example.com. 300 IN SRV 10 1 995 mail.example.com.", "RFC 6186 section 3.3: IMAP is preferred"],
    ["_submission._tcp.example.com. 300 IN SRV 0 0 0 .", "RFC 6186 section 3.4: not offered"],
    ["_imap._tcp.example.com. 300 IN SRV 0 0 0 .", "RFC 6186 section 3.4"],
    ["_pop3._tcp.example.com. 300 IN SRV 0 0 0 .", "RFC 6186 section 3.4"],
    ['example.com. 300 IN TXT "v=spf1 mx -all"', "RFC 7208 section 3"],
    ['_dmarc.example.com. 300 IN TXT "v=DMARC1; p=quarantine; rua=mailto:admin@example.com"', "RFC 7489 section 6.3"],
    ['_smtp._tls.example.com. 300 IN TXT "v=TLSRPTv1; rua=mailto:admin@example.com"', "RFC 8460 section 3"],
    [`_mta-sts.example.com. 300 IN TXT "v=STSv1; id=${id};"`, "RFC 8461 section 3.1"],
    ["mta-sts.example.com. 300 IN CNAME mail.example.com.", "RFC 8461 section 3.3"],
  ];
  assert.equal(zoneFile(mailRecords(model)), wanted.map(([line]) => `${line}\n`).join(""));
});

test("without addresses the host's A and AAAA records are left to somebody else", () => {
  assert.deepEqual(lines({ addresses: [] }, / IN A/), []);
});

test("a mail host that is a domain itself has that domain's SPF record alone (RFC 7208 section 3.2)", () => {
  const domains = [{ ...example, domain: "mail.example.com" }];
  assert.deepEqual(lines({ domains }, /spf1/), ['mail.example.com. 300 IN TXT "v=spf1 mx -all"']);
});

test("several domains share the host's records and have their own for the rest", () => {
  const domains = ["example.com", "example.net"].map((domain) => ({ ...example, domain }));
  assert.deepEqual(lines({ domains }, / IN (MX|A|CNAME) /), [
    "mail.example.com. 300 IN A 192.0.2.25",
    "example.com. 300 IN MX 10 mail.example.com.",
    "mta-sts.example.com. 300 IN CNAME mail.example.com.",
    "example.net. 300 IN MX 10 mail.example.com.",
    "mta-sts.example.net. 300 IN CNAME mail.example.com.",
  ]);
});

test("a domain agrees to get another's DMARC reports only where it is this stack's too (RFC 7489 section 7.1)", () => {
  const consent = (...domains: string[]): string[] =>
    lines({ domains: domains.map((domain) => ({ ...example, domain })) }, /_report/);
  assert.deepEqual(consent("example.com", "example.net"), [
    'example.net._report._dmarc.example.com. 300 IN TXT "v=DMARC1"',
  ]);
  assert.deepEqual(consent("example.net"), [], "example.com is not this stack's to speak for");
  assert.deepEqual(consent("example.com", "lists.example.com"), [], "a subdomain needs no consent");
});

test("SPF, DMARC, MTA-STS and the time to live follow the configuration", () => {
  const domains = [{ ...example, spf: "v=spf1 a:out.example.com -all", dmarc: "reject", mtaSts: undefined }] as const;
  assert.deepEqual(lines({ domains, ttl: 3600 }, /TXT|mta-sts/), [
    'mail.example.com. 3600 IN TXT "v=spf1 a:out.example.com -all"',
    'example.com. 3600 IN TXT "v=spf1 a:out.example.com -all"',
    '_dmarc.example.com. 3600 IN TXT "v=DMARC1; p=reject; rua=mailto:admin@example.com"',
    '_smtp._tls.example.com. 3600 IN TXT "v=TLSRPTv1; rua=mailto:admin@example.com"',
  ]);
});

test("the mail host's own SPF admits what the domains' does, and itself for their MX", () => {
  const ofHost = (spf: string): string | undefined => lines({ domains: [{ ...example, spf }] }, /spf1/)[0];
  assert.match(ofHost("v=spf1 mx ip4:198.51.100.7 -all") ?? "", /^mail\..* "v=spf1 a ip4:198\.51\.100\.7 -all"$/);
  assert.match(ofHost("v=spf1 ?mx mx:other.example ~all") ?? "", /"v=spf1 \?a mx:other\.example ~all"$/);
});

test("the MTA-STS policy names the one MX; a withdrawn one names none (RFC 8461 sections 3.2 and 8.3)", () => {
  const policy = (...rows: string[]): string => rows.map((row) => `${row}\n`).join("");
  assert.equal(
    mtaStsPolicy("testing", "mail.example.com"),
    policy("version: STSv1", "mode: testing", "mx: mail.example.com", "max_age: 86400"),
  );
  assert.equal(
    mtaStsPolicy("enforce", "mail.example.com"),
    policy("version: STSv1", "mode: enforce", "mx: mail.example.com", "max_age: 1209600"),
  );
  assert.equal(mtaStsPolicy("none", "mail.example.com"), policy("version: STSv1", "mode: none", "max_age: 86400"));
});

test("the policy's id is up to 32 letters and digits, and another one for every policy (RFC 8461 section 3.1)", () => {
  const policies = [
    ...(["testing", "enforce", "none"] as const).map((mode) => mtaStsPolicy(mode, "mail.example.com")),
    mtaStsPolicy("testing", "mx.example.com"),
  ];
  const ids = policies.map(mtaStsId);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9]{1,32}$/);
  assert.equal(new Set(ids).size, policies.length);
  assert.deepEqual(policies.map(mtaStsId), ids);
});

test("delegated challenges: every name is led to the one that answers for all of them", () => {
  const target = "_acme-challenge.mail.example.com.example.net";
  const names = ["_acme-challenge.mail.example.com", "_acme-challenge.example.com"];
  assert.deepEqual(lines({ challenges: { names, target } }, /_acme-challenge/), [
    `_acme-challenge.mail.example.com. 300 IN CNAME ${target}.`,
    `_acme-challenge.example.com. 300 IN CNAME ${target}.`,
  ]);
  assert.deepEqual(lines({}, /_acme-challenge/), []);
});

test("keys are the record's type and name, unique, and the same when only the content changes", () => {
  const keys = (changed: Partial<MailDns>): string[] => mailRecords({ ...model, ...changed }).map(({ key }) => key);
  const domains = ["example.com", "example.net"].map((domain) => ({ ...example, domain }));
  const caa = { ...model.caa, accountUris: ["https://ca.example/1", "https://ca.example/2"] };
  const many = keys({ domains, caa });
  assert.equal(new Set(many).size, many.length);
  assert.ok(many.includes("mx-example.com") && many.includes("srv-_imaps._tcp.example.net"), many.join(" "));
  const changed = { ...example, spf: "v=spf1 -all", dmarc: "none", mtaSts: "enforce" } as const;
  assert.deepEqual(keys({ domains: [changed], ttl: 60 }), keys({}));
  const byDns = { ...model.caa, orders: [{ challenge: "dns-01" as const, names: ["mail.example.com"] }] };
  assert.deepEqual(keys({ caa: byDns }), keys({}), "another method updates the CAA record in place");
  for (const key of many) assert.ok(!key.includes("::"), `${key} fits into a URN`);
});

test("an address that moves within the list keeps its record: no update would meet its own old self", () => {
  const byKey = (addresses: string[]): Map<string, WantedRecord> =>
    new Map(mailRecords({ ...model, addresses }).map((record) => [record.key, record]));
  const [both, one] = [byKey(["192.0.2.25", "192.0.2.26"]), byKey(["192.0.2.26"])];
  for (const [key, record] of one) assert.deepEqual(both.get(key), record);
});
