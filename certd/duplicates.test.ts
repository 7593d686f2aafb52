// How certd counts against Let's Encrypt's limit: what it stored, what HTTPS serves, across restarts.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Duplicates } from "./duplicates.ts";
import type { Generation } from "./generations.ts";
import { Journal } from "./journal.ts";
import type { AcmeSource } from "./settings.ts";
import { StateFile } from "./state.ts";
import type { LeafFacts } from "./validate.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 10, 24, 12);
const production = { directory: "https://acme-v02.api.letsencrypt.org/directory" };
const folder = mkdtempSync(join(tmpdir(), "duplicates-"));
after(() => rmSync(folder, { recursive: true }));

const leaf = (sha256: string, change: Partial<LeafFacts> = {}): LeafFacts => ({
  sha256,
  serial: sha256,
  authorityKeyId: "",
  subject: "",
  issuer: "C=US, O=Let's Encrypt, CN=YE1",
  names: ["mail.test"],
  notBefore: NOW - HOUR,
  notAfter: NOW + 2000 * HOUR,
  keyType: "ec-256",
  publicKeySha256: "",
  selfSigned: false,
  ...change,
});
const keyChange = { why: "the key type changed", leaves: "all", asked: false, urgent: false } as const;

let count = 0;
/** A certd of its own volume, with what its 443 serves. */
function host(served: () => LeafFacts | undefined, source: Pick<AcmeSource, "directory" | "rsaKeyType"> = production) {
  const file = join(folder, String(count++));
  const log: string[] = [];
  const start = (...generations: LeafFacts[]): Duplicates => {
    const https = { waits: () => false, served, epoch: () => 0, setEpoch: () => undefined, hurry: () => undefined };
    const clock = (): number => NOW;
    const kept = generations.map(
      (one) => ({ meta: { source: "acme", ...source }, leaf: one }) as unknown as Generation,
    );
    const around = { clock, generations: () => kept, https, journal: new Journal((line) => log.push(line), clock) };
    return new Duplicates(source, ["mail.test"], around, new StateFile(file));
  };
  return { start, log };
}

describe("duplicate certificates", () => {
  it("counts its own and those of HTTPS for the same names, each once, and remembers them", () => {
    let served = leaf("https 1");
    const { start } = host(() => served);
    const before = start();
    before.observe([leaf("mail 1")]);
    before.observe([leaf("mail 1")]);
    served = leaf("https 2");
    before.observe([leaf("mail 2")]);
    assert.equal(before.status(undefined)?.remaining, 1);
    assert.equal(start().status(undefined)?.remaining, 1);
  });

  it("counts what the generations in the volume tell of before, and no certificate for other names", () => {
    const { start } = host(() => leaf("https", { names: ["mail.test", "imap.test"] }));
    const one = start(leaf("a"), leaf("b"));
    one.observe([]);
    assert.equal(one.status(undefined)?.remaining, 3);
  });

  it("holds back what can wait once two are left, says until when, and lets the rest pass", () => {
    const { start, log } = host(() => undefined);
    const one = start(leaf("a"), leaf("b"));
    assert.equal(one.held(keyChange), 0);
    one.observe([leaf("c")]);
    one.tell(keyChange, "The published certificate stays.");
    assert.equal(one.held(keyChange), NOW + 33.6 * HOUR);
    assert.equal(one.status(keyChange)?.heldUntil, "2026-11-25T21:36:00.000Z");
    assert.match(
      log.join(),
      /\(the key type changed\) and held back until 2026-11-25 21:36 UTC: .* leaves 2 of 5 .*--yes/,
    );
    assert.equal(one.held({ ...keyChange, urgent: true }), 0);
    assert.equal(one.held({ ...keyChange, asked: true }), 0);
  });

  it("counts the RSA certificate beside each, and holds an order for both back earlier than one for it alone", () => {
    const { start } = host(() => undefined, { ...production, rsaKeyType: "rsa-2048" });
    const one = start();
    one.observe([leaf("a"), leaf("r")]);
    assert.equal(one.status(undefined)?.remaining, 3);
    assert.equal(one.held({ ...keyChange, leaves: "rsa" }), 0);
    assert.equal(one.held(keyChange), NOW + 33.6 * HOUR);
  });

  it("holds back nothing at another directory", () => {
    const { start } = host(() => undefined, { directory: "https://acme-staging-v02.api.letsencrypt.org/directory" });
    const one = start(leaf("a"), leaf("b"), leaf("c"), leaf("d"), leaf("e"));
    assert.equal(one.held(keyChange), 0);
    assert.equal(one.status(keyChange), null);
  });
});
