import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { contextHash } from "./image.ts";

test("a build context's hash follows content, mode and name of its files, and nothing else", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vectis-context-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "sink");
  writeFileSync(file, "one", { mode: 0o644 });
  const first = contextHash(folder);
  assert.match(first, /^[0-9a-f]{12}$/);
  const seen = new Set([first]);
  const changes = [
    () => writeFileSync(file, "two"),
    () => chmodSync(file, 0o755),
    () => renameSync(file, join(folder, "other")),
  ];
  for (const change of changes) seen.add((change(), contextHash(folder)));
  assert.equal(seen.size, 4);
  writeFileSync(file, "one", { mode: 0o644 });
  rmSync(join(folder, "other"));
  assert.equal(contextHash(folder), first);
});
