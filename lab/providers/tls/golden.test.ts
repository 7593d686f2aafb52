// Replays what the official plugin was asked, and compares the answers. VECTIS_TLS_PROVIDER runs the same against its executable.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { open, type Difference, type Plugin } from "../protocol/client.ts";
import { assertDifference, assertState, load } from "../protocol/golden.ts";
import { isBag, text, UNKNOWN, type Bag, type Plain } from "../protocol/value.ts";

type Recorded = Pick<Difference, "diffs" | "replaces" | "deleteBeforeReplace">;

interface Change {
  readonly change: string;
  readonly set: Bag;
  readonly diff: Recorded;
}

interface Case {
  readonly case: string;
  /** By which later cases name it: `{ec}` is its key, its certificate or its request. */
  readonly name: string;
  readonly type: string;
  readonly inputs: Bag;
  /** The properties for which check refuses the inputs. */
  readonly failures?: string[];
  /** The create fails, and says all of this. */
  readonly fails?: string[];
  /** The inputs that check marks as secret. */
  readonly checkedSecret: string[];
  readonly created: Bag;
  readonly preview: Bag;
  readonly sameAgain: Recorded;
  readonly afterRefresh: Recorded;
  /** What `openssl x509 -text` prints about a named case's certificate, in this order among other lines. */
  readonly text?: string;
  readonly lines?: string[];
}

const made = new Map<string, { id: string; state: Bag; inputs: Bag }>();

/** A recording with the keys and certificates of this run. */
function here<T extends Plain>(value: T): T;
function here(value: Plain): Plain {
  if (typeof value === "string") {
    return value.replace(/^\{(\w+)\}$/, (_, name: string) => {
      const state = made.get(name)?.state ?? {};
      const key = ["certPem", "certRequestPem", "privateKeyPem"].find((property) => property in state);
      return text(state, key ?? "");
    });
  }
  if (Array.isArray(value)) return value.map((item) => here(item));
  if (isBag(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, here(item)]));
  return value;
}

/** An answer as it was recorded: keys, certificates, times and numbers by their form. */
function described(value: Plain): Plain {
  if (Array.isArray(value)) return value.map(described);
  if (isBag(value)) {
    const kept = Object.entries(value).filter(([key]) => !key.startsWith("__"));
    return Object.fromEntries(kept.map(([key, item]) => [key, described(item)]));
  }
  if (typeof value !== "string" || value.startsWith("<")) {
    return typeof value === "string" ? value.replace(/\.0+Z>$/, ".0Z>") : value;
  }
  const pem = /BEGIN ([A-Z ]+)/.exec(value)?.[1];
  if (pem !== undefined) {
    return `<PEM ${pem}, ends with newline: ${value.endsWith("\n")}, blocks: ${value.split("BEGIN").length - 1}>`;
  }
  if (/^(ssh-|ecdsa-)/.test(value)) return `<openssh public key, ends with newline: ${value.endsWith("\n")}>`;
  if (/^\d{4}-\d\d-\d\dT/.test(value)) {
    return `<time like ${value.replace(/\d/g, "0").replace(/(\.0+)?Z$/, ".0Z")}>`;
  }
  if (/^([0-9a-f]{2}:){15}/.test(value)) return "<md5 fingerprint>";
  if (value.startsWith("SHA256:")) return "<SHA256:base64 fingerprint>";
  if (/^[0-9a-f]{40}$/.test(value)) return "<40 hex digits>";
  return /^\d{20,}$/.test(value) ? "<decimal number of >36 digits>" : value;
}

/** A state without the bookkeeping that the engine hides. */
const bare = (state: Bag): Bag => Object.fromEntries(Object.entries(state).filter(([key]) => !key.startsWith("__")));

/** A secret in the form in which it was recorded. */
const shown = (state: Bag, secret: ReadonlySet<string>): Bag =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [key, secret.has(key) ? { "<secret>": value } : value]),
  );

let plugin: Plugin;

before(async () => {
  plugin = await open("tls");
  await plugin.configure();
});

after(() => plugin?.close());

for (const recorded of load<Omit<Case, "changes">, Change>(new URL("golden.jsonl", import.meta.url))) {
  const { type, name } = recorded;

  if (recorded.text !== undefined) {
    const [source, lines] = [recorded.text, recorded.lines ?? []];
    test(recorded.case, () => {
      const input = text(made.get(source)?.state ?? {}, "certPem");
      const { stdout } = spawnSync("openssl", ["x509", "-noout", "-text"], { input, encoding: "utf8" });
      const printed = stdout.split("\n").map((line) => line.trim().replace(/(?<=[A-Z])=(?=\S)/g, " = "));
      let at = 0;
      for (const line of lines) {
        const found = printed.indexOf(line, at);
        assert.ok(found >= 0, `${line}\nis missing in\n${printed.slice(at).join("\n")}`);
        at = found + 1;
      }
    });
    continue;
  }

  describe(recorded.case, () => {
    if (recorded.failures !== undefined) {
      const expected = recorded.failures;
      test(`is refused for ${expected.join(" and ")}`, async () => {
        const { failures } = await plugin.check(type, name, here(recorded.inputs));
        assert.equal(failures.length, expected.length, failures.join("\n"));
        for (const property of expected) assert.match(failures.join("\n"), new RegExp(`'${name}\\.${property}'`));
      });
      return;
    }

    test(recorded.fails === undefined ? "is checked and created" : "fails and says why", async () => {
      const checked = await plugin.check(type, name, here(recorded.inputs));
      assert.deepEqual(checked.failures, []);
      assert.deepEqual(checked.inputs, here(recorded.inputs));
      assert.deepEqual([...checked.secret].sort(), recorded.checkedSecret);
      const answer = plugin.create(type, name, checked.wire);
      if (recorded.fails !== undefined) {
        const failure: unknown = await answer.catch((error: unknown) => error);
        assert.ok(failure instanceof Error);
        for (const part of recorded.fails) assert.ok(failure.message.includes(part), failure.message);
        return;
      }
      const { id, state, secret } = await answer;
      assertState(shown(state, secret), recorded.created, described);
      assert.equal(state["id"], id);
      made.set(name, { id, state, inputs: checked.wire });
    });
    if (recorded.fails !== undefined) return;

    const resource = () => made.get(name) ?? { id: "", state: {}, inputs: {} };

    test("is previewed", async () => {
      const planned = await plugin.create(type, name, resource().inputs, true);
      // Whether an unknown value is a secret makes no difference.
      const secret = new Set([...planned.secret].filter((key) => planned.state[key] !== UNKNOWN));
      assertState(shown(planned.state, secret), recorded.preview, described);
    });

    test("is compared with the same program", async () => {
      assertDifference(await plugin.diff(type, name, resource(), resource().inputs), recorded.sameAgain);
    });

    test("is refreshed, which changes nothing", async () => {
      const seen = await plugin.read(type, name, resource().id, resource());
      assert.ok(seen);
      assert.deepEqual(bare(seen.state), bare(resource().state));
      assertDifference(await plugin.diff(type, name, seen, resource().inputs), recorded.afterRefresh);
    });

    for (const { change, set, diff } of recorded.changes) {
      test(`changes: ${change}`, async () => {
        const news = here({ ...recorded.inputs, ...set });
        const checked = await plugin.check(type, name, news, resource().inputs);
        assert.deepEqual(checked.failures, []);
        assertDifference(await plugin.diff(type, name, resource(), checked.wire), diff);
        if (diff.replaces.length > 0) return;
        const updated = await plugin.update(type, name, resource(), checked.wire);
        const settled = { ...updated, inputs: checked.wire };
        assert.equal((await plugin.diff(type, name, settled, checked.wire)).changes, "NONE");
        for (const key of Object.keys(set)) assert.deepEqual(updated.state[key], set[key]);
        assert.equal(updated.state["certPem"], resource().state["certPem"]);
      });
    }
  });
}

test("the leaf is by the CA, and its id is the serial number", () => {
  const [ca, leaf] = ["ca", "leaf"].map((name) => new X509Certificate(text(made.get(name)?.state ?? {}, "certPem")));
  assert.ok(ca && leaf);
  assert.ok(ca.ca && !leaf.ca);
  assert.ok(leaf.checkIssued(ca) && leaf.verify(ca.publicKey) && ca.verify(ca.publicKey));
  assert.equal(BigInt(`0x${leaf.serialNumber}`).toString(), made.get("leaf")?.id);
});
