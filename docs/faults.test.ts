// docs/faults.md lists every fault of the suite, and nothing else.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { faultGroups } from "../test/faults/groups.ts";
import { faultDocument, faultRows } from "../test/faults/fault-table.ts";

const document = readFileSync("docs/faults.md", "utf8");

test("every fault is listed with what came of it", () => {
  const rows = faultRows(document);
  const missing = faultGroups.flatMap(({ faults }) => faults.filter(({ title }) => !rows.has(title)));
  assert.deepEqual(
    missing.map(({ title }) => title),
    [],
  );
});

test("the document is the one that the suite writes", () => {
  assert.equal(document, faultDocument(faultGroups, faultRows(document)));
});

test("no two faults have the same title", () => {
  const titles = faultGroups.flatMap(({ faults }) => faults.map(({ title }) => title));
  assert.equal(new Set(titles).size, titles.length);
});
