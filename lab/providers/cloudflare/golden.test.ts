// Replays what the official plugin was asked, and compares its answers and the requests it made, against a double of the API.
// VECTIS_CLOUDFLARE_PROVIDER runs the same against the official plugin's executable.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { open, type Difference, type Plugin } from "../protocol/client.ts";
import { assertDifference, assertState, load } from "../protocol/golden.ts";
import { isBag, written, type Bag, type Plain } from "../protocol/value.ts";
import { ACCOUNT, start, ZONE, type Double } from "./api-double.ts";

type Recorded = Pick<Difference, "diffs" | "replaces" | "deleteBeforeReplace">;

interface Change {
  readonly change: string;
  readonly set: Bag;
  readonly diff?: Recorded;
  /** What the update in place requests. */
  readonly requests?: Bag[];
  /** The property for which it is refused. */
  readonly refused?: string;
}

interface Case {
  readonly case: string;
  readonly type: string;
  readonly inputs: Bag;
  /** The properties for which check refuses the inputs. */
  readonly failures?: string[];
  /** The create fails, and says all of this. */
  readonly fails?: string[];
  /** The inputs are those of a record that another resource made: it is imported. */
  readonly import?: string;
  /** A function's token; inputs are its arguments. */
  readonly invoke?: string;
  readonly returned?: Bag;
  readonly requests?: Bag[];
  /** The API answers TXT contents in quotes. */
  readonly quotes?: boolean;
  readonly created: Bag;
  readonly createRequests: Bag[];
  readonly readRequests: Bag[];
  readonly deleteRequests: Bag[];
  readonly sameAgain: Recorded;
  readonly afterRefresh: Recorded;
  /** Properties that a refresh changes, with their values before and after. */
  readonly refreshChanged: Plain[][];
}

const OTHER = `${ZONE.startsWith("0") ? "1" : "0"}${ZONE.slice(1)}`;
const GROUPS = new Set(["4755a26eedb94da69e1066d98aa820be", "c8fed203ed3043cba015a93ad1616f1f"]);
const TOKEN = "x".repeat(40);

/** A recording with the double's ids. */
function here<T extends Plain>(value: T): T;
function here(value: Plain): Plain {
  if (typeof value === "string") {
    return value
      .replace(/\bZONE\b/g, ZONE)
      .replace(/\bACCOUNT\b/g, ACCOUNT)
      .replace(/^OTHER$/, OTHER);
  }
  if (Array.isArray(value)) return value.map((item) => here(item));
  if (isBag(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, here(item)]));
  return value;
}

/** An answer as it was recorded: ids and times by name, without bookkeeping. */
function described(value: Plain): Plain {
  if (Array.isArray(value)) return value.map(described);
  if (isBag(value)) {
    const kept = Object.entries(value).filter(([key]) => !key.startsWith("__"));
    return Object.fromEntries(kept.map(([key, item]) => [written(described(key)), described(item)]));
  }
  if (typeof value !== "string") return value;
  return value
    .replaceAll(ZONE, "ZONE")
    .replaceAll(ACCOUNT, "ACCOUNT")
    .replace(/(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/g, (id) => (GROUPS.has(id) ? id : "ID"))
    .replace(/^\d{4}-\d\d-\d\dT.*/, "<time>");
}

/** A secret in the form in which it was recorded. */
const shown = (state: Bag, secret: ReadonlySet<string>): Bag =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [key, secret.has(key) ? { "<secret>": value } : value]),
  );

let api: Double;
let plugin: Plugin;

before(async () => {
  api = await start();
  plugin = await open("cloudflare", { apiToken: TOKEN, baseUrl: api.url });
  await plugin.configure();
});

after(() => {
  plugin?.close();
  api?.close();
});

function assertRequests(recorded: Bag[] | undefined): void {
  assert.ok(api.log.every(({ authorization }) => authorization === `Bearer ${TOKEN}`));
  assert.deepEqual(described(api.take()), described(here(recorded ?? [])));
}

const name = "golden";

async function create(type: string, inputs: Bag) {
  const checked = await plugin.check(type, name, inputs);
  assert.deepEqual(checked.failures, []);
  return { ...(await plugin.create(type, name, checked.wire)), inputs: checked.wire };
}

for (const recorded of load<Omit<Case, "changes">, Change>(new URL("golden.jsonl", import.meta.url))) {
  const { type } = recorded;

  if (recorded.invoke !== undefined) {
    const token = recorded.invoke;
    test(recorded.case, async () => {
      const { returned, failures } = await plugin.invoke(token, here(recorded.inputs));
      assert.deepEqual(failures, []);
      assertState(returned, recorded.returned ?? {}, described);
      assertRequests(recorded.requests);
    });
    continue;
  }

  describe(recorded.case, () => {
    const inputs = here(recorded.inputs);

    if (recorded.failures !== undefined) {
      const expected = recorded.failures;
      test(`is refused for ${expected.join(" and ")}`, async () => {
        const { failures } = await plugin.check(type, name, inputs);
        assert.equal(failures.length, expected.length, failures.join("\n"));
        for (const property of expected) assert.match(failures.join("\n"), new RegExp(`'(${name}\\.)?${property}'`));
      });
      return;
    }

    if (recorded.fails !== undefined) {
      const expected = recorded.fails;
      test("fails and says why", async () => {
        const first = await create(type, inputs);
        api.take();
        const failure: unknown = await create(type, inputs).catch((error: unknown) => error);
        assertRequests(recorded.requests);
        await plugin.remove(type, name, first);
        api.take();
        assert.ok(failure instanceof Error);
        for (const part of expected) assert.ok(failure.message.includes(part), failure.message);
        assert.ok(!failure.message.includes(TOKEN));
      });
      return;
    }

    if (recorded.import !== undefined) {
      test("finds inputs and state", async () => {
        const made = await create(type, inputs);
        api.take();
        const found = await plugin.read(type, name, `${ZONE}/${made.id}`);
        const [request] = api.take();
        assert.deepEqual(described([request ?? {}]), described(here(recorded.readRequests)));
        assert.ok(found);
        assert.equal(found.id, made.id);
        assertState(found.state, recorded.created, described);
        assert.deepEqual(described(found.inputs), recorded.inputs);
        assert.equal((await plugin.diff(type, name, found, made.inputs)).changes, "NONE");
        await plugin.remove(type, name, made);
        api.take();
      });
      return;
    }

    let made: { id: string; state: Bag; inputs: Bag };

    before(() => {
      api.habits.quotes = recorded.quotes === true;
    });
    after(() => {
      api.habits.quotes = false;
    });

    test("is checked and created", async () => {
      const checked = await plugin.check(type, name, inputs);
      assert.deepEqual(checked.failures, []);
      assert.deepEqual(checked.inputs, inputs);
      const answer = await plugin.create(type, name, checked.wire);
      assertRequests(recorded.createRequests);
      assertState(shown(answer.state, answer.secret), recorded.created, described);
      made = { ...answer, inputs: checked.wire };
    });

    test("is compared with the same program, without a request", async () => {
      assertDifference(await plugin.diff(type, name, made, made.inputs), recorded.sameAgain);
      assertRequests([]);
    });

    test("is refreshed", async () => {
      const seen = await plugin.read(type, name, made.id, made);
      assertRequests(recorded.readRequests);
      assert.ok(seen);
      const keys = Object.keys({ ...made.state, ...seen.state }).filter((key) => !key.startsWith("__"));
      const changed = keys
        .map((key) => [key, described(made.state[key] ?? null), described(seen.state[key] ?? null)])
        .filter(([, one, other]) => JSON.stringify(one) !== JSON.stringify(other));
      assert.deepEqual(changed, recorded.refreshChanged);
      assertDifference(await plugin.diff(type, name, seen, made.inputs), recorded.afterRefresh);
    });

    for (const { change, set, diff, requests, refused } of recorded.changes) {
      test(refused === undefined ? `changes: ${change}` : `refuses: ${change}`, async () => {
        const checked = await plugin.check(type, name, here({ ...recorded.inputs, ...set }), made.inputs);
        if (diff === undefined) {
          // The official plugin finds a wrong type only when it compares.
          const said =
            checked.failures.length > 0
              ? checked.failures.join("\n")
              : String(await plugin.diff(type, name, made, checked.wire).catch((error: unknown) => error));
          for (const part of refused?.split(".") ?? []) assert.ok(said.includes(part), said);
          return;
        }
        assert.deepEqual(checked.failures, []);
        assertDifference(await plugin.diff(type, name, made, checked.wire), diff);
        assertRequests([]);
        if (requests === undefined) return;
        const updated = await plugin.update(type, name, made, checked.wire);
        assertRequests(requests);
        const settled = { ...updated, inputs: checked.wire };
        assert.equal((await plugin.diff(type, name, settled, checked.wire)).changes, "NONE");
        const back = await plugin.update(type, name, settled, made.inputs);
        made = { ...back, inputs: made.inputs };
        api.take();
      });
    }

    test("is deleted, and dropped from the state once it is gone", async () => {
      await plugin.remove(type, name, made);
      assertRequests(recorded.deleteRequests);
      assert.equal(await plugin.read(type, name, made.id, made), undefined);
      api.take();
    });
  });
}
