// What every benchmark takes and gives, and how summaries become rows.
import { table } from "../cli/table.ts";
import type { Summary } from "./statistics.ts";

export interface Options {
  /** How often what takes its median of several runs is run. */
  readonly runs: number;
  /** Rotations under load. */
  readonly rotations: number;
  /** Numbers of domains to compare. */
  readonly domains: readonly number[];
}

export type Progress = (line: string) => void;

export interface Result {
  /** For the JSON. */
  readonly data: object;
  /** For people: tables and sentences. */
  readonly text: readonly string[];
}

/** Measures on stacks of its own, and removes them. */
export type Benchmark = (options: Options, progress: Progress) => Promise<Result>;

/** A table of times; the values are milliseconds, the columns seconds. */
export function secondsTable(rows: readonly (readonly [what: string, times: Summary])[]): string {
  return table(
    ["Seconds", "Median", "Min", "Max", "Runs"],
    rows.map(([what, { median, min, max, runs }]) => [what, ...[median, min, max].map(inSeconds), String(runs)]),
    ["Median", "Min", "Max", "Runs"],
  );
}

export const inSeconds = (milliseconds: number): string => (milliseconds / 1000).toFixed(2);
