// Images of the lab: built from lab/images/, tagged with the hash of what they are built from.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker";

/** 12 hex digits over paths, modes and contents below `folder`: a changed file makes a new tag and so a new container. */
export function contextHash(folder: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  for (const file of files) {
    const path = join(folder, file);
    const { mode } = statSync(path);
    if (!statSync(path).isFile()) continue;
    const content = readFileSync(path);
    hash.update(`${file}\0${mode & 0o100 ? "x" : "-"}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 12);
}

/** Builds `lab/images/<name>`. The image stays when the stack goes: other labs use it, and it costs a download. */
export function labImage(name: string): docker.RemoteImage {
  // Relative to the project, so that the state of a moved checkout shows no change.
  const context = `images/${name}`;
  return new docker.RemoteImage(name, {
    name: `vectis-lab/${name}:${contextHash(join(import.meta.dirname, context))}`,
    build: { context },
    keepLocally: true,
  });
}
