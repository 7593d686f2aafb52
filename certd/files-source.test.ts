import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { FilesSource } from "./files-source.ts";
import { Journal } from "./journal.ts";
import type { Reading } from "./source.ts";
import { TestPki } from "./test-pki.ts";

const pki = new TestPki();
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true });
const [first, second] = [0, 1].map(() => pki.issue({ subject: "/", names: ["mail.test"], by: issuer }));
assert.ok(first !== undefined && second !== undefined);
after(() => pki.remove());

let folder = "";
let now = 0;
let log: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "certd-files-"));
  now = Date.now();
  log = [];
  write("fullchain.pem", first.pem);
  write("privkey.pem", first.key, 0o600);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
function write(name: string, text: string, mode = 0o644): void {
  writeFileSync(at(`.${name}`), text);
  chmodSync(at(`.${name}`), mode);
  renameSync(at(`.${name}`), at(name));
}

function source(kind: "custom" | "internal" = "custom"): FilesSource {
  const journal = new Journal(
    (line) => log.push(line),
    () => now,
  );
  return new FilesSource(
    { kind, fullchain: at("fullchain.pem"), privkey: at("privkey.pem"), hostFolder: "/etc/vectis/certs" },
    {
      journal,
      clock: () => now,
      candidate: () => ({ kind: "none" }),
      published: () => undefined,
      generations: () => [],
      https: {
        served: () => undefined,
        waits: () => false,
        epoch: () => 0,
        setEpoch: () => undefined,
        hurry: () => undefined,
      },
      taken: () => undefined,
      wake: () => undefined,
    },
  );
}

const settle = (files: FilesSource): Reading => {
  files.read();
  now += 3000;
  return files.read();
};
const said = (files: FilesSource): string => {
  const reading = settle(files);
  assert.equal(reading.kind, "unreadable");
  return reading.findings.map((finding) => files.explain(finding)).join(" ");
};

describe("FilesSource", () => {
  it("offers a pair at once, and the same one while nothing changes", () => {
    const files = source();
    const reading = files.read();
    assert.deepEqual(reading, { kind: "pair", pair: { fullchain: first.pem, privkey: first.key } });
    now += 60_000;
    const again = files.read();
    assert.ok(reading.kind === "pair" && again.kind === "pair" && again.pair === reading.pair);
  });

  it("waits for the second file of a replacement, and offers the new pair as soon as it is there", () => {
    const files = source();
    files.read();
    write("fullchain.pem", second.pem);
    assert.equal(files.read().kind, "busy");
    now += 1000;
    write("privkey.pem", second.key, 0o600);
    assert.deepEqual(files.read(), { kind: "pair", pair: { fullchain: second.pem, privkey: second.key } });
  });

  it("lets a pair that stays mismatched be judged, and a file that stays cut off", () => {
    const files = source();
    files.read();
    write("privkey.pem", second.key, 0o600);
    assert.equal(files.read().kind, "busy");
    now += 2500;
    assert.deepEqual(files.read(), { kind: "pair", pair: { fullchain: first.pem, privkey: second.key } });
    write("fullchain.pem", first.pem.slice(0, 200));
    assert.equal(files.read().kind, "busy");
    now += 2500;
    assert.equal(files.read().kind, "pair");
  });

  it("names the file and what to do for every finding", () => {
    const finding = { code: "key-mismatch", message: "The private key does not belong to CN=x." } as const;
    assert.equal(
      source().explain(finding),
      "The private key does not belong to CN=x. Put the key there that the certificate was ordered with. (/etc/vectis/certs/privkey.pem)",
    );
  });

  it("tells apart why a file cannot be read", () => {
    rmSync(at("privkey.pem"));
    assert.equal(said(source()), "The private key /etc/vectis/certs/privkey.pem does not exist; put it there as PEM.");
    symlinkSync("../../archive/privkey1.pem", at("privkey.pem"));
    assert.match(said(source()), /is a link to \.\.\/\.\.\/archive\/privkey1\.pem, which leads out of the folder/);
    rmSync(at("privkey.pem"));
    mkdirSync(at("privkey.pem"));
    assert.match(said(source()), /privkey\.pem is no file; .*vectis:tls\.keyPath/);
    rmSync(at("fullchain.pem"));
    const both = said(source());
    assert.match(both, /The certificate chain \/etc\/vectis\/certs\/fullchain\.pem does not exist/);
    assert.match(both, /The private key/);
    write("fullchain.pem", "x".repeat(2 << 20));
    assert.match(said(source()), /larger than 1 MiB/);
  });

  it("warns of a key that everybody may read, once, and offers it all the same", () => {
    chmodSync(at("privkey.pem"), 0o644);
    const files = source();
    assert.equal(settle(files).kind, "pair");
    assert.equal(log.length, 1);
    assert.match(log.join(), /privkey\.pem may be read by everybody on the host \(mode 0644\); run chmod 0600/);
    chmodSync(at("privkey.pem"), 0o600);
    files.read();
    chmodSync(at("privkey.pem"), 0o644);
    files.read();
    assert.equal(log.length, 2);
  });
});
