// The `vectis` command as an operator types it, at the stack of a site.
import { spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../cli/stack.ts";
import type { Outcome } from "./pulumi.ts";
import type { Site } from "./site.ts";

/** Runs a line of shell in the site's project, with `vectis` on the PATH and the lab's root as the one to trust. */
export async function shell(site: Site, line: string): Promise<Outcome> {
  const { folder } = site.stack;
  const bin = join(folder, ".bin");
  mkdirSync(bin, { recursive: true });
  try {
    symlinkSync(join(projectRoot, "tools", "vectis"), join(bin, "vectis"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const root = join(folder, ".root.pem");
  writeFileSync(root, await site.lab.root());
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env["PATH"]}`,
    VECTIS_BACKEND_URL: site.stack.backend,
    VECTIS_CA: root,
  };
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", line], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}
