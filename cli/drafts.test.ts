import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import { draftFolder } from "./drafts.ts";

const beside = mkdtempSync(join(tmpdir(), "vectis-drafts-"));
after(() => rmSync(beside, { recursive: true }));

describe("a folder for keys in clear", () => {
  it("is its owner's alone", () => {
    const folder = draftFolder(beside, "restore");
    assert.match(basename(folder), new RegExp(`^\\.vectis-restore-${process.pid}-\\w{6}$`));
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    rmSync(folder, { recursive: true });
  });

  it("takes the place of what killed processes have left, whichever command it was, and of nothing else", () => {
    const { pid } = spawnSync("true");
    for (const left of [`.vectis-backup-${pid}-a1b2c3`, `.vectis-restore-${pid}-a1b2c3`]) mkdirSync(join(beside, left));
    writeFileSync(join(beside, `.vectis-backup-${pid}-a1b2c3.tgz`), "half of a backup");
    const others = [`.vectis-backup-${process.pid}-d4e5f6`, ".vectis-backup-notes", `vectis-restore-${pid}-a1b2c3`];
    for (const other of others) mkdirSync(join(beside, other));
    const folder = draftFolder(beside, "backup");
    assert.deepEqual(readdirSync(beside).sort(), [...others, basename(folder)].sort());
  });
});
