// What `vectis certs` says of generations, as pure functions; on running containers: test/rollback.test.ts.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GenerationFacts, Listing } from "../certd/commands.ts";
import { compare, previous, renderList, tlsaProblem } from "./certs.ts";

function generation(number: number, change: Partial<GenerationFacts> = {}): GenerationFacts {
  return {
    generation: number,
    publishedAt: "2026-11-01T12:00:00.000Z",
    source: "acme",
    directory: "https://ca.test/dir",
    names: ["mail.example.com"],
    notBefore: "2026-11-01T00:00:00.000Z",
    notAfter: "2027-01-30T00:00:00.000Z",
    serial: `0${number}`,
    sha256: `leaf ${number}`,
    keyType: "ec-256",
    publicKeySha256: "ab12".repeat(16),
    issuer: "CN=YE1",
    chain: ["CN=mail.example.com", "CN=YE1"],
    rsa: null,
    problems: [],
    ...change,
  };
}
const rsa = {
  notBefore: "2026-11-01T00:00:00.000Z",
  notAfter: "2027-01-29T00:00:00.000Z",
  serial: "0aa",
  sha256: "leaf aa",
  keyType: "rsa-2048",
  publicKeySha256: "cd34".repeat(16),
  issuer: "CN=YR1",
  chain: ["CN=mail.example.com", "CN=YR1"],
};
const listing = (current: number, ...generations: GenerationFacts[]): Listing => ({
  generations,
  current,
  pinned: null,
  budget: null,
});

describe("vectis certs", () => {
  it("lists generations with their state, and says that one is pinned and until when", () => {
    const pinned = { generation: 41, since: "2026-11-20T08:00:00.000Z", until: "2026-12-30T00:00:00.000Z" };
    const text = renderList(
      { ...listing(41, generation(42), generation(41), generation(0, { problems: ["self-signed"] })), pinned },
      Date.UTC(2026, 11, 1),
    );
    assert.match(text, /^000042 {2,}2026-11-01 12:00 UTC +2027-01-30 00:00 UTC +60\.0 +ec-256 +ab12ab12ab12 +042 /m);
    assert.match(text, /^000041 +current, pinned +/m);
    assert.match(text, /^000000 +not usable +/m);
    assert.match(text, /000041 is pinned since 2026-11-20 08:00 UTC, until `vectis certs unpin` or 2026-12-30/);
  });

  it("shows an RSA certificate beside the first one, and what differs of it", () => {
    const text = renderList(listing(42, generation(42, { rsa })), Date.UTC(2026, 11, 1));
    assert.match(text, /^000042 +current +.* 60\.0 +ec-256 \+ rsa-2048 +ab12ab12ab12 +042 /m);
    const differs = compare(generation(42), generation(42, { rsa })).filter(({ same }) => !same);
    assert.deepEqual(
      differs.map(({ field, values: [, now] }) => [field, now[0]]),
      [
        ["RSA key", `rsa-2048 ${rsa.publicKeySha256}`],
        ["RSA serial", "0aa"],
        ["RSA not after", rsa.notAfter],
      ],
    );
  });

  it("says what the CA's limit leaves, where there is one", () => {
    const budget = {
      names: ["mail.example.com"],
      limit: 5,
      remaining: 2,
      nextAt: "2026-12-02T09:36:00.000Z",
      heldUntil: "2026-12-02T09:36:00.000Z",
    };
    assert.match(
      renderList({ ...listing(42, generation(42)), budget }, Date.UTC(2026, 11, 1)),
      /leaves 2 of 5 orders for exactly mail\.example\.com in 7 days; the next is given back at 2026-12-02 09:36 UTC; .*held back until/,
    );
  });

  it("rolls back to the latest earlier generation that may be served", () => {
    const expired = generation(41, { problems: ["It has expired."] });
    assert.equal(previous(listing(42, generation(43), generation(42), expired, generation(40))).generation, 40);
    assert.throws(() => previous(listing(42, generation(42), expired)), /no earlier generation that may be served/);
  });

  it("names every field in which two generations differ, and no other", () => {
    const other = generation(42, { names: ["mail.example.com", "imap.example.com"], keyType: "ec-384" });
    const differs = compare(generation(41), other).filter(({ same }) => !same);
    assert.deepEqual(
      differs.map(({ field }) => field),
      ["names", "key", "serial"],
    );
  });

  const mx = { type: "MX", value: "10 mail.example.com." };
  const tlsa = (key: string) => ({ type: "TLSA", value: `3 1 1 ${key}` });
  const rows: readonly (readonly [what: string, records: unknown, refused: boolean])[] = [
    ["without TLSA records", [mx], false],
    ["of a stack whose outputs have no records", undefined, false],
    ["that a TLSA record names", [mx, tlsa("00".repeat(32)), tlsa("AB12".repeat(16))], false],
    ["that no TLSA record names", [mx, tlsa("00".repeat(32))], true],
  ];
  it("refuses a generation with an RSA key that no TLSA record names, though one names its other key", () => {
    const records = [tlsa("ab12".repeat(16))];
    assert.match(tlsaProblem(generation(41, { rsa }), records) ?? "", /no TLSA record names every key of/);
    assert.equal(tlsaProblem(generation(41, { rsa }), [...records, tlsa(rsa.publicKeySha256)]), undefined);
  });

  for (const [what, records, refused] of rows) {
    it(`${refused ? "refuses" : "takes"} a key ${what}`, () => {
      assert.match(tlsaProblem(generation(41), records) ?? "", refused ? /no TLSA record names the key of/ : /^$/);
    });
  }
});
