import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { authorised, createApi, type ApiArgs } from "./api.ts";
import type { Health } from "./health.ts";
import { good, NOW } from "./test-status.ts";

const TOKEN = "a-token-of-some-length";
const tokenSha256 = createHash("sha256").update(TOKEN).digest("hex");
const POLICY = "version: STSv1\r\nmode: testing\r\nmx: mail.example.com\r\nmax_age: 604800\r\n";

let args: ApiArgs;
const server = createApi({
  get tokenSha256() {
    return args.tokenSha256;
  },
  get mtaStsPolicy() {
    return args.mtaStsPolicy;
  },
  status: () => args.status(),
  clock: () => NOW,
});
let base = "";

before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

function given(change: Partial<ApiArgs> = {}): void {
  args = { tokenSha256, mtaStsPolicy: POLICY, status: () => good, clock: () => NOW, ...change };
}

const get = (path: string, authorization?: string, method = "GET"): Promise<Response> =>
  fetch(base + path, { method, ...(authorization === undefined ? {} : { headers: { authorization } }) });

describe("GET /api/v1/health", () => {
  it("answers 200 with the report while all is well, and 503 with it when not", async () => {
    given();
    const fine = await get("/api/v1/health", `Bearer ${TOKEN}`);
    assert.equal(fine.status, 200);
    assert.match(fine.headers.get("content-type") ?? "", /^application\/json/);
    assert.equal(fine.headers.get("cache-control"), "no-store");
    assert.equal(((await fine.json()) as Health).state, "ok");
    given({ status: () => ({ ...good, state: "not-served" }) });
    const broken = await get("/api/v1/health", `Bearer ${TOKEN}`);
    assert.equal(broken.status, 503);
    assert.equal(((await broken.json()) as Health).state, "not-served");
  });

  it("answers 401 without the token, with a wrong one, and with the right one in a wrong scheme", async () => {
    given();
    for (const header of [undefined, "", "Bearer", "Bearer wrong", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
      const answer = await get("/api/v1/health", header);
      assert.equal(answer.status, 401, header);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
      const text = await answer.text();
      assert.match(text, /vectis:healthToken/);
      assert.doesNotMatch(text, /mail\.example\.com|serial/);
    }
  });

  it("is not there when no token is configured, whatever is presented", async () => {
    given({ tokenSha256: undefined });
    for (const header of [undefined, "Bearer ", `Bearer ${TOKEN}`]) {
      assert.equal((await get("/api/v1/health", header)).status, 404);
      assert.equal((await get("/metrics", header)).status, 404);
      assert.equal((await get("/status", header)).status, 404);
    }
  });

  it("takes GET and HEAD alone, and does not care for a query", async () => {
    given();
    assert.equal((await get("/api/v1/health?x=1", `Bearer ${TOKEN}`)).status, 200);
    const head = await get("/api/v1/health", `Bearer ${TOKEN}`, "HEAD");
    assert.equal(head.status, 200);
    assert.equal(await head.text(), "");
    const post = await get("/api/v1/health", `Bearer ${TOKEN}`, "POST");
    assert.equal(post.status, 405);
    assert.equal(post.headers.get("allow"), "GET, HEAD");
  });
});

describe("GET /status", () => {
  const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString("base64")}`;

  it("is a page for whoever gives the token as password, with any user name: 200 while all is well, else 503", async () => {
    given();
    for (const user of ["", "vectis", "jürgen"]) {
      const fine = await get("/status", basic(`${user}:${TOKEN}`));
      assert.equal(fine.status, 200, user);
      assert.match(await fine.text(), /All is well/);
      assert.match(fine.headers.get("content-type") ?? "", /^text\/html; charset=utf-8/);
      assert.match(fine.headers.get("content-security-policy") ?? "", /^default-src 'none'; style-src 'sha256-/);
      assert.equal(fine.headers.get("cache-control"), "no-store");
    }
    given({ status: () => ({ ...good, state: "expired" }) });
    const broken = await get("/status", basic(`x:${TOKEN}`));
    assert.equal(broken.status, 503);
    assert.match(await broken.text(), /has expired/);
  });

  it("lets a browser ask for a password, and tells nothing without the right one", async () => {
    given();
    const wrong = [basic(TOKEN), basic("x:"), basic(`${TOKEN}:x`), basic(`x:${TOKEN}x`), `Basic x:${TOKEN}`, "Basic"];
    for (const header of [undefined, `Bearer ${TOKEN}`, ...wrong]) {
      const answer = await get("/status", header);
      assert.equal(answer.status, 401, header);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Basic realm="vectis"/);
      assert.doesNotMatch(await answer.text(), /mail\.example\.com|serial/);
    }
    assert.equal((await get("/api/v1/health", basic(`x:${TOKEN}`))).status, 401, "a password is for the page alone");
  });

  it("takes a token with a colon in it", () => {
    const hash = createHash("sha256").update("a:b").digest("hex");
    assert.equal(authorised(basic("x:a:b"), hash, "Basic"), true);
  });
});

describe("GET /metrics", () => {
  it("wants the same token", async () => {
    given();
    assert.equal((await get("/metrics")).status, 401);
    const answer = await get("/metrics", `Bearer ${TOKEN}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    assert.match(await answer.text(), /^vectis_state\{state="ok"\} 1$/m);
  });
});

describe("GET /.well-known/mta-sts.txt", () => {
  it("is for everybody, as text (RFC 8461 section 3.2)", async () => {
    given();
    const answer = await get("/.well-known/mta-sts.txt");
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain/);
    assert.equal(await answer.text(), POLICY);
  });

  it("is not there without a policy", async () => {
    given({ mtaStsPolicy: undefined });
    assert.equal((await get("/.well-known/mta-sts.txt")).status, 404);
  });
});

describe("anything else", () => {
  it("is not there", async () => {
    given();
    for (const path of ["/", "/api/", "/api/v1/health/", "/api/v1/healthx", "/api/v1/../v1/health/x", "/status.json"]) {
      assert.equal((await get(path, `Bearer ${TOKEN}`)).status, 404, path);
    }
  });
});

describe("authorised", () => {
  it("takes the scheme in any case (RFC 9110 section 11.1) and nothing but the one token", () => {
    assert.equal(authorised(`bearer ${TOKEN}`, tokenSha256), true);
    assert.equal(authorised(`Bearer ${TOKEN} x`, tokenSha256), false);
    assert.equal(authorised(`Bearer ${TOKEN.slice(0, -1)}`, tokenSha256), false);
  });

  it("never takes an empty token, even if its hash were configured, nor a broken hash", () => {
    assert.equal(authorised("Bearer ", createHash("sha256").update("").digest("hex")), false);
    assert.equal(authorised(undefined, createHash("sha256").update("").digest("hex")), false);
    assert.equal(authorised(`Bearer ${TOKEN}`, ""), false);
  });
});
