// What an update costs that changes nothing, against a program without resources in the same run.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestProject } from "../test/support/pulumi.ts";
import { summarise, timed, type Summary } from "./statistics.ts";

/** Milliseconds. */
export interface Updates {
  readonly up: { readonly stack: Summary; readonly empty: Summary };
  readonly preview: { readonly stack: Summary; readonly empty: Summary };
}

/** Runs `work` with a deployed program that has no resources. */
export async function withEmptyProgram<T>(work: (empty: TestProject) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "vectis-empty-"));
  try {
    const source = join(folder, "source");
    mkdirSync(source);
    writeFileSync(
      join(source, "Pulumi.yaml"),
      "name: empty\nruntime: { name: nodejs, options: { typescript: false } }\n",
    );
    writeFileSync(join(source, "package.json"), JSON.stringify({ name: "empty", type: "module", main: "index.js" }));
    writeFileSync(join(source, "index.js"), "export {};\n");
    const empty = new TestProject(source, join(folder, "empty"), { config: {} });
    await empty.init();
    await empty.up();
    return await work(empty);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * `up --skip-preview` and `preview` of both in turns, so that a busy moment meets both.
 * @param options of the stack's commands
 */
export async function inTurns(
  projects: { readonly stack: TestProject; readonly empty: TestProject },
  runs: number,
  progress: (run: number) => void,
  options: readonly string[] = [],
): Promise<Updates> {
  const times = { up: { stack: [], empty: [] }, preview: { stack: [], empty: [] } } as Record<
    "up" | "preview",
    Record<"stack" | "empty", number[]>
  >;
  for (let run = 1; run <= runs; run++) {
    progress(run);
    for (const which of ["stack", "empty"] as const) {
      const args = ["--expect-no-changes", ...(which === "stack" ? options : [])];
      times.up[which].push(await timed(() => projects[which].up(...args)));
      times.preview[which].push(await timed(() => projects[which].pulumi("preview", ...args)));
    }
  }
  const of = (command: "up" | "preview") => ({
    stack: summarise(times[command].stack),
    empty: summarise(times[command].empty),
  });
  return { up: of("up"), preview: of("preview") };
}
