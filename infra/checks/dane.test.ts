import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { daneFindings, type DaneFacts, type DaneWish, type PublishedTlsa, type ServedKey } from "./dane.ts";

const now = Date.parse("2027-01-10T12:00:00Z");
const minute = 60_000;
const wish: DaneWish = { mailHost: "mail.example.com", generation: 2, keyType: "ec-256", ttl: 300 };
const key = (sha256: string, type = "ec-256"): ServedKey => ({ sha256, type });
const tlsa = (generation: number, minutes: number): PublishedTlsa => ({
  generation,
  certificate: `KEY${generation}`,
  createdAt: now - minutes * minute,
});
const keys = new Map([1, 2, 3].map((generation) => [generation, `KEY${generation}`]));
const settled: DaneFacts = {
  secure: true,
  published: [tlsa(1, 5000), tlsa(2, 5000), tlsa(3, 1)],
  served: key("KEY2"),
  keys,
};

const unnamed =
  /^warning vectis:dns\.dane is on, but port 25 serves a key that no published record names: .*set vectis:dns\.dane to off/;

interface Case {
  readonly what: string;
  readonly wish?: Partial<DaneWish>;
  readonly facts: Partial<DaneFacts>;
  readonly says: readonly RegExp[];
}

const cases: readonly Case[] = [
  { what: "a key in use with its records", facts: {}, says: [] },
  { what: "an unsigned zone", facts: { secure: false }, says: [/^error vectis:dns\.dane .*not signed.*DS record/] },
  {
    what: "no validating resolver",
    facts: { secure: { unanswered: "ETIMEOUT" } },
    says: [/^warning vectis:dns\.dane .*\(ETIMEOUT\).*not checked/],
  },
  { what: "the first records for the key that is served", facts: { published: [] }, says: [] },
  {
    what: "the first records at a preview that makes the keys",
    facts: { published: [], keys: undefined },
    says: [/^note vectis:dns\.dane is compared with the key on port 25 when the update begins$/],
  },
  {
    what: "the first records while another key is served",
    facts: { published: [], served: key("OLD") },
    says: [
      /^error vectis:dns\.dane .*nothing matches: port 25 still serves another key than generation 2; update once/,
    ],
  },
  {
    what: "the first records while nothing is served",
    facts: { published: [], served: { unanswered: "refused" } },
    says: [/^error vectis:dns\.dane .*port 25 shows no key \(refused\)/],
  },
  {
    what: "a next key that has been known long enough",
    facts: { served: key("KEY1"), published: [tlsa(1, 5000), tlsa(2, 10)] },
    says: [],
  },
  {
    what: "a next key younger than its TTL and a margin",
    facts: { served: key("KEY1"), published: [tlsa(1, 5000), tlsa(2, 9)] },
    says: [/^error vectis:keys\.generation is 2, whose TLSA record is too young; wait until 2027-01-10T12:01:00Z: /],
  },
  {
    what: "a young record of the key that is in use",
    facts: { published: [tlsa(2, 1), tlsa(3, 1)] },
    says: [],
  },
  {
    what: "another key type while the records name the keys of the old one",
    wish: { keyType: "ec-384" },
    facts: {},
    says: [
      /^error vectis:tls\.acme\.keyType is ec-384, but the key in use is ec-256: all keys and TLSA records would be replaced at once; set vectis:dns\.dane to off and update, wait for two TTLs, change the type/,
    ],
  },
  {
    what: "another key type together with a step of the generation",
    wish: { keyType: "ec-384", generation: 3 },
    facts: { published: [tlsa(1, 5000), tlsa(2, 5000), tlsa(3, 5000)] },
    says: [/^error vectis:tls\.acme\.keyType is ec-384/],
  },
  {
    what: "a second step back, to a key that was made anew at the first",
    wish: { generation: 1 },
    facts: { published: [tlsa(1, 1), tlsa(2, 5000), tlsa(3, 5000)] },
    says: [/^error vectis:keys\.generation is 1, whose TLSA record is too young/],
  },
  {
    what: "a generation that was skipped",
    wish: { generation: 5 },
    facts: {},
    says: [/^error vectis:keys\.generation is 5, whose TLSA record was never published: choose one of 1, 2, 3;/],
  },
  {
    what: "a second step before the first is served",
    wish: { generation: 3 },
    facts: { served: key("KEY1"), published: [tlsa(1, 5000), tlsa(2, 5000), tlsa(3, 5000)] },
    says: [/^error vectis:keys\.generation is 3, but port 25 serves a key without a record then: .*wait$/],
  },
  {
    what: "a key that no record names, a placeholder for example: an update may repair it",
    facts: { served: key("OTHER") },
    says: [unnamed],
  },
  {
    what: "a key that no record names, soon after the first records",
    facts: { served: key("OTHER"), published: [tlsa(2, 1), tlsa(3, 1)] },
    says: [unnamed],
  },
  {
    what: "a placeholder of another key type",
    wish: { keyType: "ec-384" },
    facts: { served: key("OTHER") },
    says: [unnamed],
  },
  {
    what: "a step to a young record while no record names the key on port 25",
    facts: { served: key("OTHER"), published: [tlsa(1, 5000), tlsa(2, 9)] },
    says: [/^error vectis:keys\.generation is 2, whose TLSA record is too young/, unnamed],
  },
  {
    what: "a skipped generation while no record names the key on port 25",
    wish: { generation: 5 },
    facts: { served: key("OTHER") },
    says: [/^error vectis:keys\.generation is 5, whose TLSA record was never published/],
  },
  {
    what: "a port that cannot be reached, soon after the first records",
    facts: { served: { unanswered: "refused" }, published: [tlsa(2, 1), tlsa(3, 1)] },
    says: [/^warning vectis:keys\.generation was not compared with what is served/],
  },
  {
    what: "a step back to the key before",
    wish: { generation: 1 },
    facts: { published: [tlsa(1, 5000), tlsa(2, 5000), tlsa(3, 5000)] },
    says: [],
  },
  {
    what: "a zone that cannot be listed",
    facts: { published: undefined },
    says: [/^warning vectis:dns\.dane .*cannot be seen from here/],
  },
  {
    what: "another key type where the zone cannot be listed",
    wish: { keyType: "ec-384" },
    facts: { published: undefined },
    says: [
      /cannot be seen from here/,
      /^warning vectis:tls\.acme\.keyType is ec-384, but port 25 serves an ec-256 key: if a TLSA record names that one, set/,
    ],
  },
  {
    what: "a port that cannot be reached, with records that are old enough",
    facts: { served: { unanswered: "refused" } },
    says: [/^warning vectis:keys\.generation was not compared with what is served: port 25 shows no key \(refused\)$/],
  },
];

describe("DANE before an update", () => {
  for (const { what, wish: wished, facts, says } of cases) {
    it(`judges ${what}`, () => {
      const found = daneFindings({ ...wish, ...wished }, { ...settled, ...facts }, now);
      const lines = found.map(({ severity, key, problem }) => `${severity} ${key} ${problem}`);
      assert.equal(lines.length, says.length, lines.join("\n"));
      says.forEach((pattern, index) => assert.match(lines[index] ?? "", pattern));
    });
  }
});
