// `vectis restore`: puts a backup back on a Docker host where nothing of the stack is left, and its configuration and state
// where those are gone. `vectis up --refresh` does the rest, with the certificates that were there before. What can be
// refused is refused before anything is changed; what fails later is taken away again; and where a restore was killed, the
// next one goes on.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { backupFiles, tar, type Manifest } from "./backup.ts";
import { connection } from "./docker.ts";
import { draftFolder } from "./drafts.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { pulumiPastLocks } from "./interrupted.ts";
import { progress, result } from "./output.ts";
import { MissingStack, projectFolder, pulumi } from "./pulumi.ts";
import { clearInterrupted, refuseExisting, restoreVolumes } from "./restore-volumes.ts";

export interface RestoreOptions {
  readonly stack?: string;
  readonly json: boolean;
  /** Goes on with the configuration that is there, whatever the backup's says. */
  readonly keepConfig: boolean;
}

/** @param file the backup; `-`: standard input */
export async function restore(file: string, { stack, json, keepConfig }: RestoreOptions): Promise<ExitCode> {
  if (file !== "-" && !existsSync(file))
    throw new UserError(`${file} does not exist: name a file that \`vectis backup\` made`);
  const folder = draftFolder(projectFolder(), "restore");
  try {
    await tar(["-xzf", file, "-C", folder, "--no-same-owner"], ["inherit", "inherit", "inherit"]);
    const manifest = readManifest(folder);
    if (stack !== undefined && stack !== manifest.stack)
      throw new UserError(`this is a backup of the stack ${manifest.stack}, not of ${stack}: leave --stack out`);
    const done = await putBack(folder, manifest, keepConfig);
    result(json, { stack: manifest.stack, from: manifest.at, restored: done }, () =>
      [`Restored of ${manifest.stack}, as of ${manifest.at}:`, ...done.map((line) => `  ${line}`)].join("\n"),
    );
    progress("Now bring it up: vectis up --refresh");
    return exitCodes.ok;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readManifest(folder: string): Manifest {
  const path = join(folder, backupFiles.manifest);
  const manifest = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Partial<Manifest>) : undefined;
  if (manifest?.version !== 1) throw new UserError("this is no file that `vectis backup` of this version made");
  return manifest as Manifest;
}

/** How to take something away again that was put back. */
interface Undo {
  readonly what: string;
  readonly run: () => unknown;
}

/** Puts back all or nothing, and says what. */
async function putBack(folder: string, { stack, volumes }: Manifest, keepConfig: boolean): Promise<string[]> {
  const config = findConfiguration(folder, stack);
  if (!keepConfig) refuseOther(config);
  const env = environment(config.present ?? config.saved);
  const before = await exportedState(stack);
  await clearInterrupted(env, volumes, digest(before));
  await refuseExisting(env, volumes);
  const undo: Undo[] = [];
  try {
    const done = [...restoreConfiguration(config, undo), ...(await restoreState(folder, stack, before, undo))];
    await restoreVolumes(env, folder, volumes, [before, await exportedState(stack)].map(digest));
    return [...done, ...volumes.map(({ name, holds }) => `volume ${name}: ${holds}`)];
  } catch (error) {
    await takeBack(undo);
    throw error;
  }
}

async function takeBack(undo: readonly Undo[]): Promise<void> {
  for (const { what, run } of undo.toReversed()) {
    try {
      await run();
    } catch (error) {
      progress(`${what} was put back and could not be taken away again: ${(error as Error).message}`);
    }
  }
}

interface Configuration {
  /** `Pulumi.<stack>.yaml` of the project. */
  readonly path: string;
  /** What it says; undefined if it is not there. */
  readonly present: string | undefined;
  /** Where the backup's is, and what that says; undefined if there was none. */
  readonly savedPath: string;
  readonly saved: string | undefined;
}

function findConfiguration(folder: string, stack: string): Configuration {
  const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined);
  const path = join(projectFolder(), `Pulumi.${basename(stack)}.yaml`);
  const savedPath = join(folder, backupFiles.config);
  return { path, present: read(path), savedPath, saved: read(savedPath) };
}

/** @throws UserError if another configuration is there: the next update would deploy it over what was restored */
function refuseOther({ path, present, saved }: Configuration): void {
  if (present === undefined || saved === undefined || saysTheSame(present, saved)) return;
  const name = basename(path);
  throw new UserError(
    `${path} is there and says something else than the backup's, and a restore replaces nothing: move it away ` +
      `to have the backup's back (mv ${name} ${name}.old), or keep it with --keep-config`,
  );
}

/** Whether two configurations are the same but for comments and layout. */
export function saysTheSame(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    return isDeepStrictEqual(parse(one), parse(other));
  } catch {
    return false;
  }
}

/** The way to the Docker host that a stack's configuration names. */
function environment(config: string | undefined): NodeJS.ProcessEnv {
  const values =
    config === undefined
      ? undefined
      : (parse(config) as { readonly config?: Readonly<Record<string, unknown>> } | null)?.config;
  const setting = (key: string): string | undefined => {
    const value = values?.[`docker:${key}`];
    return typeof value === "string" ? value : undefined;
  };
  return { ...process.env, ...connection(setting) };
}

function restoreConfiguration({ path, present, savedPath, saved }: Configuration, undo: Undo[]): string[] {
  const name = basename(path);
  if (present !== undefined) {
    // `pulumi stack init` may add an encryptionsalt.
    undo.push({ what: name, run: () => readFileSync(path, "utf8") === present || writeFileSync(path, present) });
    const same = saved !== undefined && saysTheSame(present, saved);
    return [`(${name} is there${same ? ", the same as the backup's" : ""}, and was left as it is)`];
  }
  undo.push({ what: name, run: () => rmSync(path, { force: true }) });
  if (saved === undefined) return [];
  renameSync(savedPath, path);
  return [`${name}: the stack's configuration`];
}

/** The state of a stack as Pulumi exports it; undefined if there is no such stack. */
async function exportedState(stack: string): Promise<string | undefined> {
  try {
    return await pulumi(["stack", "export", "--stack", stack]);
  } catch (error) {
    if (error instanceof MissingStack) return undefined;
    throw error;
  }
}

function digest(state: string | undefined): string {
  return state === undefined ? "" : createHash("sha256").update(state).digest("hex");
}

/** Whether a state names anything; not so that of a stack which was only initialised, or whose first update failed. */
export function holdsResources(state: string): boolean {
  const { deployment } = JSON.parse(state) as {
    readonly deployment?: { readonly resources?: readonly { readonly type: string }[] | null } | null;
  };
  return deployment?.resources?.some(({ type }) => !type.startsWith("pulumi:")) ?? false;
}

/** @param before the state that is there */
async function restoreState(
  folder: string,
  stack: string,
  before: string | undefined,
  undo: Undo[],
): Promise<string[]> {
  if (before !== undefined && holdsResources(before))
    return ["(the stack's state is there, and was left as it is: what it holds counts, not the backup's)"];
  if (before === undefined) {
    await pulumiPastLocks(["stack", "init", stack]);
    const remove = ["stack", "rm", "--yes", "--force", "--preserve-config", "--stack", stack];
    undo.push({ what: `the stack ${stack}`, run: () => pulumi(remove) });
  }
  await pulumiPastLocks(["stack", "import", "--stack", stack, "--file", join(folder, backupFiles.state)]);
  if (before !== undefined)
    undo.push({ what: "the stack's state", run: () => pulumi(["stack", "import", "--stack", stack], before) });
  return ["the stack's state, with the keys that the stack holds"];
}
