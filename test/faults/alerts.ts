// Which of monitoring/alerts.yml's alerts a stretch of readings raises: promtool evaluates the rules on what Prometheus would
// have scraped. /metrics is made from the health report by the function that is used here.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metrics } from "../../certd/metrics.ts";
import { projectRoot } from "../../cli/stack.ts";
import { promtool } from "../../monitoring/promtool.ts";
import type { Reading } from "./health-watch.ts";

/** Seconds between two scrapes. */
const step = 5;

/**
 * Names of the alerts that fire at some moment of the readings, in alphabetical order.
 * @param readings in the order of time; at least one
 * @param lasts seconds for which the last reading is to last
 */
export async function raisedAlerts(readings: readonly Reading[], lasts: number): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "vectis-alerts-"));
  try {
    const series = scraped(readings);
    const length = series.get("up")?.length ?? 0;
    const more = Math.ceil(lasts / step);
    const test = {
      rule_files: [join(projectRoot, "monitoring", "alerts.yml")],
      evaluation_interval: "15s",
      tests: [
        {
          interval: `${step}s`,
          input_series: [...series].map(([name, values]) => ({
            series: withTarget(name),
            values: `${values.join(" ")} ${values.at(-1) === "stale" ? "_" : values.at(-1)}x${more}`,
          })),
          promql_expr_test: [
            {
              expr: 'group by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1d]))',
              eval_time: `${(length + more) * step}s`,
              exp_samples: [],
            },
          ],
        },
      ],
    };
    const file = join(folder, "test.yml");
    // YAML contains JSON.
    writeFileSync(file, JSON.stringify(test));
    try {
      await promtool("test", "rules", file);
      return [];
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      const names = [...`${stdout}${stderr}`.matchAll(/\{alertname="(\w+)"\}/g)].map(([, name = ""]) => name);
      if (names.length === 0) throw error;
      return [...new Set(names)].sort();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Values of every series, one for each step; times count from the first reading on. */
function scraped(readings: readonly Reading[]): Map<string, (number | "stale" | "_")[]> {
  const start = readings[0]?.at ?? 0;
  const steps = Math.floor(((readings.at(-1)?.at ?? start) - start) / 1000 / step) + 1;
  const texts = Array.from({ length: steps }, (_, index) => {
    const reading =
      index === steps - 1 ? readings.at(-1) : readings.findLast(({ at }) => at <= start + index * step * 1000);
    return reading?.health && metrics(reading.health);
  });
  const samples = texts.map((text) => new Map(text === undefined ? [] : parse(text, start / 1000)));
  const names = new Set(samples.flatMap((sample) => [...sample.keys()]));
  const series = new Map<string, (number | "stale" | "_")[]>();
  series.set(
    "up",
    texts.map((text) => Number(text !== undefined)),
  );
  for (const name of names)
    series.set(
      name,
      samples.map((sample) => sample.get(name) ?? "stale"),
    );
  return series;
}

function parse(text: string, start: number): [name: string, value: number][] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const space = line.lastIndexOf(" ");
      const [name, value] = [line.slice(0, space), Number(line.slice(space + 1))];
      return [name, /^\w+_seconds(\{|$)/.test(name) ? value - start : value];
    });
}

/** Prometheus adds these labels to whatever it scrapes. */
function withTarget(name: string): string {
  const target = 'job="vectis",instance="mx"';
  return name.endsWith("}") ? name.replace("{", `{${target},`) : `${name}{${target}}`;
}
