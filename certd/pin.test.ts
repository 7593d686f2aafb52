import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judgePin } from "./pin.ts";
import type { LeafFacts } from "./validate.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 23);

/** A certificate of this age and lifetime, in days. */
function leaf(age: number, lifetime = 90, names: readonly string[] = ["mail.test"]): LeafFacts {
  const notBefore = NOW - age * DAY;
  return {
    sha256: "a",
    serial: "01",
    authorityKeyId: "",
    subject: "",
    issuer: "CN=CA",
    names,
    notBefore,
    notAfter: notBefore + lifetime * DAY,
    keyType: "ec-256",
    publicKeySha256: "key",
    selfSigned: false,
  };
}

interface Row {
  readonly what: string;
  readonly leaf: LeafFacts | undefined;
  /** Days ago. */
  readonly pinned: number;
  /** When it ends by itself, in days from now, to half a day; or why it has ended. */
  readonly ends: number | RegExp;
}

const rows: readonly Row[] = [
  { what: "a young one holds until its renewal time", leaf: leaf(10), pinned: 1, ends: 49.5 },
  { what: "one of 6 days holds until half of it has passed", leaf: leaf(1, 6), pinned: 0, ends: 2 },
  { what: "one that its renewal has replaced holds for half of what is left", leaf: leaf(62), pinned: 0, ends: 14 },
  { what: "that half is counted from the moment of the pin", leaf: leaf(72), pinned: 10, ends: 4 },
  { what: "with half of it gone it ends", leaf: leaf(77), pinned: 15, ends: /it expires on 2026-12-06/ },
  {
    what: "at its renewal time it ends, if it was pinned long before",
    leaf: leaf(61),
    pinned: 61,
    ends: /it expires on/,
  },
  { what: "one that has expired ends", leaf: leaf(91), pinned: 1, ends: /it expired on 2026-11-22/ },
  { what: "one that lacks a name ends", leaf: leaf(10, 90, ["x.test"]), pinned: 1, ends: /does not cover mail\.test/ },
  { what: "one that is damaged ends", leaf: undefined, pinned: 1, ends: /missing or damaged/ },
  { what: "a clock that was set back does not prolong it", leaf: leaf(62), pinned: -300, ends: 14 },
];

describe("a pinned generation", () => {
  for (const { what, leaf, pinned, ends } of rows) {
    it(what, () => {
      const verdict = judgePin({ number: 41, at: NOW - pinned * DAY, leaf }, ["mail.test"], NOW);
      if (typeof ends === "number") {
        assert.ok(verdict.kind === "holds");
        assert.ok(Math.abs(verdict.until - NOW - ends * DAY) < DAY, `${(verdict.until - NOW) / DAY} days`);
      } else {
        assert.ok(verdict.kind === "lapsed");
        assert.match(verdict.why, ends);
      }
    });
  }
});
