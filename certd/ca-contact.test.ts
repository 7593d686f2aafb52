import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { DirectoryAnswer } from "./ca.ts";
import { CaContact } from "./ca-contact.ts";
import { Journal } from "./journal.ts";

const START = Date.parse("2026-11-24T10:00:00Z");
const DIRECTORY = { renewalInfo: "https://ca.test/ari" };
const SILENT: DirectoryAnswer = { kind: "silent", cause: "connect ECONNREFUSED", retryAfter: undefined };

let now: number;
let log: string[];
let journal: Journal;
let answer: DirectoryAnswer;
let httpsWaits: boolean;
let hurried: number;
let contact: CaContact;

/** @param offset milliseconds by which the CA's clock is ahead */
const answers = (offset = 0): DirectoryAnswer => ({ kind: "answers", directory: DIRECTORY, time: now + offset });

function meet(isPublic: boolean): void {
  contact = new CaContact(
    { directory: () => Promise.resolve(answer) },
    isPublic,
    {
      journal,
      clock: () => now,
      https: {
        waits: () => httpsWaits,
        served: () => undefined,
        epoch: () => 0,
        setEpoch: () => assert.fail("not its business"),
        hurry: () => (hurried += 1),
      },
    },
    {
      diagnose: (text) => ({ code: "ca-unreachable", cause: `the CA does not answer (${text})`, advice: "wait" }),
      stillWorks: () => "All is served.",
    },
  );
}

/** Seconds until the next look is due. */
function untilDue(): number {
  const begin = now;
  try {
    while (!contact.due) now += 1000;
    return (now - begin) / 1000;
  } finally {
    now = begin;
  }
}

beforeEach(() => {
  now = START;
  log = [];
  journal = new Journal(
    (line) => log.push(line),
    () => now,
  );
  answer = answers();
  httpsWaits = false;
  hurried = 0;
  meet(true);
});

describe("CaContact.look", () => {
  it("is due at the start, then after six hours at a public CA and after 20 s at one's own", async () => {
    assert.equal(contact.due, true);
    assert.equal(contact.answers, undefined);
    assert.equal(await contact.look(), DIRECTORY);
    assert.equal(contact.answers, true);
    assert.equal(untilDue(), 6 * 3600);
    meet(false);
    await contact.look();
    assert.equal(untilDue(), 20);
    assert.deepEqual(log, []);
  });

  it("looks again soon while one's own CA is silent or HTTPS waits for it, whatever it says of a certificate", async () => {
    meet(false);
    httpsWaits = true;
    await contact.look();
    contact.told(false, 3_600_000);
    assert.equal(untilDue(), 5);
    httpsWaits = false;
    answer = SILENT;
    assert.equal(await contact.look(), undefined);
    assert.equal(untilDue(), 5);
    answer = answers();
    await contact.look();
    contact.told(true, 3_600_000);
    assert.equal(untilDue(), 3600);
  });

  it("tells a silence once, and its end, at which nobody waits any longer", async () => {
    answer = SILENT;
    await contact.look();
    await contact.lookForOrder();
    assert.deepEqual(journal.failing, ["ca"]);
    assert.ok(contact.orderAt > now);
    answer = answers();
    await contact.look();
    assert.deepEqual(log, [
      "The CA does not answer (connect ECONNREFUSED). All is served. It is tried again until it answers. What to do: wait.",
      "The CA answers again.",
    ]);
    assert.deepEqual([journal.failing, contact.orderAt, hurried], [[], 0, 1]);
  });

  it("gives the moment of the last look by the CA's clock", async () => {
    assert.deepEqual(contact.status("d"), { directory: "d", answers: null, checkedAt: null });
    answer = answers(3_600_000);
    await contact.look();
    assert.deepEqual(contact.status("d"), { directory: "d", answers: true, checkedAt: "2026-11-24T11:00:00.000Z" });
    assert.deepEqual(journal.failing, ["clock"]);
  });

  it("is due a minute after a public CA has issued", async () => {
    await contact.look();
    contact.issued();
    assert.equal(untilDue(), 60);
  });
});

describe("CaContact.lookForOrder", () => {
  it("puts the order off for longer and longer, and from the beginning once it was there", async () => {
    answer = SILENT;
    const wait = async (): Promise<number> => {
      assert.equal(await contact.lookForOrder(), false);
      return (contact.orderAt - now) / 1000;
    };
    assert.deepEqual([await wait(), await wait(), await wait()], [60, 120, 240]);
    answer = answers();
    assert.equal(await contact.lookForOrder(), true);
    answer = SILENT;
    assert.equal(await wait(), 60);
  });

  it("leaves a CA alone for as long as it wants", async () => {
    answer = { kind: "silent", cause: "503", retryAfter: 3_600_000 };
    assert.equal(await contact.lookForOrder(), false);
    assert.equal(contact.orderAt - now, 3_600_000);
  });

  it("waits no longer when the clock was set", async () => {
    answer = SILENT;
    await contact.look();
    await contact.lookForOrder();
    contact.clockWasSet();
    assert.deepEqual([contact.orderAt, contact.due], [0, true]);
  });
});
