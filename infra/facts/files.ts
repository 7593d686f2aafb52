// The files of a custom certificate as they are on this machine. Reads; judges nothing.
import { constants } from "node:fs";
import { open } from "node:fs/promises";

export type FileFact =
  | { readonly is: "text"; readonly text: string; /** Permission bits. */ readonly mode: number }
  | { readonly is: "absent" }
  /** The user who runs Pulumi may not read it. */
  | { readonly is: "denied" }
  | { readonly is: "unreadable"; /** The system's error code. */ readonly why: string };

export interface CustomFacts {
  readonly certificate: FileFact;
  readonly key: FileFact;
}

/** Longest file that is read, in bytes; a chain has a few thousand. */
const limit = 1 << 20;

export async function customFacts(certPath: string, keyPath: string): Promise<CustomFacts> {
  const [certificate, key] = await Promise.all([read(certPath), read(keyPath)]);
  return { certificate, key };
}

async function read(path: string): Promise<FileFact> {
  try {
    // Not blocking: opening a named pipe would wait for a writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { mode, size } = await file.stat();
      if (size > limit) return { is: "unreadable", why: "EFBIG" };
      return { is: "text", text: await file.readFile("utf8"), mode: mode & 0o777 };
    } finally {
      await file.close();
    }
  } catch (failure) {
    const code = failure instanceof Error && "code" in failure ? String(failure.code) : String(failure);
    if (code === "ENOENT" || code === "ENOTDIR") return { is: "absent" };
    return code === "EACCES" || code === "EPERM" ? { is: "denied" } : { is: "unreadable", why: code };
  }
}
