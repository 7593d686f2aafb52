// Small durable file operations: what is visible is complete, what returned is on the disk.
import { closeSync, fchownSync, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, basename } from "node:path";

/** Flushes a file or directory to the disk. */
export function fsyncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Writes a new file with exactly this mode, whatever the umask allows beyond it, and flushes it. */
export function writeDurably(path: string, text: string, mode: number): void {
  const descriptor = openSync(path, "w", mode);
  try {
    // Not writeSync: on a full disk it writes less than it was given and says so only to who compares.
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Replaces a file by temp-and-rename. The temporary name starts with a dot and never ends like the target.
 * @param group numeric id of the group that the file is to belong to; without privileges it must be one of our own
 */
export function replaceFile(path: string, text: string, mode: number, durable: boolean, group?: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  const descriptor = openSync(temporary, "w", mode);
  try {
    if (group !== undefined) fchownSync(descriptor, process.geteuid?.() ?? 0, group);
    writeFileSync(descriptor, text);
    if (durable) fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
  if (durable) fsyncPath(dirname(path));
}
