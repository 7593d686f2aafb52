import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { diagnose, worthShowing, type TroubleCode } from "./causes.ts";

const NOW = Date.UTC(2026, 10, 24, 12);
const HOUR = 3_600_000;
const folder = join(import.meta.dirname, "recorded");
const recorded = (name: string): string => readFileSync(join(folder, `${name}.txt`), "utf8");

interface Row {
  readonly code: TroubleCode;
  readonly cause: RegExp;
  readonly advice: RegExp;
  readonly retryAt?: number;
}

/** Output and log of acme.sh 3.1.1, most of it against Pebble 2.6.0; what Pebble cannot say was put into its mouth. */
const outputs: Readonly<Record<string, Row>> = {
  "port-80-refused": {
    code: "port-80",
    cause: /does not reach port 80 of closed\.vectis\.test .*10\.216\.77\.6:80: connect: connection refused/,
    advice: /TCP port 80 .*vectis:tls\.challenge to dns-01/,
  },
  "dns-missing": {
    code: "dns",
    cause: /finds no address for nowhere\.vectis\.test/,
    advice: /`dig \+short A nowhere\.vectis\.test`.*vectis:addresses/,
  },
  "dns-nxdomain": {
    code: "dns",
    cause: /finds no address for closed\.vectis\.test .*NXDOMAIN looking up AAAA/,
    advice: /A and AAAA records of closed\.vectis\.test/,
  },
  "other-host-404": {
    code: "other-host",
    cause: /for wrong\.vectis\.test the CA got an answer that is not ours .*returned 404/,
    advice: /lead to this host and no others.*DNS only/,
  },
  "other-host-body": {
    code: "other-host",
    cause: /for body\.vectis\.test .*did not match this challenge/,
    advice: /lead to this host/,
  },
  "other-host-parking-page": {
    code: "other-host",
    cause: /Invalid response from http:\/\/mail\.vectis\.test\/.* "<!DOCTYPE html><html><title>Parking"/,
    advice: /lead to this host/,
  },
  "caa-validation": {
    code: "caa",
    cause: /a CAA record forbids this CA to issue for closed\.vectis\.test/,
    advice: /dig CAA closed\.vectis\.test.*vectis:tls\.acme\.directory/,
  },
  "caa-finalize": { code: "caa", cause: /forbids this CA to issue for mail\.vectis\.test/, advice: /accounturi/ },
  "rate-limited": {
    code: "rate-limited",
    cause: /rate limit is reached \(too many certificates \(5\)/,
    advice: /staging/,
    retryAt: Date.UTC(2026, 10, 25, 13, 21, 46),
  },
  "account-unknown": { code: "account-unknown", cause: /does not know our account/, advice: /registered anew/ },
  "account-binding": {
    code: "account",
    cause: /does not accept our account .*"externalAccountBinding" field/,
    advice: /choose another one in vectis:tls\.acme\.directory/,
  },
  "rejected-identifier": {
    code: "rejected-name",
    cause: /does not issue for blocked\.vectis\.test/,
    advice: /vectis:hostname or vectis:tls\.names/,
  },
  "invalid-profile": {
    code: "profile",
    cause: /does not offer the certificate profile \(Order specified an unrecognized profile/,
    advice: /vectis:tls\.acme\.profile .*tlsserver/,
  },
  "token-refused": {
    code: "token-refused",
    cause: /^Cloudflare refuses the request: Invalid access token \(code 9109\)$/,
    advice: /Zone > DNS > Edit.*--secret vectis:challengeToken/,
  },
  "ca-busy": { code: "ca-busy", cause: /problem of its own \(Service busy; retry later\.\)/, advice: /status page/ },
  "ca-answers-502": { code: "ca-unreachable", cause: /the CA does not answer/, advice: /port 443/ },
  "ca-unresolvable": {
    code: "ca-unreachable",
    cause: /^the CA does not answer: its name cannot be resolved/,
    advice: /vectis:resolvers/,
  },
};

const blockedNames = ["mail.vectis.test", "blocked.vectis.test"];

describe("diagnose", () => {
  for (const [name, row] of Object.entries(outputs)) {
    it(`tells ${row.code} from the recorded output "${name}"`, () => {
      const trouble = diagnose(recorded(name), blockedNames, NOW);
      assert.equal(trouble.code, row.code, trouble.cause);
      assert.match(trouble.cause, row.cause);
      assert.match(trouble.advice, row.advice);
      assert.equal(trouble.retryAt, row.retryAt);
      for (const text of [trouble.cause, trouble.advice]) {
        assert.doesNotMatch(text, /\n|\.$/, "one sentence that another one can follow");
      }
    });
  }

  it("has an expectation for every recorded output", () => {
    assert.deepEqual(
      readdirSync(folder).sort(),
      Object.keys(outputs)
        .map((name) => `${name}.txt`)
        .sort(),
    );
  });

  /** What node:https says (Node.js 20), and certd's own words for a strange answer. */
  const connections: readonly (readonly [string, TroubleCode, RegExp])[] = [
    ["getaddrinfo ENOTFOUND ca.test", "ca-unreachable", /vectis:resolvers/],
    ["getaddrinfo EAI_AGAIN ca.test", "ca-unreachable", /vectis:resolvers/],
    ["Client network socket disconnected before secure TLS connection was established", "ca-unreachable", /port 443/],
    ["connect ECONNREFUSED 192.0.2.1:443", "ca-unreachable", /TCP port 443/],
    ["no answer within 10 s", "ca-unreachable", /TCP port 443/],
    ["certificate has expired", "clock", /clock of the Docker host/],
    ["certificate is not yet valid", "clock", /clock of the Docker host/],
    ["self-signed certificate in certificate chain", "ca-untrusted", /vectis:tls\.acme\.caBundle/],
    ["unable to get local issuer certificate", "ca-untrusted", /vectis:tls\.acme\.caBundle/],
    ["it answers 503", "ca-busy", /status page/],
    ["it answers 429", "rate-limited", /nothing can hurry it/],
    ["EROFS: read-only file system, open '/acme.sh/x'", "disk", /docker system df/],
  ];
  for (const [message, code, advice] of connections) {
    it(`tells ${code} from "${message}"`, () => {
      const trouble = diagnose(message, ["mail.test"], NOW);
      assert.equal(trouble.code, code);
      assert.match(trouble.advice, advice);
    });
  }

  it("takes the Retry-After of a refusal, in seconds or as a date, and not that of an order in progress", () => {
    const answer = (status: number, header: string): string =>
      `nothing\nresponseHeaders='HTTP/2 ${status} \r\nreplay-nonce: x\r\nretry-after: ${header}\r\n'`;
    const retryAt = (text: string): number | undefined => diagnose(text, ["mail.test"], NOW).retryAt;
    assert.equal(retryAt(answer(429, "3600")), NOW + HOUR);
    assert.equal(retryAt(answer(503, "Tue, 24 Nov 2026 15:00:00 GMT")), NOW + 3 * HOUR);
    assert.equal(retryAt(answer(200, "3")), undefined);
  });

  it("speaks of the TXT record when that is what the CA misses (as Let's Encrypt words it)", () => {
    for (const [type, detail] of [
      ["dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.mail.test - check that a DNS record exists"],
      ["unauthorized", 'Incorrect TXT record \\"x\\" found at _acme-challenge.mail.test'],
    ] as const) {
      const text = `{"type":"urn:ietf:params:acme:error:${type}","detail":"${detail}"}`;
      const trouble = diagnose(text, ["mail.test"], NOW);
      assert.match(trouble.cause, /does not see the challenge's TXT record for mail\.test/);
      assert.match(trouble.advice, /dig TXT _acme-challenge\.mail\.test/);
    }
  });

  it("takes the DNS hook's word before what the CA says of the order that was given up", () => {
    const after = '{"type":"urn:ietf:params:acme:error:malformed","detail":"authorization must be pending"}';
    for (const [reason, code, cause, advice] of [
      ["Cloudflare answers 403 (9109: Invalid access token)", "token-refused", /403 \(9109/, /vectis:challengeToken/],
      ["there is no API token in /x", "token-refused", /no API token/, /vectis:challengeToken/],
      ["Cloudflare answers 429 (971: Please wait)", "dns-api", /^Cloudflare answers 429/, /port 443/],
      ["Cloudflare does not answer (Connection refused)", "dns-api", /does not answer/, /api\.cloudflare\.com/],
      [
        "Cloudflare calls zone 3f2a a.test, not b.test",
        "dns-api",
        /calls zone 3f2a a\.test/,
        /vectis:dns\.challengeZone/,
      ],
      [
        "_acme-challenge.a.test is no alias of x.b.test yet: at ns1.a.test (192.0.2.1) it has no CNAME record",
        "dns",
        /is no alias of x\.b\.test yet: at ns1/,
        /`pulumi up`.*`_acme-challenge\.a\.test\. CNAME x\.b\.test\.`/,
      ],
      ["_acme-challenge.a.test cannot be looked up: no name server answers", "dns", /no name server/, /port 53/],
      ["_acme-challenge.a.test is not yet at ns1.a.test (192.0.2.1), after 300.0 s", "dns", /ns1\.a\.test/, /dig NS/],
    ] as const) {
      const trouble = diagnose(`invalid domain\ndns_vectis: gave up: ${reason}\n${after}\n`, ["mail.test"], NOW);
      assert.equal(trouble.code, code);
      assert.match(trouble.cause, cause);
      assert.match(trouble.advice, advice);
    }
  });

  it("tells Cloudflare's own trouble from a refused token", () => {
    const answer = (code: number, message: string): string =>
      `Adding TXT value\nError adding TXT record\nresponse='{"success":false,"errors":[{"code":${code},"message":"${message}"}]}'`;
    assert.equal(diagnose(answer(10000, "Authentication error"), ["mail.test"], NOW).code, "token-refused");
    const busy = diagnose(answer(10013, "Internal error"), ["mail.test"], NOW);
    assert.deepEqual(
      [busy.code, busy.cause],
      ["dns-api", "Cloudflare refuses the request: Internal error (code 10013)"],
    );
  });

  it("takes how long the DNS host wants to be left alone, and the zone that is missing, from the DNS hook", () => {
    const told = (words: string): ReturnType<typeof diagnose> =>
      diagnose(`invalid domain\ndns_vectis: gave up: ${words}\nError adding TXT record to domain`, [], NOW);
    const busy = told("Cloudflare answers 429 (10100: slow down), and wants to be left alone for 900 s");
    assert.deepEqual([busy.code, busy.retryAt], ["dns-api", NOW + 900_000]);
    assert.match(told("no zone is configured for _acme-challenge.a.test").advice, /vectis:dns\.zones/);
  });

  it("is not led astray by a stranger's page", () => {
    const text =
      '{"type":"urn:ietf:params:acme:error:unauthorized","detail":"x: Invalid response: \\"too many requests, TXT NXDOMAIN"}';
    assert.equal(diagnose(text, ["mail.test"], NOW).code, "other-host");
  });

  it("says what is there when it knows no better, and points to acme.sh's own lines", () => {
    const output = "Using CA: x\nSomething new went wrong\n\nPlease add '--debug' or '--log' to see more information.";
    const trouble = diagnose(output, ["mail.test"], NOW);
    assert.equal(trouble.code, "unknown");
    assert.equal(trouble.cause, "Something new went wrong");
    assert.match(trouble.advice, /lines above/);
    assert.equal(diagnose("", ["mail.test"], NOW).cause, "acme.sh said nothing");
    assert.equal(diagnose('{"detail": "no luck"}', ["mail.test"], NOW).cause, "no luck");
    const malformed = '{"type":"urn:ietf:params:acme:error:malformed","detail":"JWS verification error"}';
    assert.equal(diagnose(malformed, ["mail.test"], NOW).cause, "the CA says malformed: JWS verification error");
  });

  it("keeps a stranger's page from writing lines of its own into the log", () => {
    const detail = `x: \\"${"<p>".repeat(400)}\\u001b[31m\\n2026-11-24 The order succeeded`;
    const text = `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"${detail}"}`;
    const { cause } = diagnose(text, ["mail.test"], NOW);
    // eslint-disable-next-line no-control-regex -- they are what must not be there
    assert.doesNotMatch(cause, /[\u0000-\u001f]/);
    assert.ok(cause.length < 400);
  });
});

describe("worthShowing", () => {
  it("leaves out what only a developer of acme.sh could use", () => {
    const lines = recorded("port-80-refused").split("\n").filter(worthShowing);
    assert.ok(lines.some((line) => line.includes("Invalid status")));
    assert.ok(!lines.some((line) => line.includes("Please")));
  });
});
