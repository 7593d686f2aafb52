// Which image each service runs, what it is built from, and the content hash that names it.
// A name that follows the content makes a changed image visible in a preview and never leaves a stale one running.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageSpec } from "../components/container.ts";

/** Base images by digest. Known digests only; the local stack overrides them with images made on the machine. */
export const officialImages = {
  debian: "debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132",
  traefik: "traefik:v3.7.14@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c",
} as const;

/** Build context of every image: their Dockerfiles share `common/`. Relative to the project's folder. */
const context = "images";

export type ServiceName = "acme" | "dovecot" | "postfix" | "traefik";

/** All files below a folder, sorted, so that the hash does not depend on the file system. */
function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function contentHash(folders: readonly string[], base: string): string {
  const hash = createHash("sha256").update(base);
  for (const file of folders.flatMap((folder) => files(join(context, folder)))) {
    const content = readFileSync(file);
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 12);
}

function spec(
  service: ServiceName,
  folders: readonly string[],
  argument: "DEBIAN" | "TRAEFIK",
  base: string,
): ImageSpec {
  return {
    tag: `vectis/${service}:${contentHash(folders, base)}`,
    context,
    dockerfile: `${service}/Dockerfile`,
    buildArgs: { [argument]: base },
  };
}

/** The image of each service, from the base images of the configuration or, by default, the official ones. */
export function imageSpecs(bases: {
  readonly debian?: string | undefined;
  readonly traefik?: string | undefined;
}): Record<ServiceName, ImageSpec> {
  const debian = bases.debian ?? officialImages.debian;
  return {
    acme: spec("acme", ["acme"], "DEBIAN", debian),
    dovecot: spec("dovecot", ["dovecot", "common"], "DEBIAN", debian),
    postfix: spec("postfix", ["postfix", "common"], "DEBIAN", debian),
    traefik: spec("traefik", ["traefik", "common"], "TRAEFIK", bases.traefik ?? officialImages.traefik),
  };
}
