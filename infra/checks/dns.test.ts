import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DnsFacts } from "../facts/dns.ts";
import { aliasFindings, delegationFindings, hostFindings, mxFindings, silenceFindings, spfFindings } from "./dns.ts";
import type { Finding } from "./finding.ts";

const host = "mail.example.com";
const domain = "example.com";
const facts = (known: Partial<DnsFacts>): DnsFacts => ({
  A: {},
  AAAA: {},
  CNAME: {},
  CAA: {},
  MX: {},
  TXT: {},
  ...known,
});
const leads = (A: readonly string[], AAAA: readonly string[] = []) =>
  facts({ A: { [host]: A }, AAAA: { [host]: AAAA } });

describe("checks of DNS", () => {
  const at = (dns: DnsFacts, addresses: readonly string[] = []) =>
    hostFindings(dns, "vectis:hostname", host, addresses);
  const cases: readonly { readonly title: string; readonly found: readonly Finding[]; readonly expected: string[] }[] =
    [
      { title: "the host leads to its addresses", found: at(leads(["192.0.2.25"]), ["192.0.2.25"]), expected: [] },
      {
        title: "the host leads to its addresses, one of them spelled at length",
        found: at(leads([], ["2001:db8::25"]), ["2001:0DB8:0:0::25"]),
        expected: [],
      },
      { title: "addresses are not in the configuration", found: at(leads(["192.0.2.25"])), expected: [] },
      ...(
        [
          ["leads into the zone for challenges", ["x.example.net"], []],
          ["could not be asked for", { unanswered: "ETIMEOUT" }, []],
          ["was not asked for", undefined, []],
          ["is not there", [], ["is not led to: _acme-challenge.mail.example.com is no alias, "]],
          [
            "leads elsewhere",
            ["y.example.net"],
            ["is not led to: _acme-challenge.mail.example.com is an alias of y.example.net, "],
          ],
        ] as const
      ).map(([title, answer, said]) => ({
        title: `a challenge's alias ${title}`,
        found: delegationFindings(
          facts({ CNAME: answer === undefined ? {} : { "_acme-challenge.mail.example.com": answer } }),
          "_acme-challenge.mail.example.com",
          "x.example.net",
        ),
        expected: said.map(
          (what) =>
            `warning vectis:dns.challengeZone ${what}so that no certificate is ordered; add ` +
            "'_acme-challenge.mail.example.com. CNAME x.example.net.'",
        ),
      })),
      {
        title: "the host has no address yet",
        found: at(leads([]), ["192.0.2.25"]),
        expected: [
          "warning vectis:hostname mail.example.com has no address in DNS: neither a CA nor a mail server finds it; add " +
            "'mail.example.com. A 192.0.2.25'",
        ],
      },
      {
        title: "a stale AAAA record beside the right A record",
        found: at(leads(["192.0.2.25"], ["2001:db8::99"]), ["192.0.2.25"]),
        expected: [
          "error vectis:addresses does not list 2001:db8::99, to which mail.example.com leads: mail and the CA's validation " +
            "would go there; remove the record 'mail.example.com. AAAA 2001:db8::99', or list the address",
        ],
      },
      {
        title: "an address without record",
        found: at(leads(["192.0.2.25"]), ["192.0.2.25", "2001:db8::25"]),
        expected: [
          "warning vectis:addresses lists 2001:db8::25, to which mail.example.com does not lead; add the record " +
            "'mail.example.com. AAAA 2001:db8::25', or take the address out",
        ],
      },
      {
        title: "an address whose records could not be asked for",
        found: at(facts({ A: { [host]: ["192.0.2.25"] }, AAAA: { [host]: { unanswered: "ETIMEOUT" } } }), [
          "192.0.2.25",
          "2001:db8::25",
        ]),
        expected: [],
      },
      {
        title: "the host is proxied",
        found: at(leads(["104.21.3.4"]), ["192.0.2.25"]),
        expected: [
          "error vectis:hostname mail.example.com resolves to 104.21.3.4, Cloudflare's proxy, which forwards no mail; set " +
            "the record to DNS only",
        ],
      },
      {
        title: "the host is proxied over IPv6",
        found: at(leads([], ["2606:4700:3033::6815:304"])),
        expected: [
          "error vectis:hostname mail.example.com resolves to 2606:4700:3033::6815:304, Cloudflare's proxy, which forwards " +
            "no mail; set the record to DNS only",
        ],
      },
      {
        title: "the host is an alias",
        found: aliasFindings(facts({ CNAME: { [host]: ["vm7.example.net"] } }), host),
        expected: [
          "error vectis:hostname mail.example.com is a CNAME of vm7.example.net, which an MX record must not name; give it A " +
            "and AAAA records instead",
        ],
      },
      {
        title: "the mail comes here",
        found: mxFindings(facts({ MX: { [domain]: [host] } }), domain, host),
        expected: [],
      },
      {
        title: "a domain without MX",
        found: mxFindings(facts({ MX: { [domain]: [] } }), domain, host),
        expected: [
          "warning vectis:domains has example.com, which has no MX record: its mail does not come here; add " +
            "'example.com. MX 10 mail.example.com.'",
        ],
      },
      {
        title: "a domain whose mail goes elsewhere",
        found: mxFindings(facts({ MX: { [domain]: ["mx.example.net", ""] } }), domain, host),
        expected: [
          "warning vectis:domains has example.com, whose MX names mx.example.net, nobody: its mail does not come here; add " +
            "'example.com. MX 10 mail.example.com.'",
        ],
      },
      {
        title: "another MX that is an alias",
        found: mxFindings(
          facts({ MX: { [domain]: [host, "mx2.example.com"] }, CNAME: { "mx2.example.com": ["vm8.example.net"] } }),
          domain,
          host,
        ),
        expected: [
          "warning vectis:domains has example.com, whose MX record names mx2.example.com, a CNAME; many senders refuse that: " +
            "name its target",
        ],
      },
      {
        title: "one SPF record among other texts",
        found: spfFindings(facts({ TXT: { [domain]: ["v=spf1 mx -all", "v=spf10 none", "other"] } }), domain),
        expected: [],
      },
      {
        title: "two SPF records",
        found: spfFindings(facts({ TXT: { [domain]: ["v=spf1 mx -all", "V=SPF1"] } }), domain),
        expected: [
          'warning vectis:domains has example.com, which has 2 SPF records, "v=spf1 mx -all" and "V=SPF1"; merge them into one',
        ],
      },
      {
        title: "a resolver that is silent",
        found: silenceFindings(
          facts({ A: { [host]: { unanswered: "ETIMEOUT" } }, MX: { [domain]: { unanswered: "ETIMEOUT" } } }),
          ["192.0.2.53"],
        ),
        expected: [
          "warning vectis:resolvers 192.0.2.53 did not answer A mail.example.com and 1 more: DNS was not checked there; " +
            "correct the addresses",
        ],
      },
      {
        title: "the machine's resolvers are silent",
        found: silenceFindings(facts({ A: { [host]: { unanswered: "ECONNREFUSED" } } }), []),
        expected: [
          "warning vectis:resolvers (the resolvers of this machine) did not answer A mail.example.com: DNS was not checked " +
            "there; correct the addresses",
        ],
      },
    ];
  for (const { title, found, expected } of cases) {
    it(`${expected.length === 0 ? "say nothing when" : "say it when"} ${title}`, () => {
      assert.deepEqual(
        found.map(({ severity, key, problem }) => `${severity} ${key} ${problem}`),
        expected,
      );
    });
  }
});
