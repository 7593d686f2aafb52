import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { CaClient, renewalId } from "./ca.ts";
import { TestPki } from "./test-pki.ts";
import { leafFacts } from "./validate.ts";

const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const own = pki.issue({ subject: "/CN=localhost", names: ["localhost"], by: root, usage: "serverAuth" });
const facts = leafFacts(own.pem);
assert.ok(facts);

let answer = { status: 200, body: "" };
let asked = "";
const server = createServer({ cert: own.pem, key: own.key }, (request, response) => {
  asked = request.url ?? "";
  response.statusCode = answer.status;
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
    assert.deepEqual(await ca.directory(), { kind: "answers", directory: { renewalInfo: `${base}/ari` } });
    answer = { status: 200, body: JSON.stringify({ newOrder: "x" }) };
    assert.deepEqual(await ca.directory(), { kind: "answers", directory: {} });
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
    const stranger = await new CaClient(`${base}/dir`, pki.issue({ subject: "/CN=Other", ca: true }).pem).directory();
    assert.ok(stranger.kind === "silent" && /certificate|verify/.test(stranger.cause));
    const nobody = await new CaClient("https://localhost:1/dir", root.pem).directory();
    assert.ok(nobody.kind === "silent" && /ECONNREFUSED/.test(nobody.cause));
  });

  it("takes only a clear answer for not knowing a certificate", async () => {
    const ca = new CaClient(`${base}/dir`, root.pem);
    for (const [status, knowledge] of [
      [200, "known"],
      [404, "unknown"],
      [400, "unknown"],
      [429, "unclear"],
      [500, "unclear"],
    ] as const) {
      answer = { status, body: "" };
      assert.equal(await ca.knows({ renewalInfo: `${base}/ari/` }, facts), knowledge);
    }
    assert.equal(asked, `/ari/${renewalId(facts) ?? ""}`);
    assert.equal(await ca.knows({}, facts), "unclear");
    assert.equal(await ca.knows({ renewalInfo: "https://localhost:1/ari" }, facts), "unclear");
  });
});
