import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { CloudflareClient, retryAfter, txtValue } from "./cloudflare.ts";
import { type Delegation, DnsChallenge, zoneOf } from "./dns-challenge.ts";
import { TestPki } from "./test-pki.ts";
import type { Lookups } from "./name-servers.ts";

const TOKEN = "a-token-that-no-message-may-contain";
const ZONE = "3f2a7c1e9b8d4065a1c2d3e4f5061728";
const NAME = "_acme-challenge.mail.vectis.test";

const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const own = pki.issue({ subject: "/CN=api", names: ["api.cloudflare.com"], by: root, usage: "serverAuth" });

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly result?: unknown;
  readonly error?: readonly [code: number, message: string];
}

let answers: Record<string, Answer>;
let asked: string[];
const server = createServer({ cert: own.pem, key: own.key }, (request, response) => {
  const call = `${request.method ?? ""} ${(request.url ?? "").replace("/client/v4/", "")}`;
  asked.push(call);
  assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
  const answer: Answer = answers[call] ?? { status: 404, error: [7003, "Could not route"] };
  const { status = 200, headers = {}, result = null, error } = answer;
  response.writeHead(status, headers);
  const errors = error === undefined ? [] : [{ code: error[0], message: error[1] }];
  response.end(JSON.stringify({ success: error === undefined, errors, messages: [], result }));
});

let folder = "";
let port = 0;
before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});
after(() => {
  server.close();
  pki.remove();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "certd-dns-"));
  mkdirSync(join(folder, "notes"));
  writeFileSync(join(folder, "token"), `${TOKEN}\n`);
  answers = { [zone]: { result: { id: ZONE, name: "vectis.test" } }, [anyTxt]: { result: [] } };
  asked = [];
});

const zone = `GET zones/${ZONE}`;
const anyTxt = `${zone}/dns_records?type=TXT&per_page=5`;
const atName = `${zone}/dns_records?type=TXT&per_page=100&name=${NAME}`;

function challenge(to = port, account?: string, delegation?: Delegation): DnsChallenge {
  const options = { hostname: "127.0.0.1", port: to, servername: "api.cloudflare.com" };
  const client = new CloudflareClient(join(folder, "token"), () => root.pem, account, options);
  const [notes, tokenFile] = [join(folder, "notes"), join(folder, "token")];
  return new DnsChallenge({ zones: { ".": ZONE }, names: ["mail.vectis.test"], client, notes, tokenFile, delegation });
}

function note(value: string, text = `${ZONE} ${NAME} ${value}\n`): void {
  writeFileSync(join(folder, "notes", `${value}.txt`), text);
}

async function cause(to?: number): Promise<string> {
  const answer = await challenge(to).ready();
  assert.notEqual(answer.kind, "ok");
  const text = "cause" in answer ? `${answer.kind}: ${answer.cause}` : "";
  assert.doesNotMatch(text, new RegExp(TOKEN));
  return text;
}

describe("DnsChallenge.ready", () => {
  it("has the zone read and its records listed", async () => {
    assert.equal((await challenge().ready()).kind, "ok");
    assert.deepEqual(asked, [zone, anyTxt]);
  });

  it("tells a revoked token from one that is disabled, expired, or meant for another zone", async () => {
    answers[zone] = { status: 403, error: [9109, "Invalid access token"] };
    answers["GET user/tokens/verify"] = { status: 401, error: [1000, "Invalid API Token"] };
    assert.match(await cause(), /^refused: .*403 \(9109: Invalid access token\); the token is not valid \(any more\)/);
    for (const status of ["disabled", "expired"]) {
      answers["GET user/tokens/verify"] = { result: { id: "1", status } };
      assert.match(await cause(), new RegExp(`the token is ${status}$`));
    }
    answers["GET user/tokens/verify"] = { result: { id: "1", status: "active" } };
    answers[zone] = { result: { id: ZONE, name: "vectis.test" } };
    answers[anyTxt] = { status: 403, error: [10000, "Authentication error"] };
    assert.match(await cause(), /10000: Authentication error\); the token is valid, but not for zone 3f2a/);
  });

  it("asks the account about a token that is no user's", async () => {
    const account = "a0b1c2d3e4f5061728394a5b6c7d8e9f";
    answers[zone] = { status: 403, error: [10000, "Authentication error"] };
    answers["GET user/tokens/verify"] = { status: 401, error: [1000, "Invalid API Token"] };
    answers[`GET accounts/${account}/tokens/verify`] = { result: { id: "1", status: "expired" } };
    const answer = await challenge(port, account).ready();
    assert.match("cause" in answer ? answer.cause : "", /the token is expired$/);
  });

  it("tells an API that is out of order, and how long it wants to be left alone", async () => {
    answers[zone] = { status: 503 };
    assert.match(await cause(), /^unavailable: Cloudflare answers 503$/);
    answers[zone] = { status: 429, headers: { "retry-after": "7" }, error: [10100, "slow down"] };
    assert.deepEqual(await challenge().ready(), {
      kind: "unavailable",
      cause: "Cloudflare answers 429 (10100: slow down)",
      retryAfter: 7000,
    });
    assert.match(await cause(1), /^unavailable: Cloudflare does not answer \(connect ECONNREFUSED/);
  });

  it("misses a token that is not there", async () => {
    writeFileSync(join(folder, "token"), "\n");
    assert.match(await cause(), /^refused: there is no API token in .*token$/);
    rmSync(join(folder, "token"));
    assert.match(await cause(), /there is no API token/);
    assert.deepEqual(asked, []);
  });
});

describe("DnsChallenge.ready with challenges in a zone of their own", () => {
  const target = "_acme-challenge.mail.vectis.test.challenges.test";
  const ready = (zoneName: string, alias: string) => {
    answers[zone] = { result: { id: ZONE, name: zoneName } };
    const lookups: Lookups = {
      nameServers: (name) => Promise.resolve(name === "vectis.test" ? ["ns1.vectis.test"] : []),
      addresses: () => Promise.resolve(["192.0.2.1"]),
      txt: () => Promise.reject(new Error("not asked for here")),
      cname: (name) => Promise.resolve(name === NAME ? [alias] : []),
    };
    return challenge(port, undefined, { zone: "challenges.test", target, lookups }).ready();
  };

  it("wants the name led there", async () => {
    assert.equal((await ready("challenges.test", target)).kind, "ok");
    assert.deepEqual(await ready("challenges.test", "elsewhere.test"), {
      kind: "unavailable",
      cause: `${NAME} is no alias of ${target} yet: at ns1.vectis.test (192.0.2.1) it leads to elsewhere.test`,
    });
  });

  it("wants the id to be that of the zone", async () => {
    assert.deepEqual(await ready("vectis.test", target), {
      kind: "refused",
      cause: `Cloudflare calls zone ${ZONE} vectis.test, not challenges.test`,
    });
  });
});

describe("DnsChallenge.cleanUp", () => {
  it("removes exactly the record that was noted, whether quoted or not, and then the note", async () => {
    note("one");
    note("two");
    const content = (id: string, text: string) => ({ id, name: NAME, type: "TXT", content: text });
    answers[atName] = { result: [content("1", '"one"'), content("2", "two"), content("3", '"not ours"')] };
    answers[`DELETE zones/${ZONE}/dns_records/1`] = { result: { id: "1" } };
    // Somebody else was faster.
    answers[`DELETE zones/${ZONE}/dns_records/2`] = { status: 404, error: [81044, "Record does not exist."] };
    const made = challenge();
    assert.equal(made.leftovers, true);
    assert.deepEqual(await made.cleanUp(), { removed: [NAME, NAME], failure: undefined });
    assert.equal(made.leftovers, false);
    assert.equal(asked.filter((call) => call.endsWith("/3")).length, 0);
  });

  it("keeps the note while the record may still be there", async () => {
    note("one");
    answers[atName] = { status: 500 };
    const failed = await challenge().cleanUp();
    assert.equal(failed.failure?.kind, "unavailable");
    answers[atName] = { result: [{ id: "1", name: NAME, content: "one" }] };
    answers[`DELETE zones/${ZONE}/dns_records/1`] = { status: 403, error: [10000, "Authentication error"] };
    assert.equal((await challenge().cleanUp()).failure?.kind, "refused");
    assert.deepEqual(readdirSync(join(folder, "notes")), ["one.txt"]);
  });

  it("says so when a note cannot be read, after it has removed what it could", async () => {
    note("one");
    answers[atName] = { result: [] };
    mkdirSync(join(folder, "notes", "two.txt"));
    const { failure } = await challenge().cleanUp();
    assert.equal(failure?.kind, "unavailable");
    assert.match(failure.cause, /EISDIR/);
  });

  it("forgets a record that is gone already, and notes that were never finished", async () => {
    note("one");
    note("two", "half a note");
    writeFileSync(join(folder, "notes", ".three"), `${ZONE} ${NAME} three\n`);
    answers[atName] = { result: [] };
    assert.deepEqual(await challenge().cleanUp(), { removed: [], failure: undefined });
    assert.deepEqual(readdirSync(join(folder, "notes")), []);
    assert.deepEqual(asked, [atName]);
  });

  it("has nothing to do, and asks nobody, where no record was ever made", async () => {
    rmSync(join(folder, "notes"), { recursive: true });
    assert.deepEqual(await challenge().cleanUp(), { removed: [], failure: undefined });
    assert.equal(existsSync(join(folder, "notes")), false);
    assert.deepEqual(asked, []);
  });
});

it("a replaced token is noticed", () => {
  const made = challenge();
  const mark = made.tokenMark();
  assert.equal(made.tokenMark(), mark);
  writeFileSync(join(folder, "token"), "another");
  assert.notEqual(made.tokenMark(), mark);
  rmSync(join(folder, "token"));
  assert.equal(made.tokenMark(), "none");
});

it("a name belongs to the longest zone that it ends in, a wildcard to that of its parent", () => {
  const zones = { "vectis.test": "outer", "mail.vectis.test": "inner" };
  assert.equal(zoneOf(zones, "imap.vectis.test"), "outer");
  assert.equal(zoneOf(zones, "mail.vectis.test"), "inner");
  assert.equal(zoneOf(zones, "*.vectis.test"), "outer");
  assert.equal(zoneOf(zones, "myvectis.test"), undefined);
  assert.equal(zoneOf({ ".": "all" }, "mail.vectis.test"), "all");
});

it("contents are read with and without quotes, and in parts", () => {
  assert.equal(txtValue("plain"), "plain");
  assert.equal(txtValue('"one \\"two\\"" "three"'), 'one "two"three');
});

it("Retry-After is seconds or a date", () => {
  const now = Date.parse("2026-11-24T10:00:00Z");
  assert.equal(retryAfter("30", now), 30_000);
  assert.equal(retryAfter("Tue, 24 Nov 2026 10:01:00 GMT", now), 60_000);
  assert.equal(retryAfter("soon", now), undefined);
  assert.equal(retryAfter(undefined, now), undefined);
});
