import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decide, nextOrderAt, type Candidate, type Observation, type Published, type Suggestion } from "./decide.ts";
import type { Origin } from "./generations.ts";
import type { LeafFacts } from "./validate.ts";

const DAY = 86_400_000;
const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 23);
const ACME: Origin = { source: "acme", directory: "https://ca.test/dir" };
const CUSTOM: Origin = { source: "custom" };
const PLACEHOLDER: Origin = { source: "placeholder" };

function leaf(sha256: string, age = 1, lifetime = 90, change: Partial<LeafFacts> = {}): LeafFacts {
  const notBefore = NOW - age * DAY;
  const fields = {
    serial: sha256,
    authorityKeyId: "",
    subject: "",
    issuer: "CN=CA",
    names: ["mail.test"],
    selfSigned: false,
  };
  return {
    ...fields,
    sha256,
    notBefore,
    notAfter: notBefore + lifetime * DAY,
    keyType: "ec-256",
    publicKeySha256: `key of ${sha256}`,
    ...change,
  };
}

const usable = (facts: LeafFacts): Candidate => ({ kind: "usable", leaf: facts });
const published = (facts: LeafFacts, origin = ACME): Published => ({ number: 5, origin, leaf: facts });
const placeholder = published(leaf("p", 0, 7, { selfSigned: true }), PLACEHOLDER);

/** Pinned a day ago. */
const pinned = (facts: LeafFacts, number = 4): NonNullable<Observation["pinned"]> => ({
  number,
  at: NOW - DAY,
  leaf: facts,
});

/** A certificate of 90 days that is published and stored. */
function inService(age: number): Partial<Observation> {
  return { published: published(leaf("a", age)), candidate: usable(leaf("a", age)) };
}

function suggest(sha256: string, from: number, to: number): Suggestion {
  const window = { start: NOW + from * DAY, end: NOW + to * DAY };
  return { leaf: sha256, window, explanationUrl: "https://ca.test/why" };
}

function look(change: Partial<Observation>): Observation {
  return {
    now: NOW,
    caNow: NOW,
    wanted: { names: ["mail.test"], keyType: "ec-256", origin: ACME },
    published: undefined,
    candidate: { kind: "none" },
    forgotten: undefined,
    suggestion: undefined,
    ...change,
  };
}

/** The operator's files are wanted, and nothing can be ordered. */
const custom = { names: ["mail.test"], keyType: undefined, origin: CUSTOM };

interface Row {
  readonly when: string;
  readonly given: Partial<Observation>;
  readonly publish?: "placeholder" | "candidate" | "kept" | "pinned";
  /** Part of the reason why a usable candidate is not published; absent: none. */
  readonly declined?: RegExp;
  /** Part of the reason for an order; absent: no order. */
  readonly order?: RegExp;
}

const refused = (...codes: ("expired" | "not-yet-valid" | "key-mismatch" | "name-not-covered")[]): Candidate => ({
  kind: "refused",
  findings: codes.map((code) => ({ code, message: `It is ${code}.` })),
});

const rows: readonly Row[] = [
  { when: "nothing exists", given: {}, publish: "placeholder", order: /no certificate is stored/ },
  { when: "only the placeholder exists", given: { published: placeholder }, order: /no certificate is stored/ },
  { when: "an order is being written", given: { published: placeholder, candidate: { kind: "busy" } } },
  {
    when: "nothing is published and an order is being written",
    given: { candidate: { kind: "busy" } },
    publish: "placeholder",
  },
  {
    when: "the first certificate is stored",
    given: { published: placeholder, candidate: usable(leaf("a")) },
    publish: "candidate",
  },
  {
    when: "the volume is lost but a certificate is stored",
    given: { candidate: usable(leaf("a")) },
    publish: "candidate",
  },
  { when: "stored and published agree", given: { published: published(leaf("a")), candidate: usable(leaf("a")) } },
  {
    when: "someone renewed by hand",
    given: { published: published(leaf("a", 30)), candidate: usable(leaf("b", 0)) },
    publish: "candidate",
  },
  {
    when: "an older certificate is stored (volume restored from a backup)",
    given: { published: published(leaf("b", 1)), candidate: usable(leaf("a", 50)) },
    declined: /It is older than the published certificate \(valid from 2026-10-04/,
  },
  {
    when: "an older certificate is stored and the published one has expired",
    given: { published: published(leaf("b", 10, 9)), candidate: usable(leaf("a", 20)) },
    publish: "candidate",
  },
  {
    when: "acme.sh's volume is lost but what is published is good",
    given: { published: published(leaf("a", 30)) },
  },
  {
    when: "acme.sh's volume is lost and what is published is due",
    given: { published: published(leaf("a", 61)) },
    order: /29 days left/,
  },
  {
    when: "what was published is damaged while an order is running",
    given: { kept: published(leaf("a")), candidate: { kind: "busy" } },
    publish: "kept",
  },
  {
    when: "both volumes are lost, and what was published is remembered",
    given: { kept: published(leaf("a")) },
    publish: "kept",
  },
  {
    when: "what is remembered has expired",
    given: { kept: published(leaf("a", 100)) },
    publish: "placeholder",
    order: /no certificate is stored/,
  },
  {
    when: "a third is left by our clock alone, which is far ahead of the CA's",
    given: { published: published(leaf("a", 61)), candidate: usable(leaf("a", 61)), caNow: NOW - 60 * DAY },
  },
  {
    when: "what is published has expired by our clock alone",
    given: { published: published(leaf("a", 100)), candidate: refused("expired"), caNow: NOW - 90 * DAY },
  },
  {
    when: "a third is left by the CA's clock alone",
    given: { published: published(leaf("a", 1)), candidate: usable(leaf("a", 1)), caNow: NOW + 60 * DAY },
    order: /29 days left/,
  },
  {
    when: "a third is left of 90 days",
    given: { published: published(leaf("a", 60.1)), candidate: usable(leaf("a", 60.1)) },
    order: /30 days left/,
  },
  {
    when: "more than a third is left of 64 days",
    given: { published: published(leaf("a", 41, 64)), candidate: usable(leaf("a", 41, 64)) },
  },
  {
    when: "a third is left of 64 days",
    given: { published: published(leaf("a", 43, 64)), candidate: usable(leaf("a", 43, 64)) },
    order: /21 days left, and the CA suggests nothing/,
  },
  {
    when: "a third is left of 45 days",
    given: { published: published(leaf("a", 30.1, 45)), candidate: usable(leaf("a", 30.1, 45)) },
    order: /days left/,
  },
  {
    when: "less than half has passed of 6 days",
    given: { published: published(leaf("a", 2.8, 6)), candidate: usable(leaf("a", 2.8, 6)) },
  },
  {
    when: "half is left of 6 days",
    given: { published: published(leaf("a", 3.1, 6)), candidate: usable(leaf("a", 3.1, 6)) },
    order: /3 days left/,
  },
  {
    when: "the CA's window lies ahead although less than a third is left",
    given: { ...inService(61), suggestion: suggest("a", 2, 3) },
  },
  {
    when: "the CA's window has passed although more than a third is left",
    given: { ...inService(10), suggestion: suggest("a", -3, -2) },
    order: /80 days left, and the CA suggests a renewal between 2026-11-20 00:00 UTC and 2026-11-21 00:00 UTC \(.*why/,
  },
  {
    when: "the CA's window was for another certificate",
    given: { ...inService(10), suggestion: suggest("b", -3, -2) },
  },
  {
    when: "the CA has forgotten the certificate",
    given: { published: published(leaf("a")), candidate: usable(leaf("a")), forgotten: "a" },
    order: /no longer knows/,
  },
  {
    when: "the CA has forgotten an earlier certificate",
    given: { published: published(leaf("b")), candidate: usable(leaf("b")), forgotten: "a" },
  },
  {
    when: "a name was added",
    given: {
      published: published(leaf("a")),
      candidate: refused("name-not-covered"),
      wanted: { names: ["mail.test", "imap.test"], keyType: "ec-256", origin: ACME },
    },
    order: /cannot be used/,
  },
  {
    when: "a name was taken away",
    given: {
      published: published(leaf("a", 1, 90, { names: ["mail.test", "imap.test"] })),
      candidate: usable(leaf("a", 1, 90, { names: ["mail.test", "imap.test"] })),
    },
    order: /names changed from mail\.test, imap\.test to mail\.test/,
  },
  {
    when: "a wildcard covers the host name",
    given: {
      published: published(leaf("a", 1, 90, { names: ["*.vectis.test"] })),
      candidate: usable(leaf("a", 1, 90, { names: ["*.vectis.test"] })),
      wanted: { names: ["mail.vectis.test", "*.vectis.test"], keyType: "ec-256", origin: ACME },
    },
  },
  {
    when: "the key type was changed",
    given: {
      published: published(leaf("a")),
      candidate: usable(leaf("a")),
      wanted: { names: ["mail.test"], keyType: "ec-384", origin: ACME },
    },
    order: /key type changed from ec-256 to ec-384/,
  },
  {
    when: "the stack's key was changed",
    given: {
      published: published(leaf("a")),
      candidate: usable(leaf("a")),
      wanted: { names: ["mail.test"], keyType: "ec-256", publicKeySha256: "key of b", origin: ACME },
    },
    order: /stack's key was changed/,
  },
  {
    when: "the certificate is for the stack's key",
    given: {
      published: published(leaf("a")),
      candidate: usable(leaf("a")),
      wanted: { names: ["mail.test"], keyType: "ec-256", publicKeySha256: "key of a", origin: ACME },
    },
  },
  {
    when: "the profile was changed",
    given: { ...inService(1), profile: { wanted: "shortlived", leaf: "a", named: "" } },
    order: /profile changed from none to shortlived/,
  },
  {
    when: "the profile is no longer named",
    given: { ...inService(1), profile: { wanted: "", leaf: "a", named: "tlsserver" } },
    order: /profile changed from tlsserver to none/,
  },
  {
    when: "nobody knows the profile of what is stored",
    given: { ...inService(1), profile: { wanted: "shortlived", leaf: "", named: "" } },
  },
  {
    when: "the directory was changed",
    given: { published: published(leaf("a"), { source: "acme", directory: "https://staging.test/dir" }) },
    order: /no certificate is stored/,
  },
  {
    when: "the directory was changed back and its older certificate is still good",
    given: {
      published: published(leaf("b", 1), { source: "acme", directory: "https://staging.test/dir" }),
      candidate: usable(leaf("a", 10)),
    },
    publish: "candidate",
  },
  {
    when: "custom files take over from the CA, though they are older",
    given: { published: published(leaf("b", 1)), candidate: usable(leaf("a", 50)), wanted: custom },
    publish: "candidate",
  },
  {
    when: "custom files are the CA's certificate itself",
    given: { published: published(leaf("a")), candidate: usable(leaf("a")), wanted: custom },
    publish: "candidate",
  },
  {
    when: "custom files are bad and the CA's runs on",
    given: { published: published(leaf("a")), candidate: refused("key-mismatch"), wanted: custom },
  },
  {
    when: "custom files are due",
    given: { published: published(leaf("a", 80), CUSTOM), candidate: usable(leaf("a", 80)), wanted: custom },
  },
  {
    when: "older custom files follow newer ones",
    given: { published: published(leaf("b", 1), CUSTOM), candidate: usable(leaf("a", 50)), wanted: custom },
    declined: /It is older/,
  },
  {
    when: "the CA takes over from custom files and has nothing stored",
    given: { published: published(leaf("a"), CUSTOM) },
    order: /no certificate is stored/,
  },
  {
    when: "the CA takes over from custom files and its older certificate is still good",
    given: { published: published(leaf("b", 1), CUSTOM), candidate: usable(leaf("a", 20)) },
    publish: "candidate",
  },
  {
    when: "what is stored is damaged, what is published is good",
    given: { published: published(leaf("a")), candidate: refused("key-mismatch") },
  },
  {
    when: "what is stored has expired and the placeholder runs",
    given: { published: placeholder, candidate: refused("expired") },
    order: /It is expired/,
  },
  { when: "what is stored is not valid yet", given: { published: placeholder, candidate: refused("not-yet-valid") } },
  {
    when: "the successor of a due one is not valid yet, because the clock is behind",
    given: { published: published(leaf("a", 61)), candidate: refused("not-yet-valid") },
  },
  {
    when: "the successor of a due one is not valid yet and lacks a name",
    given: { published: published(leaf("a", 61)), candidate: refused("not-yet-valid", "name-not-covered") },
    order: /days left/,
  },
  {
    when: "everything from the CA has expired",
    given: { published: published(leaf("a", 100)), candidate: refused("expired") },
    order: /cannot be used/,
  },
  {
    when: "an older generation is pinned",
    given: { ...inService(1), pinned: pinned(leaf("old", 20)) },
    publish: "pinned",
  },
  {
    when: "the pinned generation is in service and a newer certificate is stored",
    given: { published: published(leaf("a", 20)), candidate: usable(leaf("b", 0)), pinned: pinned(leaf("a", 20), 5) },
  },
  {
    when: "the pinned generation is in service and the newer one in store is due",
    given: {
      published: published(leaf("a", 1)),
      candidate: usable(leaf("b", 0, 6, { notBefore: NOW - 4 * DAY, notAfter: NOW + 2 * DAY })),
      pinned: pinned(leaf("a", 1), 5),
    },
  },
  {
    when: "another source is configured while a generation is pinned",
    given: {
      published: published(leaf("a", 20)),
      candidate: usable(leaf("b", 0)),
      wanted: custom,
      pinned: pinned(leaf("a", 20), 5),
    },
  },
  {
    when: "what was published is damaged and an older generation is pinned",
    given: { candidate: usable(leaf("b", 0)), pinned: pinned(leaf("a", 20)) },
    publish: "pinned",
  },
  {
    when: "the pinned generation has expired",
    given: {
      published: published(leaf("a", 91)),
      candidate: usable(leaf("b", 0)),
      pinned: pinned(leaf("a", 91), 5),
    },
    publish: "candidate",
  },
  {
    when: "a person has asked for an order",
    given: { ...inService(1), asked: true },
    order: /a person has asked for it/,
  },
  {
    when: "the placeholder is about to expire",
    given: { published: published(leaf("p", 5.5, 7), PLACEHOLDER) },
    publish: "placeholder",
    order: /no certificate/,
  },
  {
    when: "the placeholder lacks a name",
    given: { published: placeholder, wanted: { names: ["other.test"], keyType: "ec-256", origin: ACME } },
    publish: "placeholder",
    order: /no certificate/,
  },
];

describe("decide", () => {
  for (const { when, given, publish, order, declined } of rows) {
    const what =
      [publish && `publishes the ${publish}`, order && "orders"].filter(Boolean).join(" and ") || "does nothing";
    it(`${what} when ${when}`, () => {
      const decision = decide(look(given));
      assert.equal(decision.publish?.what, publish);
      assert.match(decision.declined ?? "", declined ?? /^$/);
      if (order === undefined) assert.equal(decision.order, undefined);
      else assert.match(decision.order?.why ?? "", order);
    });
  }

  it("calls an order urgent when nothing fit for service is published, or will soon not be", () => {
    const wanted = { names: ["mail.test"], keyType: "ec-384", origin: ACME };
    const urgent = (given: Partial<Observation>): boolean | undefined =>
      decide(look({ wanted, ...given })).order?.urgent;
    assert.equal(urgent({}), true);
    assert.equal(urgent({ published: placeholder }), true);
    assert.equal(urgent(inService(1)), false, "another key type can wait");
    assert.equal(urgent(inService(61)), false, "a renewal that is due can wait");
    assert.equal(urgent(inService(76)), true, "one that is overdue cannot");
    assert.equal(urgent(inService(91)), true);
    const window = (days: number) => ({ start: NOW - 9 * DAY, end: NOW + days * DAY });
    const suggests = (days: number, name = "a") => ({
      suggestion: { leaf: leaf(name, 20).sha256, window: window(days), explanationUrl: "" },
    });
    assert.equal(urgent({ ...inService(20), ...suggests(1) }), false, "the CA's window is open");
    assert.equal(urgent({ ...inService(20), ...suggests(-1) }), true, "it has closed: the CA may revoke");
    assert.equal(urgent({ ...inService(20), ...suggests(-1, "b") }), false, "that of another certificate");
    const staging = { source: "acme", directory: "https://staging.test/dir" } as const;
    assert.equal(urgent({ published: published(leaf("a"), staging) }), true, "staging's is of no use to anybody");
    assert.equal(urgent({ published: published(leaf("a", 1, 90, { names: ["x.test"] })) }), true);
  });

  it("never replaces a CA's certificate by a placeholder, whatever else is wrong", () => {
    for (const age of [0, 50, 89, 91, 400]) {
      for (const candidate of [{ kind: "none" }, { kind: "busy" }, refused("expired")] satisfies Candidate[]) {
        for (const names of [["mail.test"], ["new.test"]]) {
          const wanted = { names, keyType: "ec-384", origin: ACME };
          assert.equal(decide(look({ published: published(leaf("a", age)), candidate, wanted })).publish, undefined);
        }
      }
    }
  });
});

describe("nextOrderAt", () => {
  const none = { failures: 0, lastFailureAt: 0, interruptions: 0, lastStartAt: 0, retryAt: 0 };

  it("allows an order at once when nothing failed", () => {
    assert.equal(nextOrderAt(none, NOW), 0);
  });

  it("counts from the last failure", () => {
    assert.equal(nextOrderAt({ ...none, failures: 2, lastFailureAt: NOW - MINUTE }, NOW), NOW + 9 * MINUTE);
  });

  it("waits as long as the CA asks for, if that is longer, and not for ever", () => {
    const failed = { ...none, failures: 1, lastFailureAt: NOW };
    assert.equal(nextOrderAt({ ...failed, retryAt: NOW + 34 * 60 * MINUTE }, NOW), NOW + 34 * 60 * MINUTE);
    assert.equal(nextOrderAt({ ...failed, retryAt: NOW + 1000 }, NOW), NOW + MINUTE);
    assert.equal(nextOrderAt({ ...failed, retryAt: NOW + 9 * DAY }, NOW), NOW + MINUTE);
    assert.equal(nextOrderAt({ ...none, retryAt: NOW + DAY }, NOW), 0, "an order by hand has gone well since");
  });

  it("counts from the start of an order that was cut off", () => {
    assert.equal(nextOrderAt({ ...none, interruptions: 4, lastStartAt: NOW - 1000 }, NOW), NOW + 29_000);
  });

  it("does not wait longer because the clock was set back", () => {
    assert.equal(nextOrderAt({ ...none, failures: 1, lastFailureAt: NOW + 300 * DAY }, NOW), NOW + MINUTE);
  });
});
