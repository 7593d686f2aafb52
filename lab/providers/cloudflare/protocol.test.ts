// What the plugin says beyond the recorded cases: configuration, refusals, previews, failures of the API, retries, secrets, imports.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { open, type Plugin } from "../protocol/client.ts";
import { UNKNOWN, type Bag } from "../protocol/value.ts";
import { secretValue } from "../protocol/wire.ts";
import { generate, privatePem } from "../tls/keys.ts";
import { issue, requested } from "../tls/x509.ts";
import { start, ZONE, type Double } from "./api-double.ts";

const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
const API_TOKEN = "cloudflare:index/apiToken:ApiToken";
const ACCOUNT_TOKEN = "cloudflare:index/accountToken:AccountToken";
const TOKEN = "hunter2hunter2";

/** Only the stand-in has these limits and words. */
const official = process.env["VECTIS_CLOUDFLARE_PROVIDER"] !== undefined;
const own = { skip: official && "about the stand-in" };

const record: Bag = { zoneId: ZONE, name: "mail.example.com", type: "A", ttl: 1, content: "192.0.2.1" };
const token: Bag = {
  name: "challenge",
  policies: [
    {
      effect: "allow",
      permissionGroups: [{ id: "4755a26eedb94da69e1066d98aa820be" }],
      resources: `{"com.cloudflare.api.account.zone.${ZONE}":"*"}`,
    },
  ],
};

let api: Double;
let plugin: Plugin;

before(async () => {
  api = await start();
  plugin = await open("cloudflare", { apiToken: TOKEN, baseUrl: api.url });
  await plugin.configure();
});

afterEach(() => {
  assert.deepEqual(api.next.splice(0), [], "every prepared answer was asked for");
  api.take();
});

after(() => {
  plugin?.close();
  api?.close();
});

async function create(type: string, program: Bag) {
  const { wire, failures } = await plugin.check(type, "r", program);
  assert.deepEqual(failures, []);
  return { ...(await plugin.create(type, "r", wire)), inputs: wire };
}

async function failure(what: Promise<unknown>): Promise<string> {
  const error: unknown = await what.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error, "it fails");
  assert.ok(!error.message.includes(TOKEN), error.message);
  return error.message;
}

describe("the provider", own, () => {
  test("takes a token and a base URL, and refuses all other configuration by name", async () => {
    assert.deepEqual(
      await plugin.checkConfig({ apiToken: TOKEN, baseUrl: "https://127.0.0.1:1", version: "6.22.1" }),
      [],
    );
    const failures = await plugin.checkConfig({ apiKey: "k", baseUrl: "api.cloudflare.com", apiToken: "two words" });
    assert.match(failures.join("\n"), /cloudflare:apiKey/);
    assert.match(failures.join("\n"), /'api\.cloudflare\.com' is no base URL; set cloudflare:baseUrl/);
    assert.match(failures.join("\n"), /cloudflare:apiToken/);
    assert.ok(!failures.join().includes("two words"));
  });

  test("reads its configuration from the environment, and says which key is missing", async () => {
    const bare = { ...process.env };
    delete bare["CLOUDFLARE_API_TOKEN"];
    const lost = await open("cloudflare", {}, bare);
    assert.match(await failure(lost.configure()), /cloudflare:apiToken, or CLOUDFLARE_API_TOKEN|cloudflare:apiToken'/);
    lost.close();
    const environment = { ...bare, CLOUDFLARE_API_TOKEN: "from-environment", CLOUDFLARE_BASE_URL: `${api.url}/` };
    const found = await open("cloudflare", {}, environment);
    try {
      await found.configure();
      await found.invoke("cloudflare:index/getZone:getZone", { zoneId: ZONE });
    } finally {
      found.close();
    }
    assert.deepEqual(
      api.log.map(({ authorization, path }) => [authorization, path]),
      [["Bearer from-environment", `/zones/${ZONE}`]],
    );
  });

  test("refuses types, functions and properties that it does not have, by name", async () => {
    await assert.rejects(plugin.check("cloudflare:index/zone:Zone", "z", {}), /cloudflare:index\/zone:Zone/);
    await assert.rejects(plugin.invoke("cloudflare:index/getUser:getUser"), /cloudflare:index\/getUser:getUser/);
    const { failures } = await plugin.check(RECORD, "r", {
      ...record,
      tag: ["a"],
      data: { latDegrees: 1 },
      meta: "{}",
    });
    assert.match(failures.join("\n"), /unknown input 'tag'; is 'tags' meant\?/);
    assert.match(failures.join("\n"), /'latDegrees' is not supported by this stand-in for the cloudflare provider/);
    assert.match(failures.join("\n"), /'meta' is an output/);
    const called = await plugin.invoke("cloudflare:index/getZones:getZones", { types: ["full"], nam: "x" });
    assert.match(called.failures.join("\n"), /unknown input 'nam'.*'types' is not supported/s);
    assert.deepEqual(api.log, []);
  });

  test("refuses policies that are no JSON and a proxied record with a ttl of its own", async () => {
    const policies = [{ effect: "allow", permissionGroups: [], resources: "zone" }];
    const { failures } = await plugin.check(API_TOKEN, "t", { ...token, policies, expiresOn: "tomorrow" });
    assert.match(failures.join("\n"), /'resources' must be a JSON object.*t\.policies\[0\]\.resources/s);
    assert.match(failures.join("\n"), /'expiresOn' must be a time/);
    const proxied = await plugin.check(RECORD, "r", { ...record, proxied: true, ttl: 300 });
    assert.match(proxied.failures.join("\n"), /'ttl' must be 1/);
  });
});

describe("a preview", () => {
  test("lets unknown inputs pass and requests nothing", async () => {
    const { inputs, failures } = await plugin.check(RECORD, "r", { ...record, zoneId: UNKNOWN, content: UNKNOWN });
    assert.deepEqual(failures, []);
    const planned = await plugin.create(RECORD, "r", inputs, true);
    assert.equal(planned.state["name"], "mail.example.com");
    assert.equal(planned.state["content"], UNKNOWN);
    assert.equal(planned.state["modifiedOn"], UNKNOWN);
    const unknown = await plugin.check(API_TOKEN, "t", {
      ...token,
      policies: [{ ...(token["policies"] as Bag[])[0], resources: UNKNOWN }],
    });
    assert.deepEqual(unknown.failures, []);
    assert.equal((await plugin.create(API_TOKEN, "t", unknown.inputs, true)).state["value"], UNKNOWN);
    assert.deepEqual(api.log, []);
  });

  test("an unknown value updates in place, or replaces where a change does", async () => {
    const made = await create(RECORD, record);
    const content = await plugin.diff(RECORD, "r", made, { ...record, content: UNKNOWN });
    assert.deepEqual([content.changes, content.replaces], ["SOME", []]);
    assert.deepEqual((await plugin.diff(RECORD, "r", made, { ...record, zoneId: UNKNOWN })).replaces, ["zoneId"]);
    const planned = await plugin.update(RECORD, "r", made, { ...record, ttl: 300 }, true);
    assert.deepEqual([planned.state["ttl"], planned.state["modifiedOn"]], [300, UNKNOWN]);
    await plugin.remove(RECORD, "r", made);
  });

  test("honours ignored changes", own, async () => {
    const made = await create(RECORD, record);
    const found = await plugin.diff(RECORD, "r", made, { ...record, ttl: 300 }, ["ttl"]);
    assert.equal(found.changes, "NONE");
    await plugin.remove(RECORD, "r", made);
  });
});

describe("a token", () => {
  test("has its value only from the create, keeps it through a refresh, and it is a secret", async () => {
    const made = await create(API_TOKEN, token);
    assert.ok(made.secret.has("value"));
    assert.equal(made.state["value"], `secret-value-${made.id}`);
    const state = { ...made.state, value: secretValue(made.state["value"] ?? null) };
    const seen = await plugin.read(API_TOKEN, "r", made.id, { state, inputs: made.inputs });
    assert.equal(seen?.state["value"], made.state["value"]);
    assert.ok(seen?.secret.has("value"));
    await plugin.remove(API_TOKEN, "r", made);
  });

  test("an account's keeps its value through an update in place", async () => {
    const program = { ...token, accountId: "a".repeat(32) };
    const made = await create(ACCOUNT_TOKEN, program);
    const updated = await plugin.update(ACCOUNT_TOKEN, "r", made, { ...program, name: "other" });
    assert.equal(updated.state["value"], made.state["value"]);
    assert.ok(updated.secret.has("value"));
    await plugin.remove(ACCOUNT_TOKEN, "r", made);
  });

  test("groups in another order than the API's drift after a refresh", async () => {
    const groups = [{ id: "c8fed203ed3043cba015a93ad1616f1f" }, { id: "4755a26eedb94da69e1066d98aa820be" }];
    const program = { ...token, policies: [{ ...(token["policies"] as Bag[])[0], permissionGroups: groups }] };
    const made = await create(API_TOKEN, program);
    const seen = await plugin.read(API_TOKEN, "r", made.id, made);
    assert.ok(seen);
    if (!official) assert.ok((await plugin.diff(API_TOKEN, "r", seen, made.inputs)).diffs.includes("policies"));
    await plugin.remove(API_TOKEN, "r", made);
  });

  test("that expired is dropped from the state", own, async () => {
    const made = await create(API_TOKEN, token);
    api.tokens.set(made.id, { ...api.tokens.get(made.id), status: "expired" });
    assert.equal(await plugin.read(API_TOKEN, "r", made.id, made), undefined);
    await plugin.remove(API_TOKEN, "r", made);
  });

  test("an address filter can be taken away", async () => {
    const program = { ...token, condition: { requestIp: { ins: ["192.0.2.1/32"] } } };
    const made = await create(API_TOKEN, program);
    api.take();
    const updated = await plugin.update(API_TOKEN, "r", made, token);
    const seen = await plugin.read(API_TOKEN, "r", made.id, { ...updated, inputs: token });
    assert.ok(seen);
    assert.equal(seen.state["condition"], undefined);
    await plugin.remove(API_TOKEN, "r", made);
  });
});

describe("a record", () => {
  test("loses a comment that the program no longer has", async () => {
    const made = await create(RECORD, { ...record, comment: "vectis" });
    const found = await plugin.diff(RECORD, "r", made, record);
    assert.ok(found.diffs.includes("comment"));
    const updated = await plugin.update(RECORD, "r", made, record);
    const seen = await plugin.read(RECORD, "r", made.id, { ...updated, inputs: record });
    assert.equal(seen?.state["comment"], undefined);
    assert.equal((await plugin.diff(RECORD, "r", seen ?? made, record)).changes, "NONE");
    await plugin.remove(RECORD, "r", made);
  });

  test("that is gone already is deleted without an error", own, async () => {
    const made = await create(RECORD, record);
    await plugin.remove(RECORD, "r", made);
    await plugin.remove(RECORD, "r", made);
  });

  test("is imported by zone and record, and any other id is refused with the right form", own, async () => {
    assert.match(await failure(plugin.read(RECORD, "r", "abc")), /'abc' is no id to import.*ZONE_ID\/RECORD_ID/);
  });

  test("is found by type and name", own, async () => {
    const made = await create(RECORD, record);
    api.take();
    const args = { zoneId: ZONE, type: "A", name: { exact: "mail.example.com" } };
    const { returned } = await plugin.invoke("cloudflare:index/getDnsRecords:getDnsRecords", args);
    assert.deepEqual(
      (returned["results"] as Bag[]).map(({ id, createdOn }) => [id, typeof createdOn]),
      [[made.id, "string"]],
    );
    assert.deepEqual(api.log[0]?.["query"], { type: "A", "name.exact": "mail.example.com" });
    await plugin.remove(RECORD, "r", made);
  });
});

describe("a failure of the API", () => {
  const denied = { status: 403, errors: [{ code: 10000, message: `Authentication error for ${TOKEN}` }] };

  test("is shown with status, code and message, and without the token", own, async () => {
    api.next.push(denied);
    const said = await failure(create(RECORD, record));
    assert.match(said, /POST "http:\/\/127\.0\.0\.1:\d+\/zones\/[0-9a-f]{32}\/dns_records": 403 Forbidden: /);
    assert.match(said, /Authentication error for \[token\] \(code 10000\)/);
    assert.equal(api.log.length, 1);
  });

  test("a rate limit is waited for as long as it says, for a create too", async () => {
    const limited = { status: 429, errors: [{ code: 971, message: "slow down" }], headers: { "retry-after": "0" } };
    api.next.push(limited, limited);
    const made = await create(RECORD, record);
    assert.deepEqual(
      api.take().map(({ method }) => method),
      ["POST", "POST", "POST"],
    );
    await plugin.remove(RECORD, "r", made);
  });

  test("a rate limit that stays, or is longer than a minute, is told", own, async () => {
    const limited = (after: string) => ({
      status: 429,
      errors: [{ code: 971, message: "slow down" }],
      headers: { "retry-after": after },
    });
    api.next.push(limited("3600"));
    assert.match(
      await failure(create(RECORD, record)),
      /429 Too Many Requests: slow down \(code 971\); it asks to wait 3600 s/,
    );
    api.next.push(limited("0"), limited("0"), limited("0"), limited("0"));
    assert.match(await failure(create(RECORD, record)), /slow down \(code 971\)/);
    assert.equal(api.take().length, 5);
  });

  test("a read is repeated after a server error and a lost connection; a create is not", own, async () => {
    const made = await create(RECORD, record);
    api.take();
    api.next.push({ status: 500, headers: { "retry-after": "0" } }, { status: 0, drop: true });
    assert.ok(await plugin.read(RECORD, "r", made.id, made));
    assert.equal(api.take().length, 3);
    api.next.push({ status: 500 });
    assert.match(await failure(create(RECORD, { ...record, content: "192.0.2.2" })), /500 Internal Server Error/);
    api.next.push({ status: 0, drop: true });
    await failure(create(RECORD, { ...record, content: "192.0.2.2" }));
    assert.equal(api.take().length, 2);
    await plugin.remove(RECORD, "r", made);
  });

  test("an address where nothing answers is named", own, async () => {
    const lost = await open("cloudflare", { apiToken: TOKEN, baseUrl: "http://127.0.0.1:1/client/v4" });
    try {
      await lost.configure();
      const { wire } = await lost.check(RECORD, "r", record);
      assert.match(await failure(lost.create(RECORD, "r", wire)), /127\.0\.0\.1:1.*(ECONNREFUSED|bad port)/);
    } finally {
      lost.close();
    }
  });

  test("a server that no known authority vouches for is refused, and its own root makes it known", own, async () => {
    const key = await generate("ECDSA", 0, "P256");
    const inputs = { ipAddresses: ["127.0.0.1"], validityPeriodHours: 1, allowedUses: ["server_auth"] };
    const root = issue({ ...inputs, subject: { commonName: "API" } }, requested(inputs, key), { key }).pem;
    const secured = await start({ key: privatePem(key), cert: root });
    const folder = mkdtempSync(join(tmpdir(), "vectis-cloudflare-"));
    const file = join(folder, "root.pem");
    writeFileSync(file, root);
    const config = { apiToken: TOKEN, baseUrl: secured.url };
    const [strange, known] = [
      await open("cloudflare", config),
      await open("cloudflare", config, { ...process.env, NODE_EXTRA_CA_CERTS: file }),
    ];
    try {
      const zone = ["cloudflare:index/getZone:getZone", { zoneId: ZONE }] as const;
      await strange.configure();
      await known.configure();
      assert.match(await failure(strange.invoke(...zone)), /certificate.*NODE_EXTRA_CA_CERTS/);
      assert.equal((await known.invoke(...zone)).returned["name"], "example.com");
    } finally {
      strange.close();
      known.close();
      secured.close();
      rmSync(folder, { recursive: true });
    }
  });
});
