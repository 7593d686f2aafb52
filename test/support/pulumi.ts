// A Pulumi project of this checkout with state and configuration of its own, in a temporary folder: nothing that a test
// does shows in the checkout or in the local stack.
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { projectRoot } from "../../cli/stack.ts";

export const stackName = "test";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StackFile {
  readonly encryptionsalt?: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** One step of a preview: what happens to which resource. */
export interface Step {
  readonly op: string;
  readonly urn: string;
  /** Pulumi's type token, for example `docker:index/container:Container`. */
  readonly type: string;
  /** The `name` input, which for Docker resources is the name on the host. */
  readonly name: string | undefined;
}

export class TestProject {
  readonly folder: string;
  readonly #base: StackFile;
  #variants = 0;

  /** `source` is the project's folder in the checkout; its files are linked, its stack configuration is `file`. */
  constructor(source: string, folder: string, file: StackFile) {
    this.folder = folder;
    this.#base = file;
    mkdirSync(join(folder, ".state"), { recursive: true });
    for (const entry of readdirSync(source)) {
      if (entry.startsWith(".") || /^Pulumi\..*yaml$/.test(entry) || entry === "node_modules") continue;
      symlinkSync(join(source, entry), join(folder, entry));
    }
    symlinkSync(join(projectRoot, "node_modules"), join(folder, "node_modules"));
    copyFileSync(join(source, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
    writeFileSync(join(folder, `Pulumi.${stackName}.yaml`), stringify(file));
  }

  /** Where the project's state is. */
  get backend(): string {
    return `file://${join(this.folder, ".state")}`;
  }

  /** Runs `tools/pulumi ARGS` and resolves whatever its exit code is. */
  run(...args: readonly string[]): Promise<Outcome> {
    return this.#execute(args);
  }

  /** As `run`, but the engine is killed (SIGKILL) at a signal. */
  killed(at: AbortSignal, ...args: readonly string[]): Promise<Outcome> {
    return this.#execute(args, at);
  }

  #execute(args: readonly string[], signal?: AbortSignal): Promise<Outcome> {
    const env = { ...process.env, VECTIS_BACKEND_URL: this.backend };
    const options = { cwd: this.folder, env, maxBuffer: 64 * 1024 * 1024, signal, killSignal: "SIGKILL" } as const;
    const all = [...args, "--stack", stackName, "--non-interactive", "--color", "never"];
    return new Promise((resolve) => {
      execFile(join(projectRoot, "tools", "pulumi"), all, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** As `run`, but a failure rejects with all that was printed. */
  async pulumi(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  async init(): Promise<void> {
    await this.pulumi("stack", "init");
  }

  /** Options that make a command use the stack's configuration with some values changed. */
  withConfig(changes: Readonly<Record<string, unknown>>): string[] {
    const file = join(this.folder, `variant-${++this.#variants}.yaml`);
    writeFileSync(file, stringify({ ...this.#base, config: { ...this.#base.config, ...changes } }));
    return ["--config-file", file];
  }

  /** Changes values of the stack's configuration for good: for commands that take no `--config-file`. */
  configure(changes: Readonly<Record<string, unknown>>): void {
    const file = join(this.folder, `Pulumi.${stackName}.yaml`);
    const { config, ...rest } = parse(readFileSync(file, "utf8")) as StackFile;
    writeFileSync(file, stringify({ ...rest, config: { ...config, ...changes } }));
  }

  get config(): Readonly<Record<string, unknown>> {
    return this.#base.config;
  }

  up(...args: readonly string[]): Promise<string> {
    return this.pulumi("up", "--yes", "--skip-preview", ...args);
  }

  /** The steps of `pulumi preview` that would change something. */
  async changes(...args: readonly string[]): Promise<Step[]> {
    const text = await this.pulumi("preview", "--json", ...args);
    const { steps = [] } = JSON.parse(text) as { steps?: PreviewStep[] };
    return steps
      .filter(({ op }) => op !== "same" && op !== "read")
      .map(({ op, urn, newState, oldState }) => {
        const state = newState ?? oldState;
        const name = state?.inputs?.["name"];
        return { op, urn, type: state?.type ?? "", name: typeof name === "string" ? name : undefined };
      });
  }

  async outputs(): Promise<unknown> {
    return JSON.parse(await this.pulumi("stack", "output", "--json"));
  }
}

interface PreviewStep {
  readonly op: string;
  readonly urn: string;
  readonly newState?: PreviewState;
  readonly oldState?: PreviewState;
}

interface PreviewState {
  readonly type?: string;
  readonly inputs?: Readonly<Record<string, unknown>>;
}
