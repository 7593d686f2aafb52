// The Pulumi CLI for short questions: which project, which stack, what it says. tools/vectis has set the environment.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UserError } from "./errors.ts";

export const projectRoot = join(import.meta.dirname, "..");

/** The project of a folder, as with Pulumi: the nearest Pulumi.yaml upwards, if it is vectis; else the checkout. */
export function projectFolder(from = process.cwd()): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const name = projectName(join(folder, "Pulumi.yaml"));
    if (name !== undefined) return name === "vectis" ? folder : projectRoot;
    if (folder === dirname(folder)) return projectRoot;
  }
}

function projectName(file: string): string | undefined {
  try {
    return /^name:\s*["']?([\w.-]+)/m.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  } catch {
    return undefined;
  }
}

/** The `--stack` option, if one was given: else Pulumi takes the selected stack. */
export const stackOption = (stack: string | undefined): string[] => (stack === undefined ? [] : ["--stack", stack]);

/**
 * Runs `pulumi ARGS` in the project's folder and resolves to its standard output.
 * @param input written to its standard input: the way for secrets, which a command line would show
 * @throws UserError with what Pulumi says
 */
export function pulumi(args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("pulumi", [...args, "--non-interactive", "--color", "never"], {
      cwd: projectFolder(),
      stdio: ["pipe", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT" ? new UserError("no `pulumi` on the PATH: start `vectis` with npx vectis") : error,
      ),
    );
    child.on("close", (code) => (code === 0 ? resolve(stdout) : reject(pulumiError(stderr || stdout))));
    // A command that ends before it has read its input is judged by its exit code.
    child.stdin.on("error", () => undefined).end(input);
  });
}

type StackConfig = (key: string) => string | undefined;

/** Asked for once by a command, however many parts of it look: no command changes what it has read. */
const configs = new Map<string | undefined, Promise<StackConfig>>();

/** The stack's configuration: the text of a key's value; undefined if it is not set or secret. `stack`: default the selected one. */
export function stackConfig(stack: string | undefined): Promise<StackConfig> {
  const known = configs.get(stack) ?? readConfig(stack);
  configs.set(stack, known);
  return known;
}

async function readConfig(stack: string | undefined): Promise<StackConfig> {
  const values = JSON.parse(await pulumi(["config", "--json", ...stackOption(stack)])) as Readonly<
    Record<string, { readonly value?: string }>
  >;
  return (key) => values[key]?.value;
}

/** The name of the stack to work on: the one given, else the selected one. */
export async function stackName(given: string | undefined): Promise<string> {
  return given ?? (await pulumi(["stack", "--show-name"])).trim();
}

/** The backend has no stack of that name. */
export class MissingStack extends UserError {}

/** Pulumi's own words, with what to do about the two mistakes that are the most likely. */
export function pulumiError(said: string): UserError {
  const text = said.trim().replace(/^error: /gm, "");
  if (text.startsWith("no stack selected"))
    return new UserError(`no stack is selected: name one, for example -s prod, or run: ${command()} stack select prod`);
  const missing = /no stack named '([^']+)' found/.exec(text)?.[1];
  if (missing === undefined) return new UserError(text || "pulumi ended without a word");
  const where = process.env["PULUMI_BACKEND_URL"] ?? "the backend that Pulumi is logged in to";
  const create = missing === "dev" ? "make up" : `${command()} stack init ${missing}`;
  return new MissingStack(
    `there is no stack ${missing} in ${where}: correct the name, set PULUMI_BACKEND_URL to where it is, or create it: ${create}`,
  );
}

/** How the operator calls the Pulumi that is in use here. */
function command(): string {
  return process.env["PULUMI_HOME"] === join(projectRoot, ".vectis", "pulumi") ? "tools/pulumi" : "pulumi";
}
