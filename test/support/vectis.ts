// The operator's shell, at the stack of a site: `vectis` is on the PATH, and the root to trust is the lab's.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../cli/stack.ts";
import type { Outcome } from "./pulumi.ts";
import type { Site } from "./site.ts";

/** Runs a line of shell in the site's project folder, with nothing on its standard input. */
export async function shell(
  site: Site,
  line: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const { folder } = site.stack;
  const bin = join(folder, ".bin");
  mkdirSync(bin, { recursive: true });
  rmSync(join(bin, "vectis"), { force: true });
  symlinkSync(join(projectRoot, "tools", "vectis"), join(bin, "vectis"));
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env["PATH"]}`,
    VECTIS_BACKEND_URL: site.stack.backend,
    VECTIS_CA: await rootFile(site),
    ...variables,
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

/** A file with the root that the lab's CA issues from at this moment. */
export async function rootFile(site: Site): Promise<string> {
  const file = join(site.stack.folder, ".root.pem");
  writeFileSync(file, await site.lab.root());
  return file;
}
