// `vectis up`, `preview`, `destroy` and `config apply`: Pulumi's Automation API on this checkout. Loading it takes a second,
// so main.ts imports this module only when one of these commands runs.
import { createInterface } from "node:readline/promises";
import { LocalWorkspace, Stack, type EngineEvent, type OutputMap } from "@pulumi/pulumi/automation/index.js";
import type { DataPolicy } from "../components/data-policy.ts";
import { stackLimit } from "./certs.ts";
import { throughCtrlC } from "./ctrl-c.ts";
import { announcement, dataPolicy } from "./data-policy.ts";
import { remoteDockerHost } from "./docker-host.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { clearTheWay } from "./interrupted.ts";
import { sidecar, type Offer } from "./offer.ts";
import { progress, result } from "./output.ts";
import { projectFolder, pulumiError, stackName } from "./pulumi.ts";
import { parseOutputs } from "./stack.ts";
import { verifyOutputs } from "./verify.ts";

export interface UpdateOptions {
  readonly stack?: string | undefined;
  readonly json: boolean;
  /** Compares with what really runs first. */
  readonly refresh: boolean;
  readonly expectNoChanges: boolean;
}

/** Brings the stack up, then waits until every port is as expected. */
export async function up(
  options: UpdateOptions & { readonly ca?: string | undefined; readonly wait: number; readonly verify: boolean },
): Promise<ExitCode> {
  const { json, ca, wait } = options;
  const stack = await open(options.stack);
  const { watch, done } = await carryThrough(stack.name, json, (watch) => stack.up(engineOptions(options, watch)));
  if (done === undefined) return watch.failure;
  if (!options.verify) {
    result(
      json,
      { stack: stack.name, changes: watch.changes },
      () => `${stack.name} is up; its ports were not looked at`,
    );
    return exitCodes.ok;
  }
  const outputs = parseOutputs(plain(done.outputs), await remoteDockerHost(stack.name));
  progress(`looking at the ports of ${stack.name}, for at most ${wait} s`);
  return verifyOutputs(outputs, { ca, wait, json }, await offerOf(stack.name, outputs.containers.acme));
}

/** Shows what an update would change. */
export async function preview(options: UpdateOptions & { readonly diff: boolean }): Promise<ExitCode> {
  const stack = await open(options.stack);
  const watch = new Watch(options.json);
  const done = await cancellable(() =>
    watch.run(() => stack.preview({ ...engineOptions(options, watch), diff: options.diff })),
  );
  if (done === undefined) return watch.failure;
  if (options.json) result(true, { stack: stack.name, changes: watch.changes, steps: watch.steps }, () => "");
  // What the sidecar is told anew may be a reason to order.
  const limit = watch.steps.some(({ urn }) => urn.endsWith("::acme")) ? await stackLimit(stack.name) : undefined;
  if (limit !== undefined) progress(limit);
  return exitCodes.ok;
}

/** Removes everything that the stack has made, but with `vectis:data: keep` for the volumes with data. */
export async function destroy(options: UpdateOptions & { readonly yes: boolean }): Promise<ExitCode> {
  const stack = await open(options.stack);
  const policy = await dataPolicy(stack.name);
  if (!options.yes) await confirm(stack.name, policy);
  const { json, refresh } = options;
  const { watch, done } = await carryThrough(stack.name, json, (watch) => stack.destroy({ ...watch.options, refresh }));
  if (done === undefined) return watch.failure;
  result(json, { stack: stack.name, changes: watch.changes }, () =>
    policy === "keep" ? `${stack.name} is destroyed; its volumes with data stay` : `${stack.name} is destroyed`,
  );
  return exitCodes.ok;
}

/** Without a docker command here the ports are all that can be looked at. */
async function offerOf(stack: string, container: string): Promise<(() => Promise<Offer>) | undefined> {
  try {
    return await sidecar(stack, container);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    progress(`${error.message}; whether what it has is published cannot be told`);
    return undefined;
  }
}

async function open(given: string | undefined): Promise<Stack> {
  const name = await stackName(given);
  const workspace = await LocalWorkspace.create({ workDir: projectFolder() });
  // The Automation API would select the stack for good, which `pulumi up -s NAME` does not.
  workspace.selectStack = () => Promise.resolve();
  return Stack.select(name, workspace);
}

function engineOptions({ refresh, expectNoChanges }: UpdateOptions, watch: Watch) {
  return { ...watch.options, refresh, expectNoChanges };
}

/** A lock, what was being made, and what was made of that while the engine ended: more turns than this are of no use. */
const turns = 4;

/** Runs an operation that changes things; again, when it fails because of what an interrupted one has left behind. */
async function carryThrough<T>(
  stack: string,
  json: boolean,
  operation: (watch: Watch) => Promise<T>,
): Promise<{ readonly watch: Watch; readonly done: T | undefined }> {
  return cancellable(async (cancelled) => {
    for (let turn = 1; ; turn++) {
      const watch = new Watch(json);
      const done = await watch.run(() => operation(watch));
      if (done !== undefined || cancelled() || turn === turns || !(await clearTheWay(stack, watch.said)))
        return { watch, done };
    }
  });
}

/**
 * Leaves Ctrl-C to the engine, which brings what it has begun to an end and records it; a second one in a row it takes as the
 * order to end at once.
 */
const cancellable = <T>(operation: (cancelled: () => boolean) => Promise<T>): Promise<T> =>
  throughCtrlC(operation, "cancelled; run it again to go on from what is recorded");

async function confirm(name: string, policy: DataPolicy | undefined): Promise<void> {
  if (!process.stdin.isTTY) throw new UserError("destroy asks before it removes anything: confirm with --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D are answers, too.
  const answer = await terminal.question(`${announcement(name, policy)} Its name confirms: `).catch(() => "");
  terminal.close();
  if (answer.trim() !== name) throw new UserError("not confirmed: nothing was removed");
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly type: string;
  /** Inputs that make a replacement necessary. */
  readonly replacedBecauseOf: readonly string[];
  /** Inputs that differ. */
  readonly changed: readonly string[];
}

/** Follows one operation of the engine: passes its text on, keeps its steps, and tells how it failed. */
class Watch {
  readonly steps: Step[] = [];
  changes: Readonly<Record<string, number>> = {};
  /** What the engine has printed. */
  said = "";
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  get options() {
    const say = (stream: NodeJS.WriteStream) => (text: string) => {
      this.said += text;
      stream.write(text);
    };
    return {
      // With --json, standard output is for the result alone.
      onOutput: say(this.#json ? process.stderr : process.stdout),
      onError: say(process.stderr),
      onEvent: (event: EngineEvent) => this.#event(event),
      color: process.stdout.isTTY && !this.#json ? "always" : "never",
      suppressProgress: true,
      suppressOutputs: true,
    } as const;
  }

  /** Undefined when the engine has failed: it has said why by then. */
  async run<T>(operation: () => Promise<T>): Promise<T | undefined> {
    try {
      return await operation();
    } catch (error) {
      if (this.said === "") throw pulumiError(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  /** A configuration that the program has refused, or a stack that does not exist, was never tried. */
  get failure(): ExitCode {
    return /the stack configuration has \d+ problem|no stack named|missing (?:required )?configuration/.test(this.said)
      ? exitCodes.usage
      : exitCodes.notAsExpected;
  }

  #event({ resourcePreEvent, summaryEvent }: EngineEvent): void {
    if (summaryEvent !== undefined) this.changes = summaryEvent.resourceChanges;
    if (resourcePreEvent === undefined || resourcePreEvent.metadata.op === "same") return;
    const { op, urn, type, keys, diffs } = resourcePreEvent.metadata;
    this.steps.push({ op, urn, type, replacedBecauseOf: keys ?? [], changed: diffs ?? [] });
  }
}

/** Values of outputs; a secret one is not needed by anything here. */
function plain(outputs: OutputMap): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { value, secret }]) => [name, secret ? undefined : (value as unknown)]),
  );
}
