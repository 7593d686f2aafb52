import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { Lookups } from "./name-servers.ts";
import { awaitTxt, type Outcome } from "./txt.ts";

const NAME = "_acme-challenge.mail.vectis.test";
const patience = { limit: 300, grace: 60, progress: 50 };

/** Name servers of vectis.test by address: how often they have to be asked until they have the value; never if absent. */
let servers: Record<string, number | "silent">;
let asked: string[];
let zones: Record<string, readonly string[]>;
let resolver: readonly string[];
let said: string[];

beforeEach(() => {
  servers = { "192.0.2.1": 1, "192.0.2.2": 1 };
  asked = [];
  zones = { "vectis.test": ["ns1.vectis.test", "ns2.vectis.test"], test: ["ns.test"] };
  resolver = [];
  said = [];
});

const lookups: Lookups = {
  nameServers: (zone) => Promise.resolve(zones[zone] ?? []),
  addresses: (host) =>
    Promise.resolve({ "ns1.vectis.test": ["192.0.2.1"], "ns2.vectis.test": ["192.0.2.2"] }[host] ?? []),
  txt(name, address) {
    assert.equal(name, NAME);
    if (address === undefined) return Promise.resolve(resolver);
    asked.push(address);
    const after = servers[address];
    if (after === "silent") return Promise.reject(new Error("queryTxt ETIMEOUT"));
    const times = asked.filter((one) => one === address).length;
    return Promise.resolve(after !== undefined && times >= after ? ["other", "value"] : ["other"]);
  },
  cname: () => Promise.reject(new Error("not asked for here")),
};

const wait = (): Promise<Outcome> => awaitTxt(NAME, "value", (line) => said.push(line), lookups, patience);

describe("awaitTxt", () => {
  it("asks the servers of the innermost zone and is done at once when all have the value", async () => {
    const { seen, text } = await wait();
    assert.equal(seen, true);
    assert.match(text, /^_acme-challenge\.mail\.vectis\.test is at all 2 name servers, after 0\.\d s$/);
    assert.deepEqual(asked, ["192.0.2.1", "192.0.2.2"]);
    assert.deepEqual(said, []);
  });

  it("waits for the last server", async () => {
    servers["192.0.2.2"] = 3;
    assert.equal((await wait()).seen, true);
    assert.equal(asked.length, 6);
  });

  it("gives up after its time and names the server that lacks the value", async () => {
    delete servers["192.0.2.2"];
    const { seen, text } = await wait();
    assert.equal(seen, false);
    assert.match(text, /is not yet at ns2\.vectis\.test \(192\.0\.2\.2\), after 0\.\d s$/);
    assert.doesNotMatch(text, /ns1/);
    assert.match(said[0] ?? "", /is not yet at ns2.*; waiting for up to 0 s more$/);
  });

  it("passes over a server that does not answer, after a while", async () => {
    servers["192.0.2.1"] = "silent";
    const { seen, text } = await wait();
    assert.equal(seen, true);
    assert.ok(asked.length > 2);
    assert.match(text, /is at the other name servers; no answer from ns1\.vectis\.test \(192\.0\.2\.1\), after/);
  });

  it("asks the resolver where no name server can be reached", async () => {
    servers = { "192.0.2.1": "silent", "192.0.2.2": "silent" };
    resolver = ["value"];
    const { seen, text } = await wait();
    assert.equal(seen, true);
    assert.match(text, /is at the resolver; no answer from ns1.*, ns2/);
  });

  it("says so when there is nobody to ask", async () => {
    servers = { "192.0.2.1": "silent", "192.0.2.2": "silent" };
    assert.match((await wait()).text, /^no answer from ns1\.vectis\.test \(192\.0\.2\.1\), ns2/);
    zones = {};
    const { seen, text } = await wait();
    assert.equal(seen, false);
    assert.match(text, /^no name servers are found for the zone of _acme-challenge/);
  });

  it("looks again when the look-up of the name servers failed", async () => {
    let failures = 2;
    const flaky: Lookups = {
      ...lookups,
      nameServers: (zone) =>
        failures-- > 0 ? Promise.reject(new Error("queryNs ESERVFAIL")) : lookups.nameServers(zone),
    };
    assert.equal((await awaitTxt(NAME, "value", (line) => said.push(line), flaky, patience)).seen, true);
  });
});
