// The stand-in as the one file that its container runs: Debian's Node.js reads no TypeScript.
import { createRequire } from "node:module";

/** @throws if esbuild reports an error */
export function bundle(): string {
  // Loaded only when needed, as CommonJS: the import would cost every program that looks at the lab.
  const { buildSync } = createRequire(import.meta.url)("esbuild") as typeof import("esbuild");
  const result = buildSync({
    absWorkingDir: import.meta.dirname,
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
  return result.outputFiles[0]?.text ?? "";
}
