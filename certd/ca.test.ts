import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { CaClient, parseRenewalInfo, parseRetryAfter, renewalId } from "./ca.ts";
import { TestPki } from "./test-pki.ts";
import { leafFacts } from "./validate.ts";

const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const own = pki.issue({ subject: "/CN=localhost", names: ["localhost"], by: root, usage: "serverAuth" });
const facts = leafFacts(own.pem);
assert.ok(facts);

let answer: { status: number; body: string; retryAfter?: string } = { status: 200, body: "" };
let asked = "";
const server = createServer({ cert: own.pem, key: own.key }, (request, response) => {
  asked = request.url ?? "";
  response.statusCode = answer.status;
  if (answer.retryAfter !== undefined) response.setHeader("retry-after", answer.retryAfter);
  response.end(answer.body);
});
let base = "";
before(async () => {
  server.listen(0, "localhost");
  await once(server, "listening");
  base = `https://localhost:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  pki.remove();
});

describe("renewalId", () => {
  it("agrees with the example of RFC 9773 section 4.1", () => {
    const leaf = { authorityKeyId: "69885b6b87464041e1b37b847bd0ae2cde01c8d4", serial: "87654321" };
    assert.equal(renewalId(leaf), "aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE");
  });

  it("needs an authority key identifier", () => {
    assert.equal(renewalId({ authorityKeyId: "", serial: "01" }), undefined);
  });
});

describe("CaClient", () => {
  it("reads a directory with and without renewal information", async () => {
    const ca = new CaClient(`${base}/dir`, root.pem);
    answer = { status: 200, body: JSON.stringify({ newOrder: "x", renewalInfo: `${base}/ari` }) };
    const found = await ca.directory();
    assert.ok(found.kind === "answers");
    assert.deepEqual(found.directory, { renewalInfo: `${base}/ari` });
    assert.ok(Math.abs((found.time ?? 0) - Date.now()) < 60_000, "the time at the CA");
    answer = { status: 200, body: JSON.stringify({ newOrder: "x" }) };
    const plain = await ca.directory();
    assert.deepEqual(plain.kind === "answers" && plain.directory, {});
  });

  it("calls everything else silence, with the cause", async () => {
    const ca = new CaClient(`${base}/dir`, root.pem);
    for (const [status, body, cause] of [
      [503, "", /answers 503/],
      [200, "<html>", /JSON|token/],
      [200, "{}", /no ACME directory/],
      [200, "x".repeat(100_000), /too long/],
    ] as const) {
      answer = { status, body };
      const result = await ca.directory();
      assert.equal(result.kind, "silent");
      assert.match(result.cause, cause);
    }
    answer = { status: 503, body: "", retryAfter: "120" };
    const busy = await ca.directory();
    assert.equal(busy.kind === "silent" && busy.retryAfter, 120_000);
    const stranger = await new CaClient(`${base}/dir`, pki.issue({ subject: "/CN=Other", ca: true }).pem).directory();
    assert.ok(stranger.kind === "silent" && /certificate|verify/.test(stranger.cause));
    const nobody = await new CaClient("https://localhost:1/dir", root.pem).directory();
    assert.ok(nobody.kind === "silent" && /ECONNREFUSED/.test(nobody.cause));
  });

  it("tells the time that a CA states whose certificate is out of date by this machine's clock, and trusts nothing else", async () => {
    const old = pki.issue({ subject: "/CN=localhost", names: ["localhost"], by: root, days: -1 });
    const stale = createServer({ cert: old.pem, key: old.key }, (_, response) => {
      response.setHeader("date", "Tue, 24 Nov 2026 12:00:00 GMT");
      response.end(JSON.stringify({ newOrder: "x" }));
    });
    stale.listen(0, "localhost");
    await once(stale, "listening");
    const url = `https://localhost:${(stale.address() as AddressInfo).port}/dir`;
    const { kind, time } = await new CaClient(url, root.pem).directory();
    stale.close();
    assert.deepEqual({ kind, time }, { kind: "silent", time: Date.UTC(2026, 10, 24, 12) });
  });

  it("takes only a clear answer for not knowing a certificate", async () => {
    const ca = new CaClient(`${base}/dir`, root.pem);
    for (const [status, kind] of [
      [200, "known"],
      [404, "unknown"],
      [400, "unknown"],
      [429, "unclear"],
      [500, "unclear"],
    ] as const) {
      answer = { status, body: "" };
      assert.equal((await ca.renewalInfo({ renewalInfo: `${base}/ari/` }, facts)).kind, kind);
    }
    assert.equal(asked, `/ari/${renewalId(facts) ?? ""}`);
    assert.equal((await ca.renewalInfo({}, facts)).kind, "unclear");
    assert.equal((await ca.renewalInfo({ renewalInfo: "https://localhost:1/ari" }, facts)).kind, "unclear");
  });

  it("passes on the window, its explanation and Retry-After, also of a refusal", async () => {
    const ca = new CaClient(`${base}/dir`, root.pem);
    answer = { status: 200, body: RFC_EXAMPLE, retryAfter: "21600" };
    assert.deepEqual(await ca.renewalInfo({ renewalInfo: `${base}/ari` }, facts), {
      kind: "known",
      window: { start: Date.UTC(2025, 0, 2, 4), end: Date.UTC(2025, 0, 3, 4) },
      explanationUrl: "https://acme.example.com/docs/ari",
      retryAfter: 6 * 3_600_000,
    });
    answer = { status: 429, body: "", retryAfter: "90" };
    assert.deepEqual(await ca.renewalInfo({ renewalInfo: `${base}/ari` }, facts), {
      kind: "unclear",
      retryAfter: 90_000,
    });
  });
});

// RFC 9773 section 4.2.
const RFC_EXAMPLE = JSON.stringify({
  suggestedWindow: { start: "2025-01-02T04:00:00Z", end: "2025-01-03T04:00:00Z" },
  explanationURL: "https://acme.example.com/docs/ari",
});

describe("parseRenewalInfo", () => {
  const none = { window: undefined, explanationUrl: undefined };

  it("reads fractions of a second, as draft-03 servers send them", () => {
    const body = JSON.stringify({
      suggestedWindow: { start: "2025-01-02T04:00:00.5Z", end: "2025-01-03T04:00:00.123456789Z" },
    });
    assert.deepEqual(parseRenewalInfo(body).window, {
      start: Date.UTC(2025, 0, 2, 4, 0, 0, 500),
      end: Date.UTC(2025, 0, 3, 4, 0, 0, 123),
    });
  });

  it("calls a window that ends before or as it starts no window (RFC 9773 section 4.2)", () => {
    for (const end of ["2025-01-02T04:00:00Z", "2025-01-01T04:00:00Z"]) {
      const body = JSON.stringify({ suggestedWindow: { start: "2025-01-02T04:00:00Z", end } });
      assert.deepEqual(parseRenewalInfo(body), none);
    }
  });

  it("takes nonsense for nothing, and no explanation that is not a web address", () => {
    for (const body of [
      "",
      "null",
      "[]",
      "{}",
      '{"suggestedWindow":null}',
      '{"suggestedWindow":{"start":1,"end":2}}',
    ]) {
      assert.deepEqual(parseRenewalInfo(body), none, body);
    }
    assert.deepEqual(parseRenewalInfo('{"explanationURL":"javascript:alert(1)"}'), none);
    assert.equal(parseRenewalInfo('{"explanationURL":"https://ca.test/a\\nb"}').explanationUrl, "https://ca.test/ab");
  });
});

describe("parseRetryAfter", () => {
  it("reads seconds and dates (RFC 9110 section 10.2.3), and nothing else", () => {
    const now = Date.UTC(2026, 10, 23, 12);
    assert.equal(parseRetryAfter("120", now), 120_000);
    assert.equal(parseRetryAfter("Mon, 23 Nov 2026 13:00:00 GMT", now), 3_600_000);
    assert.equal(parseRetryAfter("Mon, 23 Nov 2026 11:00:00 GMT", now), 0);
    assert.equal(parseRetryAfter("soon", now), undefined);
    assert.equal(parseRetryAfter(undefined, now), undefined);
  });
});
