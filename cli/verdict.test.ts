// The judgement on probed facts: each way in which a mail host can be wrong is named on the port where it shows.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Handshake } from "./probe.ts";
import { covers, judge, tlsServices, type Facts, type Target, type TlsServiceKey } from "./verdict.ts";
import { missing, render } from "./verify.ts";

const now = new Date("2026-01-01T00:00:00Z");
const hostname = "mail.example.com";
const nowhere = { host: "127.0.0.1", port: 1 };
const each = <T>(value: (key: TlsServiceKey) => T): Record<TlsServiceKey, T> =>
  Object.fromEntries(tlsServices.map(({ key }) => [key, value(key)])) as Record<TlsServiceKey, T>;
const target: Target = { hostname, names: [hostname], endpoints: { ...each(() => nowhere), http: nowhere } };

function served(key: TlsServiceKey, change: Partial<Handshake> = {}): Handshake {
  const fingerprint = key === "https" ? "web" : "mail";
  return {
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    group: "X25519MLKEM768",
    distrust: undefined,
    leaf: {
      subject: hostname,
      names: [hostname],
      issuer: "Example CA",
      selfIssued: false,
      serial: fingerprint,
      fingerprint,
      publicKeySha256: "00",
      keyType: "ec-256",
      notBefore: new Date("2025-12-01T00:00:00Z"),
      notAfter: new Date("2026-03-01T00:00:00Z"),
    },
    ...change,
  };
}

const good: Facts = {
  tls: each((key) => ({ ok: true, value: served(key) })),
  rsa: undefined,
  tls11: each(() => "refused"),
  redirect: { ok: true, value: { status: 301, location: `https://${hostname}/` } },
  listening: [],
};
const withTls = (key: TlsServiceKey, value: Handshake): Facts => ({
  ...good,
  tls: { ...good.tls, [key]: { ok: true, value } },
});
const problems = (facts: Facts, seenFrom = target): string[] => {
  const verdict = judge(seenFrom, facts, now);
  const found = [
    ...verdict.rows.flatMap((row) => row.problems.map((problem) => `${row.port}: ${problem}`)),
    ...verdict.checks.flatMap((check) => check.problems.map((problem) => `${check.name}: ${problem}`)),
  ];
  assert.equal(verdict.asExpected, found.length === 0);
  return found;
};

describe("a verdict", () => {
  it("is good when every port serves what it should", () => assert.deepEqual(problems(good), []));

  it("names an untrusted chain, an old version and a classical key exchange on their port", () => {
    assert.deepEqual(
      problems(withTls("imaps", served("imaps", { distrust: "self-signed", version: "TLSv1.2", group: "X25519" }))),
      ["993: self-signed", "993: negotiates TLSv1.2, not TLSv1.3", "993: key exchange X25519, not X25519MLKEM768"],
    );
  });

  it("sees a mail port that still serves another certificate", () => {
    const old = served("imaps");
    const stale = { ...old, leaf: { ...old.leaf, fingerprint: "old" } };
    assert.deepEqual(problems(withTls("imaps", stale)), [
      "25, 465, 587, 993 and 995 serve one certificate: 25, 465, 587, 995 differ from 993",
    ]);
  });

  it("sees that 443 shares the certificate of the mail ports", () => {
    assert.match(problems(withTls("https", served("smtp"))).join(), /443 serves another .*: the same as on 25, 465/);
  });

  it("wants 443 to share the certificate of the mail ports where the stack says so", () => {
    const shared: Target = { ...target, https: "shared" };
    assert.deepEqual(problems(withTls("https", served("smtp")), shared), []);
    assert.match(
      problems(good, shared).join(),
      /443 serves the certificate of the mail ports: another than on 25, 465/,
    );
  });

  it("asks nothing of port 80 where it is not published", () => {
    const { rows } = judge(target, { ...good, redirect: undefined }, now);
    assert.deepEqual(
      rows.map(({ port }) => port),
      [25, 443, 465, 587, 993, 995],
    );
  });

  it("sees TLS 1.1, clear-text ports, and a redirect to elsewhere", () => {
    const found = problems({
      ...good,
      tls11: { ...good.tls11, smtp: "accepted" },
      listening: [143],
      redirect: { ok: true, value: { status: 302, location: "/" } },
    });
    assert.deepEqual(found, [
      "80: answers 302, not 301 or 308",
      "TLS 1.1 is refused on every port: 25: accepted",
      "110 and 143 answer nowhere: 143 accepts connections",
    ]);
  });

  it("asks for one RSA certificate on every mail port where there is to be one", () => {
    const both: Target = { ...target, alsoKeyType: "rsa-2048" };
    const { leaf } = served("imaps");
    const second = { ...leaf, keyType: "rsa-2048", fingerprint: "rsa" };
    const seen = (change: Partial<Record<TlsServiceKey, Handshake>> = {}): Facts => ({
      ...good,
      rsa: each((key) => ({ ok: true, value: change[key] ?? served(key, { leaf: second }) })),
    });
    assert.deepEqual(problems(seen(), both), []);
    const check = "25, 465, 587, 993 and 995 serve one certificate with an rsa-2048 key to clients without ECDSA";
    const untrusted = served("smtp", { leaf: second, distrust: "unable to get local issuer certificate" });
    const uncovered = served("pop3s", { leaf: { ...second, names: ["other.example.com"] } });
    const changes = { smtp: untrusted, imaps: served("imaps"), pop3s: uncovered };
    assert.deepEqual(problems(seen(changes), both), [
      `${check}: 25: unable to get local issuer certificate`,
      `${check}: 993: an ec-256 key`,
      `${check}: 995: does not cover ${hostname}`,
    ]);
    const another = served("submission", { leaf: { ...second, fingerprint: "older" } });
    assert.deepEqual(problems(seen({ submission: another }), both), [`${check}: not the same on every port`]);
    const refused: Facts = { ...good, rsa: each(() => ({ ok: false, error: "handshake failure" })) };
    assert.equal(problems(refused, both).length, 5);
  });

  it("is shown as a table that says what is not as expected", () => {
    const verdict = judge(
      target,
      { ...good, tls: { ...good.tls, pop3s: { ok: false, error: "nothing listens" } } },
      now,
    );
    const text = render(verdict);
    assert.match(text, /^ 993 {2}IMAP, TLS .* X25519MLKEM768 .* 59 {2}verified +yes$/m);
    assert.match(text, /^ 995 {2}POP3, TLS .* NO: nothing listens$/m);
    assert.equal(missing(verdict), "995: nothing listens");
  });
});

describe("a certificate name", () => {
  it("covers exactly itself, or one label in place of a star", () => {
    assert.ok(covers("Mail.Example.com", hostname));
    assert.ok(covers("*.example.com", hostname));
    assert.ok(!covers("*.example.com", "example.com"));
    assert.ok(!covers("*.example.com", "a.mail.example.com"));
  });
});
