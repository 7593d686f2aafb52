import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { budget, counts, hasLimit, heldUntil, remember, type Issued } from "./budget.ts";
import type { LeafFacts } from "./validate.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 10, 24, 12);
const NAMES = ["mail.test", "imap.test"];
/** Orders so many hours ago. */
const ordered = (...ages: number[]): Issued[] =>
  ages.map((age) => ({ sha256: String(age), names: "imap.test mail.test", at: NOW - age * HOUR }));

interface Row {
  readonly what: string;
  readonly ages: readonly number[];
  readonly remaining: number;
  /** Hours until the next is given back. */
  readonly next?: number;
  /** Hours until an order that can wait may be placed. */
  readonly held?: number;
}

const rows: readonly Row[] = [
  { what: "nothing was ordered", ages: [], remaining: 5 },
  { what: "one was ordered just now", ages: [0], remaining: 4, next: 33.6 },
  { what: "one was ordered a day ago", ages: [24], remaining: 4, next: 9.6 },
  { what: "one was ordered two days ago", ages: [48], remaining: 5 },
  { what: "three were ordered at once", ages: [0, 0, 0], remaining: 2, next: 33.6, held: 33.6 },
  { what: "four were ordered at once", ages: [0, 0, 0, 0], remaining: 1, next: 33.6, held: 67.2 },
  { what: "all were ordered at once", ages: [0, 0, 0, 0, 0], remaining: 0, next: 33.6, held: 100.8 },
  { what: "all were ordered at once, 34 hours ago", ages: [34, 34, 34, 34, 34], remaining: 1, next: 33.2, held: 66.8 },
  { what: "one is ordered every two days", ages: [144, 96, 48, 0], remaining: 4, next: 33.6 },
  { what: "one is ordered a day", ages: [96, 72, 48, 24, 0], remaining: 2, next: 4.8, held: 4.8 },
];

describe("the budget of duplicate certificates", () => {
  for (const { what, ages, remaining, next, held } of rows) {
    it(`has ${remaining} left when ${what}`, () => {
      const left = budget(ordered(...ages), NAMES, NOW);
      const hours = (time: number | undefined) => time && Math.round((time - NOW) / (HOUR / 10)) / 10;
      assert.equal(left.remaining, remaining);
      assert.equal(hours(left.nextAt), next);
      assert.equal(hours(heldUntil(left)), held);
    });
  }

  it("counts one exact set of names, in any order, and no other", () => {
    const issued = ordered(0, 0);
    assert.equal(budget(issued, ["imap.test", "mail.test"], NOW).remaining, 3);
    assert.equal(budget(issued, ["mail.test"], NOW).remaining, 5);
  });

  it("does not fill later because the clock was set back", () => {
    assert.equal(budget(ordered(-1000), NAMES, NOW).nextAt, NOW + 33.6 * HOUR);
  });

  it("remembers a certificate once, an hour after its begin, and forgets it after a week", () => {
    const leaf = (sha256: string, age: number) =>
      ({ sha256, names: ["mail.test", "imap.test"], notBefore: NOW - age * HOUR }) as unknown as LeafFacts;
    const one = remember([], leaf("a", 3), NOW);
    assert.deepEqual(one, [{ sha256: "a", names: "imap.test mail.test", at: NOW - 2 * HOUR }]);
    assert.equal(remember(one, leaf("a", 3), NOW), one);
    assert.equal(remember(one, leaf("old", 200), NOW), one);
    assert.deepEqual(
      remember(one, leaf("b", -200), NOW + 200 * HOUR).map(({ sha256 }) => sha256),
      ["b"],
    );
  });

  const directories: readonly (readonly [string, boolean])[] = [
    ["https://acme-v02.api.letsencrypt.org/directory", true],
    ["https://acme-staging-v02.api.letsencrypt.org/directory", false],
    ["https://ca.example.com/acme/directory", false],
  ];
  for (const [directory, limited] of directories) {
    it(`${limited ? "applies" : "does not apply"} at ${directory}`, () => {
      assert.equal(hasLimit(directory), limited);
    });
  }

  it("leaves out what HTTPS still serves from staging or from another CA", () => {
    assert.equal(counts({ issuer: "C=US, O=Let's Encrypt, CN=YE1" }), true);
    assert.equal(counts({ issuer: "C=US, O=(STAGING) Let's Encrypt, CN=(STAGING) Yam" }), false);
    assert.equal(counts({ issuer: "CN=Pebble Intermediate CA" }), false);
  });
});
