// Folders in which `vectis backup` and `vectis restore` keep what they work on: keys in clear. One that was killed leaves its
// folder behind, and the next one removes it.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { hasEnded } from "./processes.ts";

/** Begins with the command and the number of the process. */
const draft = /^\.vectis-(?:backup|restore)-(\d+)-/;

/** Makes a folder that nobody else may read, and removes what ended processes have left beside it. */
export function draftFolder(beside: string, command: "backup" | "restore"): string {
  removeLeftovers(beside);
  return mkdtempSync(join(beside, `.vectis-${command}-${process.pid}-`));
}

function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = draft.exec(name)?.[1];
    if (pid !== undefined && hasEnded(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
