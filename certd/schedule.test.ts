import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  caPollInterval,
  connectionBackoff,
  interruptionBackoff,
  isPublicCa,
  orderBackoff,
  probeInterval,
  reminderBackoff,
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
  it("knows Let's Encrypt by its host, staging too, and nothing that only looks like it", () => {
    assert.equal(isPublicCa("https://acme-v02.api.letsencrypt.org/directory"), true);
    assert.equal(isPublicCa("https://acme-staging-v02.api.letsencrypt.org/directory"), true);
    assert.equal(isPublicCa("https://notletsencrypt.org/directory"), false);
    assert.equal(isPublicCa("https://ca.internal:14000/dir"), false);
  });

  it("asks a private CA several times a minute and a public one a few times a day", () => {
    assert.ok(caPollInterval(false) <= 30_000);
    assert.ok(caPollInterval(true) >= 4 * 3_600_000 && caPollInterval(true) <= 12 * 3_600_000);
  });

  it("probes hard after a publication, less while a difference lasts, rarely when all is well", () => {
    assert.equal(probeInterval(false, 0), 250);
    assert.equal(probeInterval(false, 60_000), 1000);
    assert.equal(probeInterval(false, 5 * MINUTE), 3000);
    assert.equal(probeInterval(false, DAY), 10_000);
    assert.equal(probeInterval(true, 0), 30_000);
  });
});
