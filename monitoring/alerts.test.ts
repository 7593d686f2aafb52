import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { health } from "../certd/health.ts";
import { metrics } from "../certd/metrics.ts";
import { good, NOW } from "../certd/test-status.ts";
import { promtool } from "./promtool.ts";

const folder = import.meta.dirname;
test("the alert rules speak of metrics that exist", () => {
  const rules = readFileSync(join(folder, "alerts.yml"), "utf8");
  const exported = new Set(metrics(health(good, NOW)).match(/^vectis_\w+/gm));
  const used = new Set(rules.match(/\bvectis_\w+/g));
  assert.ok(used.size >= 7);
  for (const name of used) assert.ok(exported.has(name), name);
});

test("each fault raises the alert that it should and no other (B14)", async () => {
  await promtool("check", "rules", "alerts.yml");
  await promtool("test", "rules", "alerts.test.yml");
});
