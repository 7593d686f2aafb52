import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProbeResult } from "./probe.ts";
import type { LeafFacts } from "./validate.ts";
import { PortWatch } from "./watch.ts";

const leaf = (sha256: string): ProbeResult => ({ leaf: { sha256 } as LeafFacts });

/** A watch over two ports whose answers and clock the test sets. */
function setUp(): {
  answers: Record<number, ProbeResult>;
  log: string[];
  probes: number[];
  watch: PortWatch;
  publish: (sha256: string) => void;
  pass: (milliseconds: number) => Promise<void>;
} {
  let now = 1_000_000;
  let published = "";
  const log: string[] = [];
  const probes: number[] = [];
  const answers: Record<number, ProbeResult> = { 25: { error: "refused" }, 993: { error: "refused" } };
  const targets = [25, 993].map((port) => ({ host: "mail", port, mode: "implicit" as const }));
  const watch = new PortWatch(
    targets,
    ({ sha256 }) => sha256 === published,
    (target) => {
      probes.push(target.port);
      return Promise.resolve(answers[target.port] ?? { error: "?" });
    },
    () => now,
    {
      differs: (port) => log.push(`${port.target.port} differs`),
      repaired: (port, after) => log.push(`${port.target.port} repaired after ${after}`),
      allServed: (ports) => log.push(`served: ${ports.map((port) => port.servedAfter).join()}`),
    },
  );
  return {
    answers,
    log,
    probes,
    watch,
    publish: (sha256) => {
      published = sha256;
      watch.expect(sha256);
    },
    pass: async (milliseconds) => {
      for (let passed = 0; passed < milliseconds; passed += 50) {
        now += 50;
        watch.tick();
        await Promise.resolve();
        await Promise.resolve();
      }
    },
  };
}

describe("PortWatch", () => {
  it("tells once when every port serves a publication, with the time each took", async () => {
    const { answers, log, pass, publish, watch } = setUp();
    publish("a");
    await pass(500);
    answers[25] = leaf("a");
    await pass(500);
    assert.deepEqual(log, []);
    assert.equal(watch.allAgree, false);
    answers[993] = leaf("a");
    await pass(5000);
    assert.equal(log.length, 1);
    assert.match(log[0] ?? "", /^served: (5|6|7)\d\d?,1[0-2]\d\d$/);
    assert.equal(watch.allAgree, true);
  });

  it("tells a difference once, and its end once", async () => {
    const { answers, log, pass, publish } = setUp();
    publish("a");
    answers[25] = answers[993] = leaf("a");
    await pass(1000);
    log.length = 0;
    answers[993] = leaf("old");
    await pass(60_000);
    assert.deepEqual(log, ["993 differs"]);
    answers[993] = leaf("a");
    await pass(30_000);
    assert.equal(log.length, 2);
    assert.match(log[1] ?? "", /^993 repaired after \d+$/);
  });

  it("says nothing about a switch that takes its normal time", async () => {
    const { answers, log, pass, publish } = setUp();
    publish("a");
    answers[25] = answers[993] = leaf("a");
    await pass(20_000);
    publish("b");
    await pass(2000);
    answers[25] = answers[993] = leaf("b");
    await pass(1000);
    assert.equal(log.length, 2);
    assert.match(log[1] ?? "", /^served: 2\d\d\d,2\d\d\d$/);
  });

  it("probes several times a second after a publication and every thirty seconds when all is well", async () => {
    const { answers, pass, probes, publish } = setUp();
    publish("a");
    await pass(1000);
    assert.ok(probes.length >= 6 && probes.length <= 10, `${probes.length} probes`);
    answers[25] = answers[993] = leaf("a");
    await pass(1000);
    probes.length = 0;
    await pass(60_000);
    assert.ok(probes.length >= 3 && probes.length <= 5, `${probes.length} probes`);
  });
});
