import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Journal } from "./journal.ts";
import { PolicyHosts } from "./policy-hosts.ts";
import { until } from "./test-pki.ts";
import { TraefikFolder } from "./traefik.ts";

const HOST = "mta-sts.vectis.test";
let folder = "";
let log: string[] = [];
let now = 0;
const known = new Set<string>();
const certified = new Set<string>();
let asked = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "certd-policy-"));
  log = [];
  now = 1_000_000;
  asked = 0;
  known.clear();
  certified.clear();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function make(routes: Readonly<Record<string, string>>): PolicyHosts {
  const journal = new Journal(
    (line) => log.push(line),
    () => now,
  );
  const made = new PolicyHosts({
    routes,
    folder: new TraefikFolder(folder),
    journal,
    clock: () => now,
    certified: (host) => Promise.resolve(certified.has(host)),
    resolves: (host) => {
      asked += 1;
      return Promise.resolve(known.has(host));
    },
  });
  made.start();
  return made;
}

describe("PolicyHosts", () => {
  it("gives Traefik no route for a host without an address, says so once, and looks again after a minute", async () => {
    const hosts = make({ [HOST]: "http: {}\n" });
    hosts.tick();
    await until("the first look", () => log.some((line) => /mta-sts\.vectis\.test has no address yet/.test(line)));
    assert.deepEqual(readdirSync(folder), []);
    hosts.tick();
    assert.equal(asked, 1);
    now += 60_000;
    hosts.tick();
    await until("the second look", () => asked === 2);
    assert.equal(log.length, 1);
    known.add(HOST);
    await until("the route", () => {
      now += 60_000;
      hosts.tick();
      return readdirSync(folder).length === 1;
    });
    assert.equal(readFileSync(join(folder, `host-${HOST}.yml`), "utf8"), "http: {}\n");
    await until("the word", () => log.some((line) => /policy is served at https:\/\/mta-sts\.vectis\.test/.test(line)));
  });

  it("makes Traefik look again while a host has no certificate, more and more rarely, and stops when it has", async () => {
    new TraefikFolder(folder).setHost(HOST, "http: {}\n");
    const hosts = make({ [HOST]: "http: {}\n" });
    const said = (marker: number): boolean => log.some((line) => line.includes(`(marker ${marker}), next in`));
    const minutes = (count: number) => async (): Promise<void> => {
      for (let minute = 0; minute < count; minute++) {
        now += 60_000;
        hosts.tick();
        // The look is over when its answers have been taken.
        await new Promise(setImmediate);
      }
    };
    await minutes(1)();
    assert.ok(said(1));
    await minutes(1)();
    assert.ok(said(2));
    await minutes(8)();
    assert.equal(said(4), false, "after a minute, then after ten");
    certified.add(HOST);
    await minutes(20)();
    assert.equal(said(4), false);
  });

  it("tells that routes cannot be written for as long as that is so, and goes on when they can", async () => {
    known.add(HOST);
    const hosts = make({ [HOST]: "new" });
    rmSync(folder, { recursive: true });
    hosts.tick();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    for (let pass = 0; pass < 3; pass++) assert.throws(() => hosts.tick(), /ENOENT/);
    mkdirSync(folder);
    now += 60_000;
    assert.throws(() => hosts.tick(), "it is not known yet that it works again");
    await until("the route", () => readdirSync(folder).length === 1);
    await new Promise(setImmediate);
    hosts.tick();
  });

  it("keeps a route when its host stops resolving, replaces a changed one, and takes an unwanted one away", async () => {
    new TraefikFolder(folder).setHost(HOST, "old");
    new TraefikFolder(folder).setHost("mta-sts.gone.test", "old");
    const hosts = make({ [HOST]: "new" });
    assert.deepEqual(readdirSync(folder), [`host-${HOST}.yml`]);
    hosts.tick();
    await until("the change", () => readFileSync(join(folder, `host-${HOST}.yml`), "utf8") === "new");
    assert.equal(asked, 0);
  });
});
