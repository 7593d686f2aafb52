import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, describe, it } from "node:test";
import { canonicalPair, covers, leafFacts, validatePair, type FindingCode, type Pair } from "./validate.ts";
import { TestPki } from "./test-pki.ts";

const pki = new TestPki();
after(() => pki.remove());

const NAME = "mail.vectis.test";
const root = pki.issue({ subject: "/CN=Root", ca: true, days: 3650 });
const upper = pki.issue({ subject: "/CN=Upper", ca: true, by: root, days: 1000 });
const lower = pki.issue({ subject: "/CN=Lower", ca: true, by: upper, days: 1000 });
const stranger = pki.issue({ subject: "/CN=Stranger", ca: true });
const notCa = pki.issue({ subject: "/CN=Lower", by: upper, reuse: lower });
const leafOf = { subject: "/", names: [NAME, "imap.vectis.test"], by: lower, usage: "serverAuth" };
const leaf = pki.issue(leafOf);
const short = pki.issue({ ...leafOf, days: 5 });
const wildcard = pki.issue({ ...leafOf, names: ["*.vectis.test"] });
const client = pki.issue({ ...leafOf, usage: "clientAuth" });
const anyUsage = pki.issue({ ...leafOf, usage: "anyExtendedKeyUsage" });
const commonNameOnly = pki.issue({ subject: `/CN=${NAME}`, by: lower });
const weakRsa = pki.issue({ ...leafOf, key: "rsa:1024" });
const rsa = pki.issue({ ...leafOf, key: "rsa:2048" });
const p384 = pki.issue({ ...leafOf, key: "secp384r1" });
const weakEc = pki.issue({ ...leafOf, key: "secp224r1" });
const ed25519 = pki.issue({ ...leafOf, key: "ed25519" });
const selfSigned = pki.issue({ subject: `/CN=${NAME}`, names: [NAME] });
const fromRoot = pki.issue({ ...leafOf, by: root });
const fromLeafIssuer = pki.issue({ ...leafOf, by: notCa });
const encrypted = execFileSync("openssl", ["ec", "-aes256", "-passout", "pass:x", "-in", leaf.paths.key], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "ignore"],
});

const chain = lower.pem + upper.pem;
const DAY = 86_400_000;
const now = Date.now() + 60_000;
const damaged = (pem: string): string => pem.replace(/\n[A-Za-z0-9+/]{20}/, "\n####################");

interface Case {
  readonly title: string;
  readonly pair: Pair;
  readonly expected: readonly FindingCode[];
  readonly names?: readonly string[];
  readonly now?: number;
  readonly trustedRoots?: string;
  readonly says?: RegExp;
}

const good = { fullchain: leaf.pem + chain, privkey: leaf.key };
const cases: readonly Case[] = [
  { title: "a complete chain without its root", pair: good, expected: [] },
  { title: "a complete chain with its root", pair: { ...good, fullchain: good.fullchain + root.pem }, expected: [] },
  { title: "an RSA-2048 key", pair: { fullchain: rsa.pem + chain, privkey: rsa.key }, expected: [] },
  { title: "a P-384 key", pair: { fullchain: p384.pem + chain, privkey: p384.key }, expected: [] },
  { title: "a leaf for any usage", pair: { fullchain: anyUsage.pem + chain, privkey: anyUsage.key }, expected: [] },
  {
    title: "a text around the certificates",
    pair: { ...good, fullchain: `Subject: x\n${good.fullchain}` },
    expected: [],
  },
  { title: "CRLF line ends", pair: { ...good, fullchain: good.fullchain.replaceAll("\n", "\r\n") }, expected: [] },
  {
    title: "no certificate at all",
    pair: { ...good, fullchain: "" },
    expected: ["chain-unreadable"],
    says: /no PEM certificate/,
  },
  {
    title: "a damaged certificate",
    pair: { ...good, fullchain: damaged(leaf.pem) + chain },
    expected: ["chain-unreadable"],
    says: /damaged/,
  },
  { title: "no key", pair: { ...good, privkey: "" }, expected: ["key-unreadable"], says: /no PEM private key/ },
  {
    title: "a damaged key",
    pair: { ...good, privkey: damaged(leaf.key) },
    expected: ["key-unreadable"],
    says: /damaged/,
  },
  {
    title: "an encrypted key",
    pair: { ...good, privkey: encrypted },
    expected: ["key-unreadable"],
    says: /passphrase/,
  },
  { title: "nothing readable", pair: { fullchain: "", privkey: "" }, expected: ["chain-unreadable", "key-unreadable"] },
  { title: "another certificate's key", pair: { ...good, privkey: rsa.key }, expected: ["key-mismatch"] },
  {
    title: "a name that is not covered",
    pair: good,
    names: [NAME, "smtp.vectis.test"],
    expected: ["name-not-covered"],
    says: /smtp\.vectis\.test; it covers mail\.vectis\.test, imap\.vectis\.test/,
  },
  {
    title: "the name only as common name",
    pair: { fullchain: commonNameOnly.pem + chain, privkey: commonNameOnly.key },
    expected: ["name-not-covered"],
  },
  {
    title: "a wildcard for one label",
    pair: { fullchain: wildcard.pem + chain, privkey: wildcard.key },
    names: [NAME, "*.vectis.test"],
    expected: [],
  },
  {
    title: "a wildcard for its parent and for two labels",
    pair: { fullchain: wildcard.pem + chain, privkey: wildcard.key },
    names: ["vectis.test", "a.b.vectis.test"],
    expected: ["name-not-covered", "name-not-covered"],
  },
  {
    title: "a wanted wildcard that is only a name",
    pair: good,
    names: ["*.vectis.test"],
    expected: ["name-not-covered"],
  },
  {
    title: "intermediates in the wrong order",
    pair: { ...good, fullchain: leaf.pem + upper.pem + lower.pem },
    expected: ["chain-order"],
  },
  { title: "the leaf last", pair: { ...good, fullchain: lower.pem + upper.pem + leaf.pem }, expected: ["chain-order"] },
  {
    title: "a leaf alone",
    pair: { ...good, fullchain: leaf.pem },
    expected: ["chain-incomplete"],
    says: /"CN=Lower".* is missing/,
  },
  {
    title: "a leaf with only the upper intermediate",
    pair: { ...good, fullchain: leaf.pem + upper.pem },
    expected: ["chain-stranger", "chain-incomplete"],
  },
  {
    title: "a leaf issued directly by a trusted root",
    pair: { fullchain: fromRoot.pem, privkey: fromRoot.key },
    trustedRoots: stranger.pem + root.pem,
    expected: [],
  },
  {
    title: "a leaf issued directly by an unknown root",
    pair: { fullchain: fromRoot.pem, privkey: fromRoot.key },
    trustedRoots: stranger.pem,
    expected: ["chain-incomplete"],
  },
  {
    title: "a stranger in the chain",
    pair: { ...good, fullchain: good.fullchain + stranger.pem },
    expected: ["chain-stranger"],
    says: /CN=Stranger does not belong/,
  },
  {
    title: "the leaf twice",
    pair: { ...good, fullchain: leaf.pem + leaf.pem + chain },
    expected: ["chain-stranger"],
    says: /twice/,
  },
  {
    title: "an issuer that is no CA",
    pair: { fullchain: fromLeafIssuer.pem + notCa.pem + upper.pem, privkey: fromLeafIssuer.key },
    expected: ["not-a-ca"],
  },
  {
    title: "a time before the leaf is valid",
    pair: good,
    now: now - 10 * DAY,
    expected: Array<FindingCode>(3).fill("not-yet-valid"),
    says: /clock/,
  },
  {
    title: "an expired leaf",
    pair: { fullchain: short.pem + chain, privkey: short.key },
    now: now + 6 * DAY,
    expected: ["expired"],
  },
  {
    title: "an expired intermediate and leaf",
    pair: good,
    now: now + 1001 * DAY,
    expected: Array<FindingCode>(3).fill("expired"),
  },
  {
    title: "a leaf for clients only",
    pair: { fullchain: client.pem + chain, privkey: client.key },
    expected: ["no-server-auth"],
  },
  { title: "RSA-1024", pair: { fullchain: weakRsa.pem + chain, privkey: weakRsa.key }, expected: ["key-too-small"] },
  { title: "EC P-224", pair: { fullchain: weakEc.pem + chain, privkey: weakEc.key }, expected: ["key-too-small"] },
  {
    title: "an Ed25519 key",
    pair: { fullchain: ed25519.pem + chain, privkey: ed25519.key },
    expected: ["key-unsupported"],
  },
  {
    title: "a self-signed leaf",
    pair: { fullchain: selfSigned.pem, privkey: selfSigned.key },
    expected: ["self-signed"],
  },
  {
    title: "everything at once",
    pair: { fullchain: short.pem + stranger.pem, privkey: rsa.key },
    names: ["other.test"],
    now: now + 6 * DAY,
    expected: ["key-mismatch", "name-not-covered", "chain-stranger", "chain-incomplete", "expired"],
  },
];

describe("validatePair", () => {
  for (const { title, pair, expected, names, now: at, trustedRoots, says } of cases) {
    it(`${expected.length === 0 ? "accepts" : `finds ${[...new Set(expected)].join(", ")} in`} ${title}`, () => {
      const wanted = {
        names: names ?? [NAME],
        now: at ?? now,
        ...(trustedRoots === undefined ? {} : { trustedRoots }),
      };
      const findings = validatePair(pair, wanted);
      assert.deepEqual(
        findings.map(({ code }) => code),
        expected,
      );
      if (says !== undefined) assert.match(findings.map(({ message }) => message).join("\n"), says);
      for (const { message } of findings) assert.match(message, /^[A-Z].*[.?]$/);
    });
  }
});

describe("covers", () => {
  it("does not let a wildcard of a top-level domain count", () => {
    assert.equal(covers(["*.test"], "vectis.test"), false);
  });
});

describe("leafFacts", () => {
  it("reads the leaf of a chain and its authority key identifier", () => {
    const facts = leafFacts(good.fullchain);
    assert.ok(facts);
    assert.deepEqual(facts.names, [NAME, "imap.vectis.test"]);
    assert.equal(facts.issuer, "CN=Lower");
    assert.equal(facts.keyType, "ec-256");
    assert.equal(facts.selfSigned, false);
    const text = execFileSync("openssl", [
      "x509",
      "-in",
      lower.paths.pem,
      "-noout",
      "-ext",
      "subjectKeyIdentifier",
    ]).toString();
    const keyId = /([0-9A-F]{2}:)+[0-9A-F]{2}/.exec(text)?.[0].replaceAll(":", "").toLowerCase();
    assert.equal(facts.authorityKeyId, keyId);
  });

  it("knows a self-signed leaf and one without authority key identifier", () => {
    const facts = leafFacts(selfSigned.pem);
    assert.equal(facts?.selfSigned, true);
    assert.equal(facts.authorityKeyId, "");
  });
});

describe("canonicalPair", () => {
  it("gives the same bytes for the same material in another dress", () => {
    const dressed = {
      fullchain: `# leaf\r\n${good.fullchain.replaceAll("\n", "\r\n")}`,
      privkey: execFileSync("openssl", ["ec", "-in", leaf.paths.key], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }),
    };
    assert.deepEqual(canonicalPair(dressed), canonicalPair(good));
    assert.match(canonicalPair(good).privkey, /^-----BEGIN PRIVATE KEY-----\n/);
  });
});
