import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { ApiResult } from "./cloudflare.ts";
import type { CleanUp } from "./dns-challenge.ts";
import { DnsKeeper } from "./dns-keeper.ts";
import { Journal } from "./journal.ts";

const START = Date.parse("2026-11-24T10:00:00Z");
const STILL = "The published certificate stays.";

let now: number;
let log: string[];
let journal: Journal;
let answer: ApiResult<unknown>;
let outcome: CleanUp;
let leftovers: boolean;
let mark: string;
let busy: boolean;
let keeper: DnsKeeper;

beforeEach(() => {
  now = START;
  log = [];
  journal = new Journal(
    (line) => log.push(line),
    () => now,
  );
  answer = { kind: "ok", result: undefined };
  outcome = { removed: [], failure: undefined };
  leftovers = false;
  mark = "1";
  busy = false;
  keeper = new DnsKeeper(
    {
      get leftovers() {
        return leftovers;
      },
      ready: () => Promise.resolve(answer),
      tokenMark: () => mark,
      cleanUp: () => Promise.resolve(outcome),
    },
    { journal, clock: () => now, whileIdle: (action) => (busy ? Promise.resolve(undefined) : action()) },
  );
});

describe("DnsKeeper.admits", () => {
  it("lets an order pass without a word while the API takes the token", async () => {
    assert.equal(await keeper.admits(STILL), true);
    assert.equal(keeper.orderAt, 0);
    assert.deepEqual(log, []);
  });

  it("keeps orders back for longer and longer while the token is refused, until there is another one", async () => {
    answer = { kind: "refused", cause: "Cloudflare answers 403" };
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      assert.equal(await keeper.admits(STILL), false);
      waits.push((keeper.orderAt - now) / 1000);
      now = keeper.orderAt;
    }
    assert.deepEqual(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert.match(
      log[0] ?? "",
      /Cloudflare answers 403\. The published certificate stays\. Asked again in 30 s\. What to do: give/,
    );
    assert.match(log[0] ?? "", /vectis:challengeToken/);
    assert.match(journal.failure?.cause ?? "", /403/);
    mark = "2";
    assert.equal(keeper.orderAt, 0);
  });

  it("waits as long as the API asks for, and at least its own time", async () => {
    answer = { kind: "unavailable", cause: "Cloudflare answers 429", retryAfter: 90_000 };
    assert.equal(await keeper.admits(STILL), false);
    assert.equal(keeper.orderAt, START + 90_000);
    assert.match(log[0] ?? "", /429\. The published certificate stays\. Asked again in 90 s\./);
    answer = { kind: "unavailable", cause: "Cloudflare answers 503", retryAfter: 0 };
    assert.equal(await keeper.admits(STILL), false);
    assert.equal(keeper.orderAt, START + 10_000);
  });
});

describe("DnsKeeper.tidy", () => {
  it("has nothing to do where no record was made", () => {
    assert.equal(keeper.tidy(), undefined);
  });

  it("tells what it removed, and nothing where the order did it itself", async () => {
    leftovers = true;
    await keeper.tidy();
    assert.deepEqual(log, []);
    outcome = { removed: ["_acme-challenge.a.test", "_acme-challenge.a.test"], failure: undefined };
    await keeper.tidy();
    assert.deepEqual(log, ["TXT records that an order had left behind are removed: _acme-challenge.a.test."]);
  });

  it("comes back soon while somebody orders", async () => {
    leftovers = true;
    busy = true;
    outcome = { removed: ["_acme-challenge.a.test"], failure: undefined };
    await keeper.tidy();
    assert.equal(keeper.tidy(), undefined);
    busy = false;
    now += 1000;
    await keeper.tidy();
    assert.equal(log.length, 1);
  });

  it("comes back later where the API fails, at once with another token", async () => {
    leftovers = true;
    outcome = { removed: [], failure: { kind: "refused", cause: "Cloudflare answers 403" } };
    await keeper.tidy();
    assert.match(log[0] ?? "", /may still be there: Cloudflare answers 403\. .* again in 30 s\.$/);
    assert.equal(keeper.tidy(), undefined);
    mark = "2";
    assert.notEqual(keeper.tidy(), undefined);
  });
});
