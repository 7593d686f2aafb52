import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CaaRecord, DnsFacts } from "../facts/dns.ts";
import { caaFindings, caaVerdict, parseIssue, type CaaVerdict, type Order } from "./caa.ts";

const issue = (value: string): CaaRecord => ({ critical: false, tag: "issue", value });
const wild = (value: string): CaaRecord => ({ critical: false, tag: "issuewild", value });
const zone = (CAA: DnsFacts["CAA"]): DnsFacts => ({ A: {}, AAAA: {}, CNAME: {}, CAA, MX: {}, TXT: {} });

const host = "mail.example.com";
const account = "https://ca.example.net/acct/1";

describe("caaVerdict", () => {
  const cases: readonly {
    readonly title: string;
    readonly records: DnsFacts["CAA"];
    readonly name?: string;
    readonly accountUris?: readonly string[];
    readonly expected: CaaVerdict;
  }[] = [
    {
      title: "no CAA record anywhere",
      records: { [host]: [], "example.com": [], com: [] },
      expected: { is: "allowed" },
    },
    {
      title: "the CA at the domain",
      records: { "example.com": [issue("letsencrypt.org")] },
      expected: { is: "allowed" },
    },
    {
      title: "another CA at the domain",
      records: { "example.com": [issue("digicert.com")] },
      expected: { is: "issuer", at: "example.com", tag: "issue", allowed: ["digicert.com"] },
    },
    {
      title: "the CA at the host, another one further up, which does not count then",
      records: { [host]: [issue("letsencrypt.org")], "example.com": [issue("digicert.com")] },
      expected: { is: "allowed" },
    },
    {
      title: "another CA at the host, the CA further up, which does not count then",
      records: { [host]: [issue("digicert.com")], "example.com": [issue("letsencrypt.org")] },
      expected: { is: "issuer", at: host, tag: "issue", allowed: ["digicert.com"] },
    },
    {
      title: "another CA at the top-level domain",
      records: { com: [issue("digicert.com")] },
      expected: { is: "issuer", at: "com", tag: "issue", allowed: ["digicert.com"] },
    },
    {
      title: "nobody",
      records: { "example.com": [issue(";")] },
      expected: { is: "issuer", at: "example.com", tag: "issue", allowed: [] },
    },
    {
      title: "a malformed value, which is nobody",
      records: { "example.com": [issue("letsencrypt.org; accounturi")] },
      expected: { is: "issuer", at: "example.com", tag: "issue", allowed: [] },
    },
    {
      title: "one of several CAs, in capitals and with blanks",
      records: { "example.com": [issue("digicert.com"), issue(" LetsEncrypt.org ; ")] },
      expected: { is: "allowed" },
    },
    {
      title: "only an address for reports",
      records: { "example.com": [{ critical: false, tag: "iodef", value: "mailto:a@example.com" }] },
      expected: { is: "allowed" },
    },
    {
      title: "a wildcard where the issue record allows it and no issuewild speaks",
      records: { "example.com": [issue("letsencrypt.org")] },
      name: "*.example.com",
      expected: { is: "allowed" },
    },
    {
      title: "a wildcard that issuewild forbids",
      records: { "example.com": [issue("letsencrypt.org"), wild(";")] },
      name: "*.example.com",
      expected: { is: "issuer", at: "example.com", tag: "issuewild", allowed: [] },
    },
    {
      title: "a wildcard that only issuewild allows",
      records: { "example.com": [issue("digicert.com"), wild("letsencrypt.org")] },
      name: "*.example.com",
      expected: { is: "allowed" },
    },
    {
      title: "issuewild for a name that is none",
      records: { "example.com": [wild(";")] },
      expected: { is: "allowed" },
    },
    {
      title: "another validation method",
      records: { "example.com": [issue("letsencrypt.org; validationmethods=dns-01,dns-account-01")] },
      expected: { is: "method", at: "example.com", allowed: ["dns-01", "dns-account-01"] },
    },
    {
      title: "the method among others",
      records: { "example.com": [issue("letsencrypt.org; validationmethods=dns-01,http-01")] },
      expected: { is: "allowed" },
    },
    {
      title: "an account that is not known to be the stack's",
      records: { "example.com": [issue(`letsencrypt.org; accounturi=${account}`)] },
      expected: { is: "account", at: "example.com", allowed: [account] },
    },
    {
      title: "one of the stack's accounts",
      records: { "example.com": [issue(`letsencrypt.org; accounturi=${account}`)] },
      accountUris: ["https://ca.example.net/acct/2", account],
      expected: { is: "allowed" },
    },
    {
      title: "an account by another method, any account by this one",
      records: {
        "example.com": [
          issue(`letsencrypt.org; validationmethods=dns-01; accounturi=${account}`),
          issue("letsencrypt.org; validationmethods=http-01"),
        ],
      },
      expected: { is: "allowed" },
    },
    {
      title: "a critical property that nobody knows",
      records: { "example.com": [issue("letsencrypt.org"), { critical: true, tag: "tbs", value: "x" }] },
      expected: { is: "critical", at: "example.com", tag: "tbs" },
    },
    {
      title: "a critical property that CAs know",
      records: { "example.com": [{ critical: true, tag: "issue", value: "letsencrypt.org" }] },
      expected: { is: "allowed" },
    },
    {
      title: "a server that does not answer before records are found",
      records: { [host]: { unanswered: "ESERVFAIL" }, "example.com": [issue("digicert.com")] },
      expected: { is: "unanswered" },
    },
  ];
  for (const { title, records, name = host, accountUris = [], expected } of cases) {
    it(`says ${expected.is}: ${title}`, () => {
      const issuer = { identity: "letsencrypt.org", accountUris };
      assert.deepEqual(caaVerdict(zone(records), issuer, name, "http-01"), expected);
    });
  }
});

describe("parseIssue", () => {
  it("reads issuer and parameters, whatever the case of their names", () => {
    const { issuer, parameters } = parseIssue(" ca.example.net; AccountURI=https://ca.example.net/a?b=c ;x=");
    assert.equal(issuer, "ca.example.net");
    assert.deepEqual(
      [...parameters],
      [
        ["accounturi", "https://ca.example.net/a?b=c"],
        ["x", ""],
      ],
    );
  });
});

describe("caaFindings", () => {
  const order: Order = {
    client: "Traefik",
    names: [host],
    challenge: "http-01",
    challengeKey: "vectis:publish.port80",
  };
  const cases: readonly {
    readonly what: string;
    readonly records: readonly CaaRecord[];
    readonly accountUris?: readonly string[];
    readonly expected: string;
  }[] = [
    {
      what: "another CA",
      records: [issue("digicert.com"), issue("sectigo.com")],
      expected:
        "error vectis:tls.acme.directory belongs to letsencrypt.org, but the CAA records of example.com let only " +
        "digicert.com, sectigo.com issue for mail.example.com; add 'example.com. CAA 0 issue \"letsencrypt.org\"', " +
        "or choose another directory",
    },
    {
      what: "nobody",
      records: [issue(";")],
      expected:
        "error vectis:tls.acme.directory belongs to letsencrypt.org, but the CAA records of example.com let no CA issue " +
        "for mail.example.com; add 'example.com. CAA 0 issue \"letsencrypt.org\"', or choose another directory",
    },
    {
      what: "another method",
      records: [issue("letsencrypt.org;validationmethods=dns-01")],
      expected:
        "error vectis:publish.port80 makes Traefik use http-01, but the CAA records of example.com let letsencrypt.org " +
        "issue for mail.example.com by dns-01 only (validationmethods); add http-01 there",
    },
    {
      what: "an account, and none is known",
      records: [issue(`letsencrypt.org;accounturi=${account}`)],
      expected:
        `warning vectis:tls.acme.accountUris is not set, but the CAA records of example.com let only the account ` +
        `${account} order for mail.example.com (accounturi); set it to the stack's accounts`,
    },
    {
      what: "another account",
      records: [issue(`letsencrypt.org;accounturi=${account}`)],
      accountUris: ["https://ca.example.net/acct/2"],
      expected:
        `error vectis:tls.acme.accountUris has no such account, but the CAA records of example.com let only the account ` +
        `${account} order for mail.example.com (accounturi); add a CAA record for each of them`,
    },
    {
      what: "a critical property",
      records: [{ critical: true, tag: "tbs", value: "" }],
      expected:
        'error vectis:tls.acme.directory cannot issue for mail.example.com: example.com has a critical CAA property "tbs", ' +
        "which forbids every CA that does not know it; remove that record",
    },
  ];
  for (const { what, records, accountUris = [], expected } of cases) {
    it(`names the key, the record and the remedy: ${what}`, () => {
      const issuer = { identity: "letsencrypt.org", accountUris };
      const found = caaFindings(zone({ "example.com": records }), issuer, [order]);
      assert.deepEqual(
        found.map(({ severity, key, problem }) => `${severity} ${key} ${problem}`),
        [expected],
      );
    });
  }
});
