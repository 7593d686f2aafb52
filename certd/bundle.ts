// Bundles certd into the one file that the image carries. Called before the build context is hashed: a no-op
// must cost next to nothing, and the same sources always give the same bytes.
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const SOURCES = import.meta.dirname;
const TARGET = join(SOURCES, "..", "images", "acme", "certd.mjs");
const HEAD = "// certd, bundled from sources ";

function sourceHash(): string {
  const hash = createHash("sha256");
  // Its exact versions say what is bundled from elsewhere.
  hash.update(readFileSync(join(SOURCES, "..", "package.json")));
  const files = readdirSync(SOURCES).filter((name) => /\.ts$/.test(name) && !/^test-|\.test\.ts$/.test(name));
  for (const name of files.sort())
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(SOURCES, name)))
      .update("\0");
  return hash.digest("hex");
}

function bundledHash(path: string): string | undefined {
  try {
    const descriptor = openSync(path, "r");
    try {
      const head = Buffer.alloc(HEAD.length + 64);
      readSync(descriptor, head, 0, head.length, 0);
      const text = head.toString("latin1");
      return text.startsWith(HEAD) ? text.slice(HEAD.length) : undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}

/**
 * Writes images/acme/certd.mjs if it is missing or was made from other sources.
 * @throws if esbuild reports an error; the old bundle stays then
 */
export function bundle(): void {
  const hash = sourceHash();
  if (bundledHash(TARGET) === hash) return;
  // Loaded only when needed: it costs more than everything else here.
  const { buildSync } = createRequire(import.meta.url)("esbuild") as typeof import("esbuild");
  const result = buildSync({
    absWorkingDir: SOURCES,
    entryPoints: ["main.ts"],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    charset: "utf8",
    legalComments: "none",
    write: false,
    logLevel: "silent",
  });
  const text = result.outputFiles[0]?.text ?? "";
  const temporary = `${TARGET}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, `${HEAD}${hash}\n${text}`, { mode: 0o644 });
    renameSync(temporary, TARGET);
  } finally {
    rmSync(temporary, { force: true });
  }
}
