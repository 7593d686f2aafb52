// Runs promtool in this folder: the one that `tools/bootstrap checks` put there, else the one on the PATH.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const folder = import.meta.dirname;
const own = join(folder, "..", ".vectis", "bin", "promtool");

const run = promisify(execFile);

/** `promtool ARGS`; rejects with its output, as `stdout` and `stderr`, if it finds something. */
export async function promtool(...args: readonly string[]): Promise<void> {
  await run(existsSync(own) ? own : "promtool", args, { cwd: folder });
}
