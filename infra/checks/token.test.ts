import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Reply, TokenFacts, TokenStatus, Zone } from "../facts/cloudflare.ts";
import { tokenFindings, type TokenUse } from "./token.ts";

const id = "023e105f4ecef8ad9ca31a8372d0c353";
const now = Date.parse("2026-11-22T12:00:00Z");
const is = <T>(result: T): Reply<T> => ({ is: "result", result });
const no = (code: number, why: string): Reply<never> => ({ is: "refused", code, why });
const silent: Reply<never> = { is: "unanswered", why: "it answered 429" };
const active = is<TokenStatus>({ status: "active" });
const zone = is<Zone>({ name: "example.com" });
const forbidden = no(10000, "Authentication error");
const filtered = no(9109, "Cannot use the access token from location: 192.0.2.1");

interface Case {
  readonly title: string;
  readonly key?: TokenUse["key"];
  readonly name?: string;
  readonly status?: TokenFacts["status"];
  readonly zone?: Reply<Zone>;
  readonly records?: TokenFacts["zones"][string]["records"];
  readonly tokens?: Reply<unknown>;
  readonly accountId?: string;
  readonly expected: readonly string[];
}

const cases: readonly Case[] = [
  { title: "an active token that sees the zone", expected: [] },
  {
    title: "one that may change its records",
    zone: is({ name: "example.com", permissions: ["#dns_records:read", "#dns_records:edit"] }),
    expected: [],
  },
  {
    title: "one that may only read them",
    zone: is({ name: "example.com", permissions: ["#zone:read", "#dns_records:read"] }),
    expected: [
      "error cloudflare:apiToken may read the zone example.com but not change its DNS records; give it Zone > DNS > Edit " +
        "and Zone > Zone > Read on that zone",
    ],
  },
  {
    title: "one for another zone",
    zone: forbidden,
    records: forbidden,
    expected: [
      `error cloudflare:apiToken has no access to the zone ${id} (Authentication error, 10000); give it Zone > DNS > Edit ` +
        "and Zone > Zone > Read on that zone",
    ],
  },
  {
    title: "one that may read the zone, but not its records",
    records: forbidden,
    expected: [
      `error cloudflare:apiToken has no access to the zone ${id} (Authentication error, 10000); give it Zone > DNS > Edit ` +
        "and Zone > Zone > Read on that zone",
    ],
  },
  { title: "one that reads the zone's records, which is all that the provider needs", zone: forbidden, expected: [] },
  {
    title: "the challenge's token without access to the zone itself, which acme.sh reads first",
    key: "vectis:challengeToken",
    zone: forbidden,
    expected: [
      `error vectis:challengeToken has no access to the zone ${id} (Authentication error, 10000); give it Zone > DNS > Edit ` +
        "and Zone > Zone > Read on that zone",
    ],
  },
  { title: "one that sees tokens, and has to make one", tokens: is([]), expected: [] },
  {
    title: "one that has to make a token, and may not",
    tokens: no(9109, "Unauthorized to access requested resource"),
    expected: [
      "error cloudflare:apiToken may not make the token for DNS-01 (Unauthorized to access requested resource, 9109); give " +
        "it User > API Tokens > Edit, or set vectis:challengeToken to a token of your own",
    ],
  },
  {
    title: "one that has to make an account's token, and may not",
    tokens: no(9109, "Unauthorized to access requested resource"),
    accountId: "a1",
    expected: [
      "error cloudflare:apiToken may not make the token for DNS-01 (Unauthorized to access requested resource, 9109); give " +
        "it Account > Account API Tokens > Edit, or set vectis:challengeToken to a token of your own",
    ],
  },
  {
    title: "one that nobody knows",
    status: no(1000, "Invalid API Token"),
    zone: forbidden,
    records: forbidden,
    expected: [
      "error cloudflare:apiToken is not valid (Invalid API Token); set a new one with `pulumi config set --secret " +
        "cloudflare:apiToken`, with Zone > DNS > Edit and Zone > Zone > Read on the zones",
    ],
  },
  {
    title: "an account's token, which is not verified as a user's",
    status: no(1000, "Invalid API Token"),
    expected: [],
  },
  {
    title: "one that has been disabled",
    status: is({ status: "disabled" }),
    zone: forbidden,
    records: forbidden,
    expected: [
      "error cloudflare:apiToken is disabled; set a new one with `pulumi config set --secret cloudflare:apiToken`",
    ],
  },
  {
    title: "one that ends next week",
    key: "vectis:challengeToken",
    status: is({ status: "active", expires_on: "2026-11-29T00:00:00Z" }),
    expected: [
      "warning vectis:challengeToken expires on 2026-11-29T00:00:00Z; set a new one with `pulumi config set --secret " +
        "vectis:challengeToken` before that",
    ],
  },
  {
    title: "one that ends next year",
    status: is({ status: "active", expires_on: "2027-11-29T00:00:00Z" }),
    expected: [],
  },
  {
    title: "the id of another zone",
    name: "mail.example.net",
    expected: [
      `error vectis:dns has the id ${id} for mail.example.net, but that is the zone example.com; take the id from that ` +
        "zone's overview page",
    ],
  },
  {
    title: "an API that is overloaded",
    records: silent,
    expected: ["warning cloudflare:apiToken was not checked: Cloudflare's API did not answer (it answered 429)"],
  },
  {
    title: "one that does not work from here",
    zone: filtered,
    records: filtered,
    expected: [
      "error cloudflare:apiToken does not work from this machine (Cannot use the access token from location: 192.0.2.1); " +
        "add the machine to its address filter",
    ],
  },
  {
    title: "the challenge's token, limited to the mail host",
    key: "vectis:challengeToken",
    zone: filtered,
    records: filtered,
    expected: [
      "note vectis:challengeToken does not work from this machine because of its address filter: it was not checked",
    ],
  },
];

describe("tokenFindings", () => {
  for (const { title, key = "cloudflare:apiToken", name = "mail.example.com", expected, ...reply } of cases) {
    it(`${expected.length === 0 ? "accepts" : "tells of"} ${title}`, () => {
      const zones = { [id]: { zone: reply.zone ?? zone, records: reply.records ?? is([]) } };
      const facts = { status: reply.status ?? active, zones, ...(reply.tokens && { tokens: reply.tokens }) };
      const found = tokenFindings({ key, names: { [id]: [name] }, accountId: reply.accountId }, facts, now);
      assert.deepEqual(
        found.map((finding) => `${finding.severity} ${finding.key} ${finding.problem}`),
        expected,
      );
    });
  }
});
