// `vectis restore`: puts a backup back on a Docker host where nothing of the stack is left, and its configuration and state
// where those are gone. `vectis up --refresh` does the rest, with the certificates that were there before.
import { closeSync, copyFileSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import { backupFiles, said, tar, type Manifest, type VolumeBackup } from "./backup.ts";
import { connection, docker } from "./docker.ts";
import { draftFolder } from "./drafts.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { progress, result } from "./output.ts";
import { projectFolder, pulumi } from "./pulumi.ts";

export interface RestoreOptions {
  readonly stack?: string;
  readonly json: boolean;
}

/** @param file the backup; `-`: standard input */
export async function restore(file: string, { stack, json }: RestoreOptions): Promise<ExitCode> {
  if (file !== "-" && !existsSync(file))
    throw new UserError(`${file} does not exist: name a file that \`vectis backup\` made`);
  const folder = draftFolder(projectFolder(), "restore");
  try {
    await tar(["-xzf", file, "-C", folder, "--no-same-owner"], ["inherit", "inherit", "inherit"]);
    const manifest = readManifest(folder);
    if (stack !== undefined && stack !== manifest.stack)
      throw new UserError(`this is a backup of the stack ${manifest.stack}, not of ${stack}: leave --stack out`);
    const config = join(projectFolder(), `Pulumi.${basename(manifest.stack)}.yaml`);
    const env = environment(existsSync(config) ? config : join(folder, backupFiles.config));
    await refuseExisting(env, manifest.volumes);
    await restoreVolumes(env, folder, manifest.volumes);
    const done = [
      ...manifest.volumes.map(({ name, holds }) => `volume ${name}: ${holds}`),
      ...(await restoreStack(folder, config, manifest.stack)),
    ];
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

/** The way to the Docker host that a stack's configuration names. */
function environment(config: string): NodeJS.ProcessEnv {
  const values = existsSync(config)
    ? (parse(readFileSync(config, "utf8")) as { readonly config?: Readonly<Record<string, unknown>> } | null)?.config
    : undefined;
  const setting = (key: string): string | undefined => {
    const value = values?.[`docker:${key}`];
    return typeof value === "string" ? value : undefined;
  };
  return { ...process.env, ...connection(setting) };
}

/** @throws UserError if a volume is there already: what it holds may be newer than the backup */
async function refuseExisting(env: NodeJS.ProcessEnv, volumes: readonly VolumeBackup[]): Promise<void> {
  const there = (await said(env, ["volume", "ls", "--format", "{{.Name}}"])).split("\n");
  const existing = volumes.filter(({ name }) => there.includes(name)).map(({ name }) => name);
  if (existing.length === 0) return;
  throw new UserError(
    `the Docker host has ${existing.join(", ")} already, and a restore replaces nothing: if what ` +
      `they hold is lost anyway, stop the containers and run: docker volume rm ${existing.join(" ")}`,
  );
}

/** Makes the volumes and fills them; all of them or none. No image is needed that would have to be downloaded. */
async function restoreVolumes(env: NodeJS.ProcessEnv, folder: string, volumes: readonly VolumeBackup[]): Promise<void> {
  const made: string[] = [];
  const name = `vectis-restore-${process.pid}`;
  try {
    // An empty image: docker writes into the volumes of a container that never runs.
    const empty = join(folder, "empty.tar");
    await tar(["-cf", empty, "--files-from", "/dev/null"], ["ignore", "inherit", "inherit"]);
    await said(env, ["image", "import", empty, name]);
    for (const volume of volumes) {
      const labels = Object.entries(volume.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
      await said(env, ["volume", "create", ...labels, volume.name]);
      made.push(volume.name);
      await said(env, ["container", "create", "--name", name, "--volume", `${volume.name}:/volume`, name, "never"]);
      await fill(env, `${name}:/volume`, join(folder, basename(volume.archive)));
      await said(env, ["container", "rm", name]);
    }
  } catch (error) {
    await docker(env, ["container", "rm", "--force", name]);
    for (const volume of made) await docker(env, ["volume", "rm", volume]);
    throw error;
  } finally {
    await docker(env, ["image", "rm", name]);
  }
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

/** Puts back what is gone of configuration and state, and says what. What is there stays as it is. */
async function restoreStack(folder: string, config: string, stack: string): Promise<string[]> {
  const done: string[] = [];
  const saved = join(folder, backupFiles.config);
  if (!existsSync(config) && existsSync(saved)) {
    copyFileSync(saved, config);
    done.push(`${basename(config)}: the stack's configuration`);
  }
  const stacks = JSON.parse(await pulumi(["stack", "ls", "--json"])) as readonly { readonly name: string }[];
  if (stacks.some(({ name }) => name === stack)) {
    done.push("(the stack's state is there, and was left as it is)");
    return done;
  }
  await pulumi(["stack", "init", stack]);
  await pulumi(["stack", "import", "--stack", stack, "--file", join(folder, backupFiles.state)]);
  done.push("the stack's state, with the keys that the stack holds");
  return done;
}
