import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { GenerationStore, RefusedError, type Origin } from "./generations.ts";
import { makePlaceholder, PLACEHOLDER_ORGANIZATION } from "./placeholder.ts";
import { buildSync } from "esbuild";
import { TestPki } from "./test-pki.ts";
import { canonicalPair, validatePair, type Bundle, type Pair } from "./validate.ts";

const NAMES = ["mail.vectis.test"];
const ACME: Origin = { source: "acme", directory: "https://ca.test/dir" };
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true, by: root });
const pairs = [0, 1, 2, 3, 4].map((): Pair => {
  const leaf = pki.issue({ subject: "/", names: NAMES, by: issuer, usage: "serverAuth" });
  return canonicalPair({ fullchain: leaf.pem + issuer.pem, privkey: leaf.key });
});
const pair = (index: number): Pair => {
  const found = pairs[index];
  assert.ok(found);
  return found;
};
/** Both kinds of certificate. */
const both = (index: number): Bundle => {
  const leaf = pki.issue({ subject: "/", names: NAMES, by: issuer, usage: "serverAuth", key: "rsa:2048" });
  return { ...pair(index), rsa: canonicalPair({ fullchain: leaf.pem + issuer.pem, privkey: leaf.key }) };
};
const clock = (): number => Date.now() + 1000;

let volume = "";
let store: GenerationStore;
const at = (...parts: string[]): string => join(volume, ...parts);
const read = (...parts: string[]): string => readFileSync(at(...parts), "utf8");
const mode = (...parts: string[]): string => (statSync(at(...parts)).mode & 0o777).toString(8);

beforeEach(() => {
  volume = mkdtempSync(join(tmpdir(), "certd-volume-"));
  store = new GenerationStore(volume, 3, clock);
  store.recover();
});
afterEach(() => rmSync(volume, { recursive: true, force: true }));
after(() => pki.remove());

describe("GenerationStore", () => {
  it("lays out a generation as the contract says", () => {
    store.publish(pair(0), NAMES, ACME);
    assert.equal(readlinkSync(at("current")), "generations/000000");
    for (const file of ["fullchain.pem", "privkey.pem", "keychain.pem"]) {
      assert.equal(readlinkSync(at(file)), `current/${file}`);
    }
    assert.equal(read("fullchain.pem"), pair(0).fullchain);
    assert.equal(read("keychain.pem"), pair(0).privkey + pair(0).fullchain);
    assert.deepEqual(
      ["", "fullchain.pem", "privkey.pem", "keychain.pem", "meta.json"].map((file) => mode("generations/000000", file)),
      ["755", "644", "600", "600", "644"],
    );
    const meta = JSON.parse(read("current/meta.json")) as Record<string, unknown>;
    assert.equal(meta["generation"], 0);
    assert.equal(meta["source"], "acme");
    assert.deepEqual(meta["names"], NAMES);
    assert.match(String(meta["sha256"]), /^[0-9a-f]{64}$/);
    assert.ok(String(meta["notAfter"]) > String(meta["publishedAt"]));
  });

  it("never touches a stable name that is right, and repairs one that is not", () => {
    store.publish(pair(0), NAMES, ACME);
    const inode = lstatSync(at("fullchain.pem")).ino;
    unlinkSync(at("privkey.pem"));
    unlinkSync(at("keychain.pem"));
    writeFileSync(at("keychain.pem"), "someone's copy");
    store.publish(pair(1), NAMES, ACME);
    assert.equal(lstatSync(at("fullchain.pem")).ino, inode);
    assert.equal(read("privkey.pem"), pair(1).privkey);
    assert.equal(read("keychain.pem"), pair(1).privkey + pair(1).fullchain);
  });

  it("keeps the last three generations and the current one", () => {
    for (const index of [0, 1, 2, 3, 4]) store.publish(pair(index), NAMES, ACME);
    assert.deepEqual(store.list(), [2, 3, 4]);
    store.switchTo(2);
    assert.equal(read("fullchain.pem"), pair(2).fullchain);
    store.publish(pair(0), NAMES, ACME);
    assert.deepEqual(store.list(), [3, 4, 5]);
  });

  it("refuses what must not be served, says why, and leaves everything as it was", () => {
    store.publish(pair(0), NAMES, ACME);
    const mixed = { fullchain: pair(1).fullchain, privkey: pair(2).privkey };
    assert.throws(() => store.publish(mixed, NAMES, ACME), /does not belong to/);
    assert.throws(() => store.publish(pair(1), ["other.test"], ACME), RefusedError);
    assert.throws(() => store.publish(makePlaceholder(NAMES, 7), NAMES, ACME), /self-signed/);
    assert.deepEqual(readdirSync(at("generations")), ["000000"]);
    assert.equal(store.current()?.number, 0);
  });

  it("takes a self-signed pair as a placeholder, recognisable by its organisation", () => {
    const generation = store.publish(makePlaceholder(["mail.vectis.test", "imap.vectis.test"], 7), NAMES, {
      source: "placeholder",
    });
    assert.match(generation.meta.subject, new RegExp(`O=${PLACEHOLDER_ORGANIZATION}.*CN=mail.vectis.test`));
    assert.deepEqual(generation.meta.names, ["mail.vectis.test", "imap.vectis.test"]);
  });

  it("lays an RSA certificate beside the first one, and both into the file that Postfix reads", () => {
    const bundle = both(0);
    const { leaf, rsa, meta } = store.publish(bundle, NAMES, ACME);
    assert.deepEqual([leaf.keyType, rsa?.keyType], ["ec-256", "rsa-2048"]);
    assert.deepEqual([meta.rsa?.sha256, meta.rsa?.serial], [rsa?.sha256, rsa?.serial]);
    assert.equal(read("current/fullchain-rsa.pem"), bundle.rsa?.fullchain);
    assert.equal(
      read("keychain.pem"),
      bundle.privkey + bundle.fullchain + (bundle.rsa?.privkey ?? "") + (bundle.rsa?.fullchain ?? ""),
    );
    assert.deepEqual(
      ["fullchain-rsa.pem", "privkey-rsa.pem"].map((file) => mode("generations/000000", file)),
      ["644", "600"],
    );
    assert.deepEqual(store.current()?.pair, bundle);
    assert.equal(store.publish(pair(1), NAMES, ACME).rsa, undefined);
    assert.equal(store.switchTo(0).rsa?.sha256, rsa?.sha256);
  });

  for (const file of ["fullchain-rsa.pem", "privkey-rsa.pem", "keychain.pem"]) {
    it(`calls a generation with two certificates damaged when its ${file} is another one's, or is gone`, () => {
      store.publish(both(0), NAMES, ACME);
      store.publish(both(1), NAMES, ACME);
      writeFileSync(at("generations/000001", file), read("generations/000000", file));
      assert.equal(store.current(), undefined);
      unlinkSync(at("generations/000001", file));
      assert.equal(store.current(), undefined);
      assert.equal(store.switchTo(0).number, 0);
    });
  }

  it("refuses an RSA certificate that must not be served, and says that it is that one", () => {
    const { rsa, ...first } = both(0);
    assert.ok(rsa);
    const mixed = { ...first, rsa: { ...rsa, privkey: first.privkey } };
    assert.throws(() => store.publish(mixed, NAMES, ACME), /^RefusedError: RSA: The private key does not belong/);
    assert.deepEqual(readdirSync(at("generations")), []);
  });

  it("finishes what a killed writer had renamed but not switched to", () => {
    store.publish(pair(0), NAMES, ACME);
    store.publish(pair(1), NAMES, ACME);
    symlinkSync("generations/000000", at("back"));
    renameSync(at("back"), at("current"));
    const again = new GenerationStore(volume, 3, clock);
    again.recover();
    assert.equal(again.current()?.number, 0);
    assert.equal(again.publish(pair(1), NAMES, ACME).number, 1);
    assert.deepEqual(again.list(), [0, 1]);
  });

  it("clears away half-written generations at the start", () => {
    mkdirSync(at("generations/.new-000007"));
    writeFileSync(at("generations/.new-000007/privkey.pem"), "half");
    store.recover();
    assert.deepEqual(readdirSync(at("generations")), []);
  });

  it("sees damage done to the published files, and publishes over it with a new number", () => {
    store.publish(pair(0), NAMES, ACME);
    assert.equal(store.current()?.number, 0);
    writeFileSync(at("generations/000000/privkey.pem"), pair(1).privkey);
    assert.equal(store.current(), undefined);
    assert.equal(store.publish(pair(0), NAMES, ACME).number, 1);
    rmSync(at("generations/000001"), { recursive: true });
    assert.equal(store.current(), undefined);
    assert.equal(store.publish(pair(0), NAMES, ACME).number, 2);
    assert.equal(read("fullchain.pem"), pair(0).fullchain);
  });

  it("publishes into a volume that was emptied while it ran", () => {
    store.publish(pair(0), NAMES, ACME);
    for (const name of readdirSync(volume)) rmSync(at(name), { recursive: true });
    assert.equal(store.current(), undefined);
    assert.equal(store.publish(pair(1), NAMES, ACME).number, 0);
    assert.equal(read("fullchain.pem"), pair(1).fullchain);
  });

  it("does not switch to a generation that is damaged or absent", () => {
    store.publish(pair(0), NAMES, ACME);
    store.publish(pair(1), NAMES, ACME);
    writeFileSync(at("generations/000000/keychain.pem"), "");
    assert.throws(() => store.switchTo(0), /damaged/);
    assert.throws(() => store.switchTo(9), /missing/);
    assert.equal(store.current()?.number, 1);
  });

  it("survives 60 kills at random moments: current is always one whole, matching generation", async () => {
    const pairsFile = at("pairs.json");
    writeFileSync(pairsFile, JSON.stringify(pairs));
    // Plain JavaScript starts in a fraction of the time.
    const program = at("publisher.mjs");
    const entryPoints = [join(import.meta.dirname, "test-publisher.ts")];
    buildSync({ entryPoints, outfile: program, bundle: true, platform: "node", format: "esm" });
    const begin = performance.now();
    store.publish(pair(0), NAMES, ACME);
    // Killed anywhere in the first few publications, however long the disk takes for one.
    const longest = Math.max(40, 4 * (performance.now() - begin));
    let looks = 0;
    const seen = new Set<string>();
    const look = (): void => {
      // As a reader does it: find the generation once, then read from it.
      const generation = readlinkSync(at("current"));
      const found = { fullchain: read(generation, "fullchain.pem"), privkey: read(generation, "privkey.pem") };
      assert.equal(read(generation, "keychain.pem"), found.privkey + found.fullchain);
      assert.deepEqual(validatePair(found, { names: NAMES, now: clock() }), []);
      assert.match(read(generation, "meta.json"), /\}\n$/);
      seen.add(found.fullchain);
      looks++;
    };
    const kill = async (): Promise<void> => {
      const child = spawn(process.execPath, [program, volume, pairsFile], { stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      const end = performance.now() + Math.random() * longest;
      while (performance.now() < end) {
        try {
          look();
        } catch (error) {
          // Three publications between two reads prune the generation that was being read; the next look counts.
          if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        }
      }
      child.kill("SIGKILL");
      await once(child, "exit");
      look();
    };
    for (let round = 0; round < 60; round++) await kill();
    assert.ok(looks > 60);
    assert.ok(seen.size > 1, "the publisher made progress");
    const again = new GenerationStore(volume, 3, clock);
    again.recover();
    assert.equal(again.publish(pair(3), NAMES, ACME).pair.fullchain, read("fullchain.pem"));
    assert.ok(readdirSync(at("generations")).every((name) => /^\d{6}$/.test(name)));
  });
});
