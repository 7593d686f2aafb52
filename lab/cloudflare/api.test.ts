import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { isBag, written, type Bag, type Plain } from "../providers/protocol/value.ts";
import { Api, firstState, type Answer, type State } from "./api.ts";
import { Refusal } from "./refusal.ts";
import { account, deploymentToken, user, zones } from "./seed.ts";

const start = new Date("2026-11-24T12:00:00Z");
const [one = "", two = ""] = zones.map(({ id }) => id);
const group = { dnsWrite: "4755a26eedb94da69e1066d98aa820be", zoneRead: "c8fed203ed3043cba015a93ad1616f1f" };

let now = start;
let state: State;
let api: Api;
beforeEach(() => {
  now = start;
  state = firstState(now);
  api = new Api(state, () => now);
});

interface Options {
  readonly body?: Plain;
  readonly token?: string;
  readonly from?: string;
}

function ask(
  method: string,
  target: string,
  { body, token = deploymentToken, from = "192.0.2.1" }: Options = {},
): Answer {
  const { pathname, searchParams } = new URL(target, "http://localhost");
  const query = Object.fromEntries(searchParams);
  return api.answer({ method, path: pathname, query, body, authorization: `Bearer ${token}`, from });
}

function bagOf(answer: Answer): Bag {
  assert.ok(isBag(answer.result));
  return answer.result;
}

function refused(status: number, code: number, method: string, target: string, options: Options = {}): Refusal {
  try {
    ask(method, target, options);
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    return error;
  }
  return assert.fail(`${method} ${target} was answered`);
}

const record: Bag = { type: "TXT", name: "_acme-challenge.mail.vectis.test", content: "abc", ttl: 120 };
const records = `/zones/${one}/dns_records`;
const make = (body: Bag): Bag => bagOf(ask("POST", records, { body }));
const names = (answer: Answer): Plain[] => (answer.result as Bag[]).map((item) => item["name"] ?? null);

const challengeToken = (more: Bag = {}, path = "/user/tokens"): Bag => {
  const permission_groups = [{ id: group.zoneRead }, { id: group.dnsWrite }];
  const policies = [
    { effect: "allow", permission_groups, resources: { [`com.cloudflare.api.account.zone.${one}`]: "*" } },
  ];
  return bagOf(ask("POST", path, { body: { name: "challenge", policies, ...more } }));
};
const valueOf = (token: Bag): string => written(token["value"]);

describe("records", () => {
  test("are made, found, changed in part, replaced and removed, each time for the DNS to take up", () => {
    const made = ask("POST", records, { body: { ...record, comment: "first" } });
    const { id, comment_modified_on } = bagOf(made);
    assert.deepEqual(made.changed?.names, [record["name"]]);
    assert.equal(comment_modified_on, start.toISOString());
    now = new Date(start.getTime() + 1000);
    const patched = bagOf(ask("PATCH", `${records}/${written(id)}`, { body: { content: "def" } }));
    assert.equal(patched["content"], '"def"');
    assert.equal(patched["comment"], "first");
    assert.equal(patched["comment_modified_on"], start.toISOString());
    assert.equal(patched["created_on"], start.toISOString());
    assert.equal(patched["modified_on"], now.toISOString());
    const put = ask("PUT", `${records}/${written(id)}`, { body: { ...record, name: "other", tags: [], settings: {} } });
    assert.equal(bagOf(put)["comment"], null);
    assert.deepEqual(put.changed?.names, ["_acme-challenge.mail.vectis.test", "other.vectis.test"]);
    const removed = ask("DELETE", `${records}/${written(id)}`);
    assert.deepEqual(removed.result, { id });
    assert.deepEqual(removed.changed?.names, ["other.vectis.test"]);
    refused(404, 81044, "GET", `${records}/${written(id)}`);
  });

  test("an update that changes nothing is no duplicate of itself", () => {
    const { id } = make(record);
    ask("PUT", `${records}/${written(id)}`, { body: record });
  });

  test("an identical one is refused, another text at the same name is not", () => {
    make(record);
    refused(400, 81058, "POST", records, { body: { ...record, content: '"abc"', ttl: 300 } });
    make({ ...record, content: "def" });
  });

  test("nothing stands beside a CNAME", () => {
    make({ type: "CNAME", name: "www", content: "mail.vectis.test", ttl: 1 });
    refused(400, 81054, "POST", records, { body: { type: "A", name: "www", content: "192.0.2.1", ttl: 1 } });
    refused(400, 81053, "POST", records, { body: { type: "CNAME", name: "www", content: "x.vectis.test", ttl: 1 } });
    make({ type: "A", name: "mail", content: "192.0.2.1", ttl: 1 });
    refused(400, 81053, "POST", records, { body: { type: "CNAME", name: "mail", content: "x.vectis.test", ttl: 1 } });
  });

  test("are found by what acme.sh asks", () => {
    const { id } = make(record);
    make({ ...record, content: "def" });
    const asked = `${records}?type=TXT&name=_acme-challenge.mail.vectis.test`;
    assert.equal(ask("GET", asked).info?.count, 2);
    const [found] = ask("GET", `${asked}&content=abc`).result as Bag[];
    assert.equal(found?.["id"], id);
    assert.equal(ask("GET", `${asked}&content=other`).info?.count, 0);
  });

  test("are filtered, sorted and paged", () => {
    for (const [name, last] of Object.entries({ c: 3, a: 12, b: 2 })) {
      make({ type: "A", name, content: `192.0.2.${last}`, ttl: 1, comment: last > 2 ? "vectis" : "" });
    }
    make({ type: "TXT", name: "a", content: "x", ttl: 1 });
    const found = (query: string) => names(ask("GET", `${records}?${query}`));
    assert.deepEqual(found("type=A&order=name"), ["a.vectis.test", "b.vectis.test", "c.vectis.test"]);
    assert.deepEqual(found("type=A&order=content&direction=desc"), ["a.vectis.test", "c.vectis.test", "b.vectis.test"]);
    assert.deepEqual(found("name=B.vectis.test"), ["b.vectis.test"]);
    assert.deepEqual(found("name.startswith=b"), ["b.vectis.test"]);
    assert.deepEqual(found("content.contains=2.3"), ["c.vectis.test"]);
    assert.deepEqual(found("comment=vectis"), ["c.vectis.test", "a.vectis.test"]);
    assert.deepEqual(found("type=TXT&name=b.vectis.test&match=any"), ["b.vectis.test", "a.vectis.test"]);
    const page = ask("GET", `${records}?order=name&per_page=3&page=2`);
    assert.deepEqual(page.info, { page: 2, per_page: 3, count: 1, total_count: 4, total_pages: 2 });
    assert.deepEqual(found("page=9"), []);
    assert.match(refused(400, 1, "GET", `${records}?tag=x`).message, /query parameter 'tag'/);
    refused(400, 9400, "GET", `${records}?page=0`);
  });

  test("a body that is none is refused", () => {
    refused(400, 9207, "POST", records);
    refused(400, 9207, "POST", records, { body: [] });
  });
});

describe("zones", () => {
  test("are listed to whoever may read all of them, and found by name", () => {
    assert.deepEqual(names(ask("GET", "/zones")), ["vectis.test", "vectis-two.test"]);
    const [zone] = ask("GET", `/zones?name=vectis-two.test&account.id=${account.id}`).result as Bag[];
    assert.equal(zone?.["id"], two);
    assert.deepEqual(ask("GET", "/zones?name=example.com").result, []);
    assert.deepEqual(ask("GET", "/zones?page=2").result, []);
  });

  test("acme.sh finds the zone's id and name first", () => {
    assert.match(JSON.stringify(ask("GET", `/zones/${one}`).result), /^\{"id":"[0-9a-f]{32}","name":"vectis\.test",/);
  });

  test("that the account does not have lead nowhere", () => {
    refused(404, 7003, "GET", `/zones/${"f".repeat(32)}`);
    refused(404, 7003, "GET", `/zones/${"f".repeat(32)}/dns_records`);
  });
});

describe("tokens", () => {
  for (const path of ["/user/tokens", `/accounts/${account.id}/tokens`]) {
    test(`${path}: the value is told once, and opens its own zone's DNS and nothing else`, () => {
      const made = challengeToken({}, path);
      const token = valueOf(made);
      assert.ok(!JSON.stringify(ask("GET", `${path}/${written(made["id"])}`).result).includes(token));
      assert.ok(!JSON.stringify(ask("GET", path).result).includes(token));
      assert.ok(!JSON.stringify(state).includes(token));

      const { id } = bagOf(ask("POST", records, { body: record, token }));
      ask("GET", `/zones/${one}`, { token });
      ask("GET", records, { token });
      ask("DELETE", `${records}/${written(id)}`, { token });

      refused(403, 9109, "GET", `/zones/${two}`, { token });
      refused(403, 10000, "GET", `/zones/${two}/dns_records`, { token });
      refused(403, 10000, "POST", `/zones/${two}/dns_records`, { token, body: record });
      assert.match(refused(403, 0, "GET", "/zones", { token }).message, /zone\.list/);
      for (const tokens of ["/user/tokens", `/accounts/${account.id}/tokens`]) {
        refused(403, 9109, "GET", tokens, { token });
        refused(403, 9109, "POST", tokens, { token, body: {} });
        refused(403, 9109, "GET", `${tokens}/permission_groups`, { token });
      }
    });
  }

  test("say themselves whether they are valid, each to its owner", () => {
    const [mine, accounts] = [challengeToken(), challengeToken({}, `/accounts/${account.id}/tokens`)];
    const active = ask("GET", "/user/tokens/verify", { token: valueOf(mine) });
    assert.deepEqual(active.result, { id: mine["id"], status: "active" });
    assert.equal(active.messages?.length, 1);
    refused(401, 1000, "GET", "/user/tokens/verify", { token: valueOf(accounts) });
    refused(401, 1000, "GET", "/user/tokens/verify", { token: "x".repeat(40) });
    const path = `/accounts/${account.id}/tokens/verify`;
    assert.deepEqual(ask("GET", path, { token: valueOf(accounts) }).result, { id: accounts["id"], status: "active" });
  });

  test("end when they expire, are disabled, rolled or removed", () => {
    const expiring = challengeToken({ expires_on: "2026-11-24T13:00:00Z" });
    ask("GET", records, { token: valueOf(expiring) });
    now = new Date("2026-11-24T13:00:00Z");
    refused(403, 9109, "GET", records, { token: valueOf(expiring) });
    assert.equal(bagOf(ask("GET", `/user/tokens/${written(expiring["id"])}`))["status"], "expired");
    assert.equal(bagOf(ask("GET", "/user/tokens/verify", { token: valueOf(expiring) }))["status"], "expired");

    const token = challengeToken();
    const path = `/user/tokens/${written(token["id"])}`;
    const fields = { name: "challenge", policies: token["policies"] ?? [] };
    ask("PUT", path, { body: { ...fields, status: "disabled" } });
    refused(403, 9109, "GET", records, { token: valueOf(token) });
    ask("PUT", path, { body: fields });
    ask("GET", records, { token: valueOf(token) });
    const rolled = written(ask("PUT", `${path}/value`, { body: {} }).result);
    refused(403, 9109, "GET", records, { token: valueOf(token) });
    ask("GET", records, { token: rolled });
    ask("DELETE", path);
    refused(403, 9109, "GET", records, { token: rolled });
    refused(404, 1001, "GET", path);
  });

  test("with an address filter are refused elsewhere, by name", () => {
    const token = valueOf(challengeToken({ condition: { request_ip: { in: ["192.0.2.25/32"] } } }));
    ask("GET", records, { token, from: "192.0.2.25" });
    const { message } = refused(403, 9109, "GET", records, { token, from: "192.0.2.26" });
    assert.equal(message, "Cannot use the access token from location: 192.0.2.26");
    refused(403, 9109, "GET", "/user/tokens/verify", { token, from: "192.0.2.26" });
  });

  test("remember when they were used last", () => {
    const token = challengeToken();
    assert.equal(token["last_used_on"], undefined);
    ask("GET", records, { token: valueOf(token) });
    const seen = bagOf(ask("GET", `/user/tokens/${written(token["id"])}`));
    assert.equal(seen["last_used_on"], "2026-11-24T12:00:00Z");
  });

  test("of an account cannot look at the user's", () => {
    const id = "5bc3f8b21c554832afc660159ab75fa4";
    const resources = { [`com.cloudflare.api.account.${account.id}`]: "*" };
    const body = { name: "wide", policies: [{ effect: "allow", permission_groups: [{ id }], resources }] };
    const wide = valueOf(bagOf(ask("POST", `/accounts/${account.id}/tokens`, { body })));
    ask("GET", `/accounts/${account.id}/tokens`, { token: wide });
    refused(403, 9109, "GET", "/user/tokens", { token: wide });
  });

  test("permission groups are found by name and scope", () => {
    const path = "/user/tokens/permission_groups";
    const found = ask("GET", `${path}?name=DNS%20Write&scope=com.cloudflare.api.account.zone`).result;
    assert.deepEqual(found, [{ id: group.dnsWrite, name: "DNS Write", scopes: ["com.cloudflare.api.account.zone"] }]);
    assert.deepEqual(ask("GET", `/accounts/${account.id}/tokens/permission_groups?name=Billing%20Read`).result, []);
  });
});

describe("whoever asks wrongly is told so", () => {
  const headers: readonly [what: string, authorization: string | undefined, status: number, code: number][] = [
    ["no token", undefined, 400, 9106],
    ["another scheme", "Basic eDp5", 400, 6003],
    ["a token too short", "Bearer abc", 400, 6003],
    ["an unknown token", `Bearer ${"x".repeat(40)}`, 403, 9109],
  ];
  for (const [what, authorization, status, code] of headers) {
    test(what, () => {
      const request = { method: "GET", path: "/zones", query: {}, authorization, from: "192.0.2.1" };
      assert.throws(() => api.answer(request), { status, code });
    });
  }

  const paths: readonly [method: string, path: string][] = [
    ["GET", "/"],
    ["GET", "/user"],
    ["POST", "/zones"],
    ["DELETE", `/zones/${one}`],
    ["GET", `/zones/${one}/settings`],
    ["PUT", records],
    ["GET", `${records}/export/all`],
    ["GET", `/accounts/${account.id}`],
    ["DELETE", "/user/tokens"],
    ["PUT", "/user/tokens/permission_groups"],
  ];
  for (const [method, path] of paths) {
    test(`${method} ${path}`, () => {
      assert.match(
        refused(404, 7000, method, path, { body: {} }).message,
        new RegExp(`${method} ${path.replace("/", "\\/")}`),
      );
    });
  }

  test("another account", () => {
    refused(404, 7003, "GET", `/accounts/${user.id}/tokens`);
  });
});
