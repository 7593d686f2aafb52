// Runs promtool in this folder: the one that `tools/bootstrap checks` put there, else the one on the PATH.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const folder = import.meta.dirname;
const own = join(folder, "..", ".vectis", "bin", "promtool");

/** `promtool ARGS`; throws with its output if it finds something. */
export function promtool(...args: readonly string[]): string {
  return execFileSync(existsSync(own) ? own : "promtool", args, { cwd: folder, encoding: "utf8", stdio: "pipe" });
}
