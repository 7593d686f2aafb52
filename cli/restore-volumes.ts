// The Docker half of `vectis restore`: makes the volumes and fills them, all or none. An image without content is made first
// and removed last. Its labels say who restores what, so that the next restore can take away what one that was killed has
// left, and nothing else.
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { said, tar, type VolumeBackup } from "./backup.ts";
import { docker } from "./docker.ts";
import { exitCodes, UserError } from "./errors.ts";
import { isStale } from "./interrupted.ts";
import { progress } from "./output.ts";

/** A restore that has not come to its end. */
export interface Restoring {
  /** Where its process runs, or ran. */
  readonly host: string;
  readonly pid: number;
  /** Digests of the stack's state before it, and since it put that back. */
  readonly states: readonly string[];
  /** Names of the volumes that it makes: none of them was there before. */
  readonly volumes: readonly string[];
}

/** As an instruction for the image. */
export function labelsOf({ host, pid, states, volumes }: Restoring): string {
  const labels = { host, pid, states: states.join(","), volumes: volumes.join(",") };
  const words = Object.entries(labels).map(([key, value]) => `vectis.restore.${key}="${value}"`);
  return `LABEL ${words.join(" ")}`;
}

/** Undefined if these are no labels of a restore. */
export function restoringFrom(labels: Readonly<Record<string, string>> | null): Restoring | undefined {
  const [host, pid, states, volumes] = ["host", "pid", "states", "volumes"].map(
    (key) => labels?.[`vectis.restore.${key}`],
  );
  if (host === undefined || pid === undefined || states === undefined || volumes === undefined) return undefined;
  return { host, pid: Number(pid), states: states.split(","), volumes: volumes.split(",") };
}

/** The image, and the container through which volumes are filled: image names have no capital letters. */
const prefix = "vectis-restore-";

/**
 * Takes away what a restore of the same volumes has left that was killed.
 * @param state digest of the stack's state: if it is another now, somebody has gone on with the stack, and volumes are kept
 * @throws UserError if it may still run
 */
export async function clearInterrupted(
  env: NodeJS.ProcessEnv,
  volumes: readonly VolumeBackup[],
  state: string,
): Promise<void> {
  const images = await said(env, ["image", "ls", "--filter", `reference=${prefix}*`, "--format", "{{.Repository}}"]);
  for (const image of images.split("\n").filter((name) => name.startsWith(prefix))) {
    const { code, stdout } = await docker(env, ["image", "inspect", "--format", "{{json .Config.Labels}}", image]);
    // One that has come to its end meanwhile has removed it.
    const left = code === 0 ? restoringFrom(JSON.parse(stdout) as Record<string, string> | null) : undefined;
    if (left === undefined || !volumes.some(({ name }) => left.volumes.includes(name))) continue;
    if (!isStale(left))
      throw new UserError(
        `another restore of the same volumes has not ended (process ${left.pid} on ${left.host}): wait for it. If that ` +
          `process is gone, run: docker container rm --force ${image}; docker volume rm --force ${left.volumes.join(" ")}; ` +
          `docker image rm ${image}`,
      );
    progress("removing what an interrupted restore has left on the Docker host");
    await takeAway(env, image, left.states.includes(state) ? left.volumes : []);
  }
}

/** @throws UserError if a volume is there already: what it holds may be newer than the backup */
export async function refuseExisting(env: NodeJS.ProcessEnv, volumes: readonly VolumeBackup[]): Promise<void> {
  const there = (await said(env, ["volume", "ls", "--format", "{{.Name}}"])).split("\n");
  const existing = volumes.filter(({ name }) => there.includes(name)).map(({ name }) => name);
  if (existing.length === 0) return;
  throw new UserError(
    `the Docker host has ${existing.join(", ")} already, and a restore replaces nothing: if what ` +
      `they hold is lost anyway, stop the containers and run: docker volume rm ${existing.join(" ")}`,
  );
}

/**
 * Makes the volumes and fills them; all of them or none. No image is needed that would have to be downloaded.
 * @param folder the backup, unpacked
 * @param states digests of the stack's state before the restore, and now
 */
export async function restoreVolumes(
  env: NodeJS.ProcessEnv,
  folder: string,
  volumes: readonly VolumeBackup[],
  states: Restoring["states"],
): Promise<void> {
  const name = `${prefix}${process.pid}-${randomBytes(4).toString("hex")}`;
  const names = volumes.map((volume) => volume.name);
  try {
    // An empty image: docker writes into the volumes of a container that never runs.
    const empty = join(folder, "empty.tar");
    await tar(["-cf", empty, "--files-from", "/dev/null"], ["ignore", "inherit", "inherit"]);
    const labels = labelsOf({ host: hostname(), pid: process.pid, states, volumes: names });
    await said(env, ["image", "import", "--change", labels, empty, name]);
    for (const volume of volumes) {
      const labels = Object.entries(volume.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
      await said(env, ["volume", "create", ...labels, volume.name]);
      await said(env, ["container", "create", "--name", name, "--volume", `${volume.name}:/volume`, name, "never"]);
      await fill(env, `${name}:/volume`, join(folder, basename(volume.archive)));
      await said(env, ["container", "rm", name]);
    }
  } catch (error) {
    await takeAway(env, name, names);
    throw error;
  }
  // All is back: that the rest is not removed undoes nothing.
  await takeAway(env, name, []).catch((error: unknown) => progress(String(error)));
}

async function fill(env: NodeJS.ProcessEnv, target: string, archive: string): Promise<void> {
  const input = openSync(archive, "r");
  try {
    const { code, stderr } = await docker(env, ["container", "cp", "-", target], [input, "ignore", "pipe"]);
    if (code !== 0) throw new UserError(`docker container cp: ${stderr.trim()}`, exitCodes.notAsExpected);
  } finally {
    closeSync(input);
  }
}

/** Removes what there is of these: the volumes, and the container and the image of that name. */
async function takeAway(env: NodeJS.ProcessEnv, name: string, volumes: readonly string[]): Promise<void> {
  await docker(env, ["container", "rm", "--force", name]);
  const { code, stderr } =
    volumes.length === 0 ? { code: 0, stderr: "" } : await docker(env, ["volume", "rm", "--force", ...volumes]);
  if (code !== 0) progress(`docker volume rm: ${stderr.trim()}`);
  await docker(env, ["image", "rm", name]);
}
