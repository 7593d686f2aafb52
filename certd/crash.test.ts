// Publication ended between any two of its file system calls: each call in turn is the one that never happens, a write
// also as one that got half-way. Nothing after it happens either, as with kill -9.
import assert from "node:assert/strict";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { GenerationStore, type Origin } from "./generations.ts";
import { TestPki } from "./test-pki.ts";
import { canonicalPair, validatePair, type Pair } from "./validate.ts";

const names = ["mail.vectis.test"];
const origin: Origin = { source: "acme", directory: "https://ca.test/dir" };
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true, by: root });
const pairs = [0, 1, 2, 3, 4].map((): Pair => {
  const leaf = pki.issue({ subject: "/", names, by: issuer, usage: "serverAuth" });
  return canonicalPair({ fullchain: leaf.pem + issuer.pem, privkey: leaf.key });
});
const clock = (): number => Date.now() + 1000;
after(() => pki.remove());

class Crash extends Error {}

/** Every call by which certd changes a volume. */
const changing = [
  "chmodSync",
  "closeSync",
  "fsyncSync",
  "mkdirSync",
  "openSync",
  "renameSync",
  "rmSync",
  "symlinkSync",
  "writeFileSync",
  "writeSync",
] as const;

type Change = (...args: unknown[]) => unknown;

/**
 * Does something that ends before its `fatal`-th change (from 0), with half of it done if it is a write and `torn`.
 * @returns whether it ended so
 */
function crashing(fatal: number, torn: boolean, work: () => void): boolean {
  const table = fs as unknown as Record<(typeof changing)[number], Change>;
  const originals = changing.map((name) => [name, table[name]] as const);
  let calls = 0;
  let dead = false;
  for (const [name, original] of originals) {
    table[name] = (...args) => {
      if (!dead && calls++ === fatal) {
        dead = true;
        const [target, text] = args;
        if (torn && name.startsWith("write") && typeof text === "string") {
          original(target, text.slice(0, text.length / 2));
        }
      }
      if (dead) throw new Crash(name);
      return original(...args);
    };
  }
  syncBuiltinESMExports();
  try {
    work();
    return false;
  } catch (error) {
    if (!dead) throw error;
    return true;
  } finally {
    for (const [name, original] of originals) table[name] = original;
    syncBuiltinESMExports();
  }
}

/** What a follower reads: the generation that `current` names, undefined when there is none. */
function served(volume: string): Pair | undefined {
  const at = (name: string): string => join(volume, "current", name);
  if (!fs.existsSync(join(volume, "current"))) return undefined;
  const [fullchain, privkey, keychain] = ["fullchain.pem", "privkey.pem", "keychain.pem"].map((name) =>
    fs.readFileSync(at(name), "utf8"),
  );
  const pair = { fullchain: fullchain ?? "", privkey: privkey ?? "" };
  assert.deepEqual(validatePair(pair, { names, now: clock() }), []);
  assert.equal(keychain, pair.privkey + pair.fullchain);
  return pair;
}

const publish = (volume: string, pair: Pair): void => {
  const store = new GenerationStore(volume, 3, clock);
  store.recover();
  store.publish(pair, names, origin);
};

/** A volume on which the first `count` pairs were published; removed afterwards. */
function withVolume(count: number, use: (volume: string) => void): void {
  const volume = fs.mkdtempSync(join(tmpdir(), "certd-crash-"));
  try {
    for (const pair of pairs.slice(0, count)) publish(volume, pair);
    use(volume);
  } finally {
    fs.rmSync(volume, { recursive: true, force: true });
  }
}

describe("a publication that ends at any moment", () => {
  for (const [count, torn, which] of [
    [0, false, "the first one"],
    [1, true, "the second one, in the middle of a write"],
    [4, false, "one that drops the oldest generation"],
  ] as const) {
    it(`${which}: readers see old or new whole, the next start completes it`, () => {
      const fresh = pairs[count];
      assert.ok(fresh);
      let fatal = 0;
      for (let ended = true; ended; fatal++) {
        withVolume(count, (volume) => {
          ended = crashing(fatal, torn, () => publish(volume, fresh));
          const seen = served(volume);
          const old = pairs[count - 1];
          assert.ok(seen?.privkey === old?.privkey || seen?.privkey === fresh.privkey, `after call ${fatal}`);
          publish(volume, fresh);
          assert.deepEqual(served(volume), fresh, `completed after call ${fatal}`);
          const left = fs.readdirSync(join(volume, "generations"));
          assert.ok(left.length <= 3 && left.every((name) => /^\d{6}$/.test(name)), left.join(" "));
          assert.deepEqual(
            fs.readdirSync(volume).filter((name) => name.startsWith(".")),
            [],
          );
        });
      }
      assert.ok(fatal > 20, `only ${fatal} calls were seen`);
    });
  }
});
