import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  caPollInterval,
  connectionBackoff,
  interruptionBackoff,
  orderBackoff,
  overdueTime,
  probeInterval,
  reminderBackoff,
  renewalInfoInterval,
  renewalPlan,
  renewalTime,
} from "./schedule.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

describe("renewalTime", () => {
  for (const { days, remaining } of [
    { days: 90, remaining: 30 },
    { days: 64, remaining: 64 / 3 },
    { days: 45, remaining: 15 },
    { days: 10, remaining: 10 / 3 },
    { days: 160 / 24, remaining: 80 / 24 },
    { days: 6, remaining: 3 },
    { days: 10 / 1440, remaining: 5 / 1440 },
  ]) {
    it(`renews a ${days.toFixed(2)}-day certificate with ${remaining.toFixed(2)} days left, or a little more`, () => {
      const validity = { notBefore: 0, notAfter: days * DAY };
      for (let host = 0; host < 200; host++) {
        const left = validity.notAfter - renewalTime(validity, `mail${host}.example.com`);
        assert.ok(left >= remaining * DAY - 1 && left <= remaining * DAY + (days / 60) * DAY + 1, `${left / DAY} days`);
      }
    });
  }

  it("spreads hosts over the jitter, and gives one host always the same time", () => {
    const validity = { notBefore: 0, notAfter: 90 * DAY };
    const times = new Set(Array.from({ length: 50 }, (_, host) => renewalTime(validity, `mail${host}`)));
    assert.ok(times.size > 45);
    assert.equal(renewalTime(validity, "a"), renewalTime(validity, "a"));
  });
});

// A CA's window, in days from the certificate's start, and between which days the renewal must then lie.
const windows = [
  { lifetime: 90, when: "around a third remaining", window: [59, 61], between: [59, 61] },
  { lifetime: 64, when: "around a third remaining", window: [41.7, 43.7], between: [41.7, 43.7] },
  { lifetime: 45, when: "around a third remaining", window: [29, 31], between: [29, 31] },
  { lifetime: 6, when: "around half remaining", window: [2.9, 3.1], between: [2.9, 3.1] },
  { lifetime: 90, when: "moved to the past: at once", window: [-3, -2], between: [0.25, 0.25] },
  { lifetime: 6, when: "moved to the past: at once", window: [-3, -2], between: [0.25, 0.25] },
  { lifetime: 64, when: "moved to the 10th day", window: [10, 10.5], between: [10, 10.5] },
  { lifetime: 90, when: "after the end: while there is time", window: [95, 99], between: [75, 75] },
  { lifetime: 45, when: "after the end: while there is time", window: [50, 51], between: [37.5, 37.5] },
  { lifetime: 6, when: "after the end: while there is time", window: [7, 8], between: [4.5, 4.5] },
  // Pebble 2.6.0: a day to either side of the last third, whatever the lifetime.
  { lifetime: 6, when: "two days wide", window: [3, 5], between: [3, 4.5] },
  { lifetime: 0.01, when: "wider than the lifetime", window: [-0.993, 1.007], between: [0.00125, 0.0075] },
] as const;

describe("renewalPlan", () => {
  const days = (day: number): number => day * DAY;
  for (const { lifetime, when, window, between } of windows) {
    it(`renews a ${lifetime}-day certificate between day ${between.join(" and ")} if the window is ${when}`, () => {
      const validity = { notBefore: 0, notAfter: days(lifetime) };
      const [start, end] = window.map(days) as [number, number];
      const [low, high] = between.map(days) as [number, number];
      const times = Array.from({ length: 100 }, (_, host) => {
        const plan = renewalPlan(validity, `mail${host}.example.com`, { start, end });
        assert.equal(plan.basis, "ari");
        assert.ok(plan.at >= low - 1 && plan.at <= high + 1, `day ${plan.at / DAY}`);
        return plan.at;
      });
      // Spread over the whole window, not heaped in a corner of it.
      const spread = Math.max(...times) - Math.min(...times);
      assert.ok(spread >= 0.9 * (high - low), `spread over ${spread / DAY} days`);
    });
  }

  it("falls back to the fraction of the lifetime without a window", () => {
    for (const lifetime of [90, 64, 45, 6]) {
      const validity = { notBefore: 0, notAfter: days(lifetime) };
      assert.deepEqual(renewalPlan(validity, "a"), { at: renewalTime(validity, "a"), basis: "lifetime" });
    }
  });

  it("gives one host always the same moment of a window", () => {
    const [validity, window] = [
      { notBefore: 0, notAfter: days(90) },
      { start: days(59), end: days(61) },
    ];
    assert.deepEqual(renewalPlan(validity, "a", window), renewalPlan(validity, "a", window));
  });

  it("leaves time for a failed order: overdue is half-way from the plan to the end", () => {
    assert.equal(overdueTime(days(90), days(60)), days(75));
    assert.equal(overdueTime(days(6), days(3)), days(4.5));
  });
});

describe("renewalInfoInterval", () => {
  it("is what the CA asks for, but at least a minute and at most half a day", () => {
    const HOUR = 60 * MINUTE;
    assert.equal(renewalInfoInterval(6 * HOUR), 6 * HOUR);
    assert.equal(renewalInfoInterval(0), MINUTE);
    assert.equal(renewalInfoInterval(30 * DAY), 12 * HOUR);
    assert.equal(renewalInfoInterval(undefined), 6 * HOUR);
  });
});

describe("back-off", () => {
  const table = (f: (n: number) => number, from: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => f(from + index));

  it("waits 1, 10, 100 minutes, then a day after failed orders", () => {
    assert.deepEqual(table(orderBackoff, 0, 6), [0, MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY]);
  });

  it("does not reproach a first interruption, and slows a crash loop down", () => {
    assert.deepEqual(table(interruptionBackoff, 0, 7), [0, 0, 5000, 10_000, 30_000, MINUTE, MINUTE]);
  });

  it("tries a private directory again within ten seconds and a public one much more rarely", () => {
    assert.deepEqual(
      table((n) => connectionBackoff(n, false), 1, 6),
      [2000, 3000, 5000, 8000, 10_000, 10_000],
    );
    assert.deepEqual(
      table((n) => connectionBackoff(n, true), 1, 7).map((wait) => wait / MINUTE),
      [1, 2, 4, 8, 16, 30, 30],
    );
  });

  it("reminds HTTPS quickly first and once a day in the end", () => {
    assert.deepEqual(table(reminderBackoff, 0, 7), [10_000, 30_000, MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY]);
  });
});

describe("who is asked how often", () => {
  it("asks a CA of one's own several times a minute, and another one when it wants to be asked", () => {
    const HOUR = 60 * MINUTE;
    assert.equal(caPollInterval(false, false, 6 * HOUR), 20_000);
    assert.equal(caPollInterval(true, false, 4 * HOUR), 4 * HOUR);
    assert.equal(caPollInterval(true, false, undefined), 6 * HOUR);
  });

  it("leaves both alone as long as a refusal asks for it", () => {
    assert.equal(caPollInterval(false, true, 5 * MINUTE), 5 * MINUTE);
    assert.equal(caPollInterval(true, true, 5 * MINUTE), 5 * MINUTE);
    assert.equal(caPollInterval(false, true, undefined), 20_000);
  });

  it("probes hard after a publication, less while a difference lasts, rarely when all is well", () => {
    assert.equal(probeInterval(false, 0), 250);
    assert.equal(probeInterval(false, 60_000), 1000);
    assert.equal(probeInterval(false, 5 * MINUTE), 3000);
    assert.equal(probeInterval(false, DAY), 10_000);
    assert.equal(probeInterval(true, 0), 30_000);
  });
});
