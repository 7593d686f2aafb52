// What follows from a wish for an RSA certificate beside the first one; all else is in decide.test.ts.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decide, type Candidate, type Observation, type Published } from "./decide.ts";
import type { Origin } from "./generations.ts";
import type { LeafFacts } from "./validate.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 23);
const ACME: Origin = { source: "acme", directory: "https://ca.test/dir" };

/** A leaf of 90 days. */
function leaf(sha256: string, age: number, change: Partial<LeafFacts> = {}): LeafFacts {
  const notBefore = NOW - age * DAY;
  return {
    sha256,
    serial: sha256,
    authorityKeyId: "",
    subject: "",
    issuer: "CN=CA",
    names: ["mail.test"],
    notBefore,
    notAfter: notBefore + 90 * DAY,
    keyType: "ec-256",
    publicKeySha256: `key of ${sha256}`,
    selfSigned: false,
    ...change,
  };
}
const rsa = (sha256: string, age: number, change: Partial<LeafFacts> = {}): LeafFacts =>
  leaf(sha256, age, { keyType: "rsa-2048", ...change });

const first = leaf("a", 10);
const published = (also?: LeafFacts, main = first): Published => ({ number: 5, origin: ACME, leaf: main, rsa: also });
const stored = (also?: LeafFacts, main = first): Candidate => ({
  kind: "usable",
  leaf: main,
  ...(also === undefined ? {} : { rsa: also }),
});
const wanted = { names: ["mail.test"], keyType: "ec-256", rsaKeyType: "rsa-2048", origin: ACME };
/** The same, with the option switched off. */
const alone = { names: ["mail.test"], keyType: "ec-256", origin: ACME };

function look(change: Partial<Observation>): Observation {
  return {
    now: NOW,
    caNow: NOW,
    wanted,
    published: published(rsa("r", 10)),
    candidate: stored(rsa("r", 10)),
    forgotten: undefined,
    suggestion: undefined,
    ...change,
  };
}

interface Row {
  readonly when: string;
  readonly given: Partial<Observation>;
  /** Part of the reason for a publication; absent: none. */
  readonly publish?: RegExp;
  /** What is ordered and part of the reason; absent: no order. */
  readonly order?: readonly ["all" | "rsa", RegExp];
}

const bad = { code: "key-mismatch", message: "RSA: It is key-mismatch." } as const;

const rows: readonly Row[] = [
  { when: "both are stored and published", given: {} },
  {
    when: "nothing is stored at all",
    given: { published: undefined, candidate: { kind: "none" } },
    publish: /nothing usable/,
    order: ["all", /no certificate is stored/],
  },
  {
    when: "the option was just switched on",
    given: { published: published(), candidate: stored() },
    order: ["rsa", /no RSA certificate is stored/],
  },
  { when: "an order is running", given: { published: published(), candidate: { kind: "busy" } } },
  {
    when: "the RSA certificate has come",
    given: { published: published(), candidate: stored(rsa("r", 0)) },
    publish: /there is an RSA certificate beside it now/,
  },
  {
    when: "a newer RSA certificate alone has come",
    given: { candidate: stored(rsa("s", 0)) },
    publish: /the RSA certificate beside it is newer/,
  },
  { when: "an older RSA certificate is stored than is published", given: { candidate: stored(rsa("q", 20)) } },
  {
    when: "an older one is stored and the published one has expired",
    given: { published: published(rsa("r", 91)), candidate: stored(rsa("q", 20)) },
    publish: /newer/,
  },
  {
    when: "the first one was renewed without it",
    given: { candidate: stored(rsa("r", 10), leaf("b", 0)) },
    publish: /it is newer/,
  },
  { when: "the store has lost it and the published one is good", given: { candidate: stored() } },
  {
    when: "the stored one is damaged and none is published",
    given: { published: published(), candidate: { kind: "usable", leaf: first, rsaRefused: [bad] } },
    order: ["rsa", /the stored RSA certificate cannot be used: RSA: It is key-mismatch/],
  },
  {
    when: "the stored one is not valid yet",
    given: {
      published: published(),
      candidate: { kind: "usable", leaf: first, rsaRefused: [{ ...bad, code: "not-yet-valid" }] },
    },
  },
  {
    when: "its key type was changed",
    given: { wanted: { ...wanted, rsaKeyType: "rsa-3072" } },
    order: ["rsa", /of the RSA certificate the key type changed from rsa-2048 to rsa-3072/],
  },
  {
    when: "a name was added",
    given: { wanted: { ...wanted, names: ["mail.test", "imap.test"] } },
    order: ["all", /the names changed/],
  },
  {
    when: "the last order did not bring it",
    given: { rsaOwed: true },
    order: ["rsa", /the last order brought no RSA certificate/],
  },
  {
    when: "both are due",
    given: { published: published(rsa("r", 70), leaf("a", 70)), candidate: stored(rsa("r", 70), leaf("a", 70)) },
    order: ["all", /the certificate has 20/],
  },
  {
    when: "it is due earlier than the first one",
    given: {
      published: published(rsa("r", 65, { notAfter: NOW + 10 * DAY }), leaf("a", 65, { notAfter: NOW + 100 * DAY })),
      candidate: stored(rsa("r", 65, { notAfter: NOW + 10 * DAY }), leaf("a", 65, { notAfter: NOW + 100 * DAY })),
    },
    order: ["all", /the RSA certificate has 10/],
  },
  {
    when: "it is due and was left behind by the first one",
    given: { published: published(rsa("r", 70)), candidate: stored(rsa("r", 70)) },
    order: ["rsa", /the RSA certificate has 20/],
  },
  { when: "a person asks for an order", given: { asked: true }, order: ["all", /a person has asked/] },
  {
    when: "the option was switched off",
    given: { wanted: alone, candidate: stored() },
    publish: /no longer wanted/,
  },
  {
    when: "the option is off, whatever was owed",
    given: { wanted: alone, published: published(), candidate: stored(), rsaOwed: true },
  },
];

describe("decide, with an RSA certificate beside the first one", () => {
  for (const { when, given, publish, order } of rows) {
    const what = [publish ? "publishes" : "publishes nothing", order ? `orders ${order[0]}` : "orders nothing"];
    it(`${what.join(" and ")} when ${when}`, () => {
      const decision = decide(look(given));
      assert.match(decision.publish?.why ?? "", publish ?? /^$/);
      assert.match(decision.order?.why ?? "", order?.[1] ?? /^$/);
      assert.equal(decision.order?.leaves, order?.[0]);
    });
  }

  it("plans the renewal of both for the earlier of the two moments", () => {
    const early = rsa("r", 10, { notAfter: NOW + 30 * DAY });
    const { renewal } = decide(look({ published: published(early), candidate: stored(early) }));
    const { renewal: plain } = decide(look({}));
    assert.ok(renewal !== undefined && plain !== undefined && renewal.at < plain.at - 20 * DAY);
  });

  it("follows what the CA suggests about the RSA certificate, and only about that one", () => {
    const window = { start: NOW - 2 * DAY, end: NOW - DAY };
    const about = (sha256: string) => ({ leaf: sha256, window, explanationUrl: "https://ca.test/why" });
    const { order, renewal } = decide(look({ rsaSuggestion: about("r") }));
    assert.equal(order?.leaves, "all");
    assert.match(order?.why ?? "", /^the RSA certificate has 80 .*, and the CA suggests .* https:\/\/ca\.test\/why/);
    assert.equal(renewal?.basis, "ari");
    assert.equal(decide(look({ rsaSuggestion: about("q") })).order, undefined);
  });

  it("calls an order urgent when the RSA certificate will soon not be fit for service, and only while it is wanted", () => {
    const late = { published: published(rsa("r", 85)), candidate: stored(rsa("r", 85)), asked: true };
    assert.equal(decide(look(late)).order?.urgent, true);
    assert.equal(decide(look({ ...late, wanted: alone })).order?.urgent, false);
    assert.equal(decide(look({ published: published(), candidate: stored() })).order?.urgent, false);
  });

  it("keeps a generation without one in service, pinned or not", () => {
    const pinned = { number: 5, at: NOW - DAY, leaf: first };
    const { pin, publish } = decide(look({ published: published(), candidate: stored(rsa("r", 0)), pinned }));
    assert.equal(pin?.kind, "holds");
    assert.equal(publish, undefined);
  });
});
