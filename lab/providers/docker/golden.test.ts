// Replays what the official plugin was asked, and compares the answers: through the protocol, against the real Docker Engine.
// VECTIS_DOCKER_PROVIDER runs the same against the official plugin's executable.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { InitFailed, open, type Difference, type Plugin } from "../protocol/client.ts";
import { assertDifference, assertState as assertStateBy, load } from "../protocol/golden.ts";
import { BASE_IMAGE, freePorts, freeSubnet, testbed, type Testbed } from "./testbed.ts";
import { DEFAULTS, isBag, text, type Bag, type Plain } from "../protocol/value.ts";

type Recorded = Pick<Difference, "detailed" | "replaces" | "deleteBeforeReplace">;

/** Inputs (null takes one away) and the difference they make, or the property they are refused for. */
interface Change {
  readonly change: string;
  readonly set: Bag;
  readonly diff?: Recorded;
  readonly refused?: string;
}

interface Case {
  readonly case: string;
  readonly type: string;
  readonly inputs: Bag;
  readonly checked: Bag;
  readonly created: Bag;
  readonly sameAgain: Recorded;
  readonly afterRefresh: Recorded;
  readonly refreshChanges: string[];
  /** The create fails, and says this. */
  readonly fails?: string;
  /** A container that stays behind a failed create, and its status. */
  readonly leaves?: string;
  /** Check refuses this property. */
  readonly refused?: string;
  /** The process ends by itself: compared once it has. */
  readonly settles?: boolean;
  readonly changes: Change[];
}

const CONTAINER = "docker:index/container:Container";
const NETWORK = "docker:index/network:Network";
const VOLUME = "docker:index/volume:Volume";

const cases = load<Omit<Case, "changes">, Change>(new URL("golden.jsonl", import.meta.url));

let bed: Testbed;
let plugin: Plugin;
let context: string;
let words: Record<string, string>;
let ports: Map<number, number>;

/** A recording in this run's names, ports and addresses. */
function here<T extends Plain>(value: T): T;
function here(value: Plain): Plain {
  if (typeof value === "number") return ports.get(value) ?? value;
  if (typeof value === "string") return value.replace(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole);
  if (Array.isArray(value)) return value.map((item) => here(item));
  if (isBag(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, here(item)]));
  return value;
}

before(async () => {
  bed = await testbed();
  plugin = await open("docker");
  await plugin.configure();
  context = mkdtempSync(join(tmpdir(), `${bed.run}-`));
  writeFileSync(join(context, "Dockerfile"), `FROM ${BASE_IMAGE}\nARG WHO=x\nRUN echo $WHO > /who\n`);
  const subnet = await freeSubnet(bed.docker);
  const tag = `${bed.run}:1`;
  await bed.docker.getImage(BASE_IMAGE).tag({ repo: bed.run, tag: "1" });
  words = { run: bed.run, image: bed.baseImageId, tag, context, subnet: `${subnet}.0/24`, gateway: `${subnet}.1` };
  const recordedPorts = [23025, 23026, 23465, 23587];
  const free = await freePorts(recordedPorts.length);
  ports = new Map(recordedPorts.map((port, i) => [port, free[i] ?? 0]));
  await bed.docker.createNetwork({ Name: `${bed.run}-cnet` });
  await bed.docker.createVolume({ Name: `${bed.run}-cvol` });
});

after(async () => {
  plugin?.close();
  if (context !== undefined) rmSync(context, { recursive: true, force: true });
  await bed?.clean();
});

/** Inputs without the list of defaults, which a state does not have. */
function bare(value: Plain): Plain {
  return isBag(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => key !== DEFAULTS)) : value;
}

const assertState = (actual: Plain, recorded: Plain): void => assertStateBy(actual, recorded, described);

/** A stable form to compare with a recording: no addresses, ids or bookkeeping, lists in any order. */
function described(value: Plain): Plain {
  if (Array.isArray(value)) {
    return value.map(described).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (isBag(value)) {
    const kept = Object.entries(value).filter(([key]) => key !== "id" && (key === DEFAULTS || !key.startsWith("__")));
    return Object.fromEntries(
      kept
        .sort(([a], [b]) => (a < b ? -1 : 1))
        // The size of the networks that the engine hands out is its configuration's.
        .map(([key, item]) => [key, key === "ipPrefixLength" ? item !== 0 : described(item)]),
    );
  }
  if (typeof value !== "string") return value;
  return value
    .replace(/sha256:[0-9a-f]{64}/g, "<sha256>")
    .replace(/^[0-9a-f]{12}$/, "<id12>")
    .replace(/\b(?!127\.|0\.0\.0\.0)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\d.])/g, "<ip>")
    .replace(/^<ip>\/\d+$/, "<subnet>")
    .replace(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, "<mac>");
}

async function status(name: string): Promise<string | undefined> {
  return await bed.docker
    .getContainer(name)
    .inspect()
    .then(
      (seen) => seen.State.Status,
      () => undefined,
    );
}

for (const [index, recorded] of cases.entries()) {
  // The resource's name is part of the recorded messages' paths.
  const name = `r${index}`;
  const { type } = recorded;

  describe(recorded.case, () => {
    if (recorded.refused !== undefined) {
      const refused = recorded.refused;
      test(`is refused for ${refused}`, async () => {
        const { failures } = await plugin.check(type, name, here(recorded.inputs));
        assert.match(failures.join("\n"), new RegExp(`${name}\\.${refused}`));
      });
      return;
    }

    if (recorded.fails !== undefined) {
      const fails = recorded.fails;
      test(`fails and says '${fails}'`, async () => {
        const { inputs, failures } = await plugin.check(type, name, here(recorded.inputs));
        assert.deepEqual(failures, []);
        const failure = await plugin.create(type, name, inputs).then(
          () => undefined,
          (error: unknown) => error,
        );
        assert.ok(failure instanceof Error);
        assert.ok(failure.message.includes(fails), failure.message);
        if (recorded.leaves === undefined) return;
        assert.equal(await status(text(inputs, "name")), recorded.leaves);
        assert.ok(failure instanceof InitFailed, "the engine is told what stayed");
        await plugin.remove(type, name, failure.made);
      });
      return;
    }

    let inputs: Bag;
    let made: { id: string; state: Bag };

    test("is checked and created", async () => {
      const checked = await plugin.check(type, name, here(recorded.inputs));
      assert.deepEqual(checked.failures, []);
      inputs = checked.inputs;
      assertState(inputs, here(recorded.checked));
      made = await plugin.create(type, name, inputs);
      if (recorded.settles === true) {
        await bed.docker.getContainer(made.id).wait();
        const seen = await plugin.read(type, name, made.id, { state: made.state, inputs });
        assert.equal(seen?.state["exitCode"], recorded.created["exitCode"]);
        made = { ...made, state: { ...made.state, mustRun: seen?.state["mustRun"] ?? null } };
      } else {
        assertState(made.state, here(recorded.created));
      }
    });

    test("is compared with the same program", async () => {
      assertDifference(await plugin.diff(type, name, { ...made, inputs }, inputs), recorded.sameAgain);
    });

    test("is refreshed", async () => {
      const seen = await plugin.read(type, name, made.id, { state: made.state, inputs });
      assert.ok(seen);
      assert.equal(seen.id, made.id);
      const changed = Object.keys({ ...made.state, ...seen.state }).filter(
        (key) =>
          !key.startsWith("__") &&
          key !== "exitCode" &&
          JSON.stringify(described(made.state[key] ?? null)) !== JSON.stringify(described(seen.state[key] ?? null)),
      );
      assert.deepEqual(changed.sort(), recorded.refreshChanges);
      assertDifference(await plugin.diff(type, name, { ...seen, inputs: seen.inputs }, inputs), recorded.afterRefresh);
    });

    for (const { change, set, diff, refused } of recorded.changes) {
      test(refused === undefined ? `changes: ${change}` : `refuses: ${change}`, async () => {
        const changed = Object.entries({ ...recorded.inputs, ...set }).filter(([, value]) => value !== null);
        const news = here(Object.fromEntries(changed));
        const checked = await plugin.check(type, name, news, inputs);
        if (diff !== undefined) {
          assert.deepEqual(checked.failures, []);
          assertDifference(await plugin.diff(type, name, { ...made, inputs }, checked.wire), diff);
          return;
        }
        // The official plugin finds a wrong type only when it compares.
        const said =
          checked.failures.length > 0
            ? checked.failures.join("\n")
            : await plugin.diff(type, name, { ...made, inputs }, checked.wire).then(
                () => "",
                (error: unknown) => String(error),
              );
        assert.ok(said.includes(checked.failures.length > 0 ? `${name}.${refused}` : name), said || "it was accepted");
      });
    }

    test("is deleted", async () => {
      await plugin.remove(type, name, made);
      if (type === CONTAINER) assert.equal(await status(text(inputs, "name")), undefined);
      if (type === NETWORK || type === VOLUME) {
        assert.equal(await plugin.read(type, name, made.id, { state: made.state, inputs }), undefined);
      }
    });
  });
}

describe("an update in place", () => {
  const everything = cases.find((recorded) => recorded.case === "a container with everything that a mail stack sets");
  let base: Bag;
  let inputs: Bag;
  let made: { id: string; state: Bag };

  before(async () => {
    base = { ...here(everything?.inputs ?? {}), name: `${bed.run}-u1`, wait: false };
    delete base["ports"];
    inputs = (await plugin.check(CONTAINER, "u1", base)).inputs;
    made = await plugin.create(CONTAINER, "u1", inputs);
  });

  const daemon = async () => {
    const { HostConfig, Config } = await bed.docker.getContainer(made.id).inspect();
    return {
      memory: HostConfig.Memory,
      restart: HostConfig.RestartPolicy?.Name,
      interval: (Config.Healthcheck as { Interval?: number } | undefined)?.Interval,
      tmpfs: HostConfig.Tmpfs as Record<string, string>,
      init: HostConfig.Init,
    };
  };
  const unchanged = {
    memory: 128 << 20,
    restart: "unless-stopped",
    interval: 1e9,
    tmpfs: { "/run": "rw,size=1m" },
    init: false,
  };
  const expectations: [string, () => Bag, Partial<typeof unchanged>][] = [
    ["applies memory", () => ({ memory: 256, memorySwap: 512 }), { memory: 256 << 20 }],
    ["applies the restart policy", () => ({ restart: "always" }), { restart: "always" }],
    [
      "stores a healthcheck without applying it",
      () => ({ healthcheck: { ...(base["healthcheck"] as Bag), interval: "7s" } }),
      {},
    ],
    ["stores a tmpfs without applying it", () => ({ tmpfs: { "/run": "rw,size=3m" } }), {}],
    ["stores init without applying it", () => ({ init: true }), {}],
  ];
  for (const [title, set, applied] of expectations) {
    test(title, async () => {
      const news = (await plugin.check(CONTAINER, "u1", { ...base, ...set() }, inputs)).inputs;
      const updated = await plugin.update(CONTAINER, "u1", { ...made, inputs }, news);
      for (const key of Object.keys(set())) assertState(updated.state[key] ?? null, bare(news[key] ?? null));
      assert.deepEqual(await daemon(), { ...unchanged, ...applied });
      const back = (await plugin.check(CONTAINER, "u1", { ...base, memorySwap: 256 }, news)).inputs;
      await plugin.update(CONTAINER, "u1", { ...updated, inputs: news }, back);
    });
  }

  test("a deletion waits as long as destroyGraceSeconds for a process that ignores the signal", async () => {
    const start = Date.now();
    await plugin.remove(CONTAINER, "u1", made);
    const seconds = (Date.now() - start) / 1000;
    assert.ok(seconds >= 2 && seconds < 10, `took ${seconds} s with destroyGraceSeconds 2`);
  });
});

describe("drift", () => {
  test("a container that was stopped is started by the next update; one that was removed is dropped", async () => {
    const program = { name: `${bed.run}-d1`, image: bed.baseImageId, command: ["sleep", "1000"], mustRun: true };
    const { inputs } = await plugin.check(CONTAINER, "d1", program);
    const made = await plugin.create(CONTAINER, "d1", inputs);
    await bed.docker.getContainer(made.id).stop({ t: 0 });
    const stopped = await plugin.read(CONTAINER, "d1", made.id, { state: made.state, inputs });
    assert.equal(stopped?.state["mustRun"], false);
    assertDifference(await plugin.diff(CONTAINER, "d1", stopped, inputs), {
      detailed: { mustRun: "UPDATE" },
      replaces: [],
      deleteBeforeReplace: false,
    });
    await plugin.update(CONTAINER, "d1", stopped, inputs);
    assert.equal(await status(`${bed.run}-d1`), "running");
    await bed.docker.getContainer(made.id).remove({ force: true });
    assert.equal(await plugin.read(CONTAINER, "d1", made.id, { state: made.state, inputs }), undefined);
  });
});
