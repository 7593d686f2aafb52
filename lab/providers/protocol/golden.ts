// Recordings of official plugins as test cases: how they are stored, and how an answer is compared with one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Difference } from "./client.ts";
import { isBag, isEmpty, type Plain } from "./value.ts";

/** One line per case, followed by a line for each change of its inputs; the first line says what was recorded. */
export function load<Case extends object, Change extends object>(file: URL): (Case & { changes: Change[] })[] {
  const cases: (Case & { changes: Change[] })[] = [];
  for (const line of readFileSync(file, "utf8").trim().split("\n").slice(1)) {
    const entry = JSON.parse(line) as Case | Change;
    if ("change" in entry) cases.at(-1)?.changes.push(entry as Change);
    else cases.push({ ...(entry as Case), changes: [] });
  }
  return cases;
}

/** Everything recorded must be there and equal; a newer plugin's additional properties must be empty. */
export function assertState(actual: Plain, recorded: Plain, described: (value: Plain) => Plain): void {
  assert.deepEqual(described(strip(actual, recorded)), described(recorded));
}

function strip(actual: Plain, recorded: Plain): Plain {
  if (Array.isArray(actual) && Array.isArray(recorded)) {
    const shape = recorded.find(isBag);
    return actual.map((item) => (shape === undefined ? item : strip(item, shape)));
  }
  if (!isBag(actual) || !isBag(recorded)) return actual;
  const kept = Object.entries(actual).filter(([key, value]) => key in recorded || !isEmpty(value));
  return Object.fromEntries(kept.map(([key, value]) => [key, strip(value, recorded[key] ?? null)]));
}

/** Compares the parts of a difference that were recorded: paths for one kind of plugin, property names for the other. */
export function assertDifference(actual: Difference, recorded: Partial<Difference>): void {
  const kept = Object.entries(actual).filter(([key]) => key in recorded);
  assert.deepEqual(Object.fromEntries(kept), recorded);
  const some = (recorded.diffs?.length ?? Object.keys(recorded.detailed ?? {}).length) > 0;
  assert.equal(actual.changes, some ? "SOME" : "NONE");
}
