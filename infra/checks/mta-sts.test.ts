import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LeafFacts } from "../../certd/validate.ts";
import { enforceFindings, type EnforceFacts, type EnforceWish } from "./mta-sts.ts";

const now = Date.parse("2027-01-10T12:00:00Z");
const day = 86_400_000;
const wish: EnforceWish = {
  mailHost: "mail.example.com",
  domains: ["example.com", "example.org"],
  policyId: "0123abcd",
  signer: "public",
};
const leaf: LeafFacts = {
  sha256: "",
  serial: "01",
  authorityKeyId: "",
  subject: "CN=mail.example.com",
  issuer: "CN=CA",
  names: ["mail.example.com"],
  notBefore: now - day,
  notAfter: now + day,
  keyType: "ec-256",
  publicKeySha256: "",
  selfSigned: false,
};
const txt = (name: string, id: string) => ({
  zoneId: "z",
  id: name,
  name,
  type: "TXT",
  content: `"v=STSv1; id=${id};"`,
});
const before: EnforceFacts = { served: leaf, records: [txt("_mta-sts.example.com", "other")] };
const announced: EnforceFacts["records"] = wish.domains.map((domain) => txt(`_mta-sts.${domain}`, wish.policyId));
const down = { unanswered: "ECONNREFUSED" };

const cases: readonly {
  readonly what: string;
  readonly wish?: Partial<EnforceWish>;
  readonly facts?: Partial<EnforceFacts>;
  readonly says?: RegExp;
}[] = [
  { what: "a good certificate is served" },
  {
    what: "the stack signs itself",
    wish: { signer: "stack" },
    says: /^error .*no sender trusts the CA that the stack/,
  },
  { what: "the CA is for trials", wish: { signer: "staging" }, says: /^error .*staging.*vectis:tls\.acme\.directory/ },
  { what: "the CA may be anybody's", wish: { signer: "unknown" } },
  {
    what: "nothing answers",
    facts: { served: down },
    says: /^error .*no certificate \(ECONNREFUSED\).*set it to testing/,
  },
  { what: "the placeholder is served", facts: { served: { ...leaf, selfSigned: true } }, says: /^error .*self-signed/ },
  {
    what: "another name is served",
    facts: { served: { ...leaf, names: ["mx.example.com"] } },
    says: /^error .*a certificate for mx\.example\.com on port 25/,
  },
  { what: "a wildcard is served", facts: { served: { ...leaf, names: ["*.example.com"] } } },
  { what: "it has expired", facts: { served: { ...leaf, notAfter: now } }, says: /^error .*an expired certificate/ },
  { what: "it is announced already: a host that is down must come up", facts: { served: down, records: announced } },
  {
    what: "it is announced for one domain of two",
    facts: { served: down, records: announced.slice(0, 1) },
    says: /^error /,
  },
  { what: "the zone cannot be seen", facts: { served: down, records: undefined }, says: /^warning .*ECONNREFUSED/ },
];

describe("a policy to enforce", () => {
  for (const { what, says, ...changed } of cases) {
    it(`${says === undefined ? "may be" : "is told of"}: ${what}`, () => {
      const found = enforceFindings({ ...wish, ...changed.wish }, { ...before, ...changed.facts }, now);
      const [line, ...more] = found.map(({ severity, key, problem }) => `${severity} ${key} ${problem}`);
      assert.deepEqual(more, []);
      if (says === undefined) assert.equal(line, undefined);
      else assert.match(line ?? "", says);
    });
  }
});
