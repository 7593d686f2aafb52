// What an update that was interrupted (kill -9, a power cut) leaves in the way of the next one, and its removal: the lock of
// a process that is gone, and containers and networks that were made without being written down, whose names are taken.
// Pulumi stops at the first and only warns of the others. docs/troubleshooting.md tells how to do it by hand.
import { rmSync } from "node:fs";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { docker, dockerEnvironment } from "./docker.ts";
import { UserError } from "./errors.ts";
import { progress } from "./output.ts";
import { hasEnded } from "./processes.ts";
import { pulumi, stackOption } from "./pulumi.ts";
import { exportedStack, type ExportedStack } from "./state.ts";

/** A lock of Pulumi's file backend. */
export interface Lock {
  readonly file: string;
  readonly host: string;
  readonly pid: number;
}

/** The locks that Pulumi complains of; those of other backends than files are left to the operator. */
export function locksIn(said: string): Lock[] {
  return [...said.matchAll(/^\s*(file:\/\/.+): created by .+@(.+) \(pid (\d+)\) at /gm)].map(
    ([, url = "", host = "", pid]) => ({ file: fileURLToPath(url), host, pid: Number(pid) }),
  );
}

/** Whether the process is known to have ended: on this machine, and no process has its number. */
export function isStale({ host, pid }: Pick<Lock, "host" | "pid">, here = hostname()): boolean {
  return host === here && hasEnded(pid);
}

/** What may have been made without being written down. */
export interface Unrecorded {
  readonly kind: "container" | "network";
  readonly name: string;
}

const kinds: Readonly<Record<string, Unrecorded["kind"]>> = {
  "docker:index/container:Container": "container",
  "docker:index/network:Network": "network",
};

/** Whether the engine was interrupted while it made something, and what of that Docker may have. */
export function unrecordedIn({ deployment }: ExportedStack): { readonly any: boolean; readonly made: Unrecorded[] } {
  const creating = (deployment.pending_operations ?? []).filter(({ type }) => type === "creating");
  const made = creating.flatMap(({ resource: { type, inputs } }) => {
    const kind = kinds[type];
    const name = inputs?.["name"];
    return kind === undefined || typeof name !== "string" ? [] : [{ kind, name }];
  });
  return { any: creating.length > 0, made };
}

/**
 * Removes what an interrupted update has left in the way of one that failed. Volumes are never touched.
 * @param said what the engine has said
 * @returns whether there was anything, so that the operation is worth another try
 */
export async function clearTheWay(stack: string, said: string): Promise<boolean> {
  if (said.includes("currently locked")) return removeLocks(locksIn(said));
  const state = await exportedStack(stack);
  const { any, made } = unrecordedIn(state);
  if (!any) return false;
  const env = await dockerEnvironment(stack);
  const recorded = new Set(state.deployment.resources?.map(({ id }) => id));
  for (const { kind, name } of made) {
    const id = await idOf(env, kind, name);
    if (id === "" || recorded.has(id)) continue;
    progress(`an interrupted update has made the ${kind} ${name} without recording it: removing it`);
    await docker(env, [kind, "rm", ...(kind === "container" ? ["--force"] : []), name]);
  }
  progress("comparing what is recorded with what is there");
  await pulumi(["refresh", "--yes", "--skip-preview", "--clear-pending-creates", ...stackOption(stack)]);
  return true;
}

/** Runs `pulumi ARGS`; once more, if the lock of a process that is gone was in its way. */
export async function pulumiPastLocks(args: readonly string[]): Promise<string> {
  try {
    return await pulumi(args);
  } catch (error) {
    if (!(error instanceof UserError) || !removeLocks(locksIn(error.message))) throw error;
    return pulumi(args);
  }
}

/** Of what this product has made under a name; empty if it has made nothing of that kind. */
async function idOf(env: NodeJS.ProcessEnv, kind: Unrecorded["kind"], name: string): Promise<string> {
  const filters = [`name=^/?${name}$`, "label=vectis.stack"].flatMap((filter) => ["--filter", filter]);
  const all = kind === "container" ? ["--all"] : [];
  const { stdout } = await docker(env, [kind, "ls", ...all, "--quiet", "--no-trunc", ...filters]);
  return stdout.trim();
}

function removeLocks(locks: readonly Lock[]): boolean {
  if (locks.length === 0 || !locks.every((lock) => isStale(lock))) return false;
  for (const { file, pid } of locks) {
    progress(`the process that has locked the stack (pid ${pid}) is gone: removing its lock`);
    // This file alone: `pulumi cancel` would remove a lock that another process takes meanwhile, too.
    rmSync(file, { force: true });
  }
  return true;
}
