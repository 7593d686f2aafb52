import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { nextEpoch, TraefikFolder, renderMarker } from "./traefik.ts";

let path = "";
beforeEach(() => (path = mkdtempSync(join(tmpdir(), "certd-traefik-"))));
afterEach(() => rmSync(path, { recursive: true, force: true }));

describe("TraefikFolder", () => {
  it("changes the marker with every nudge, across restarts too, and touches no other file", () => {
    writeFileSync(join(path, "vectis.yml"), "http: {}\n");
    assert.equal(new TraefikFolder(path).nudge(), 1);
    assert.equal(new TraefikFolder(path).nudge(), 2);
    assert.equal(readFileSync(join(path, "certd.yml"), "utf8"), renderMarker(2));
    assert.equal(statSync(join(path, "certd.yml")).mode & 0o777, 0o644);
    assert.equal(readFileSync(join(path, "vectis.yml"), "utf8"), "http: {}\n");
    assert.deepEqual(readdirSync(path).sort(), ["certd.yml", "vectis.yml"]);
  });

  it("names a next epoch that is greater than any before, also when those are forgotten", () => {
    const first = nextEpoch(0, Date.UTC(2026, 10, 24));
    assert.equal(nextEpoch(first, Date.UTC(2026, 10, 24)), first + 1);
    assert.ok(nextEpoch(0, Date.UTC(2026, 10, 25)) > first + 1);
  });

  it("keeps the epoch as a plain number and does not rewrite an equal one", () => {
    const folder = new TraefikFolder(path);
    assert.equal(folder.epoch(), 0);
    folder.setEpoch(3);
    const before = statSync(join(path, "ca-epoch")).ino;
    folder.setEpoch(3);
    assert.equal(statSync(join(path, "ca-epoch")).ino, before);
    assert.equal(folder.epoch(), 3);
    assert.equal(readFileSync(join(path, "ca-epoch"), "utf8"), "3\n");
  });
});
