// `vectis backup`: one file with what cannot be had again: the ACME accounts, certificates and keys in the volumes, and the
// stack's configuration and state. restore.ts puts it back. Mail itself is not in it.
import { spawn } from "node:child_process";
import { closeSync, copyFileSync, existsSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { docker, dockerEnvironment } from "./docker.ts";
import { draftFolder } from "./drafts.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { progress, result } from "./output.ts";
import { projectFolder, pulumi, stackName } from "./pulumi.ts";
import { stackOutputs } from "./stack.ts";

/** `manifest.json` in the file: what else is in it. */
export interface Manifest {
  readonly version: 1;
  readonly stack: string;
  readonly hostname: string;
  /** When it was made, ISO 8601. */
  readonly at: string;
  readonly volumes: readonly VolumeBackup[];
}

export interface VolumeBackup {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** File in the backup: a tar of the volume's content. */
  readonly archive: string;
  readonly holds: string;
}

/** Names of the other files in a backup. */
export const backupFiles = { manifest: "manifest.json", config: "stack.yaml", state: "state.json" } as const;

/** What is taken from which container. Everything else in the volumes is made anew, or is mail. */
const parts = [
  { role: "acme", path: "/acme.sh", holds: "the sidecar's ACME account, certificate and key" },
  { role: "acme", path: "/etc/ssl/mail", holds: "the published generations with their keys" },
  { role: "traefik", path: "/etc/traefik/acme", holds: "Traefik's ACME account, certificates and keys" },
] as const;

/** Runs tar while nobody orders: what acme.sh is writing would be half of it. */
const quietTar =
  'set -- tar -C "$1" -cf - .; for lock in /acme.sh/*/.lock; do [ ! -e "$lock" ] || set -- flock -s -w 120 "$lock" "$@"; done; exec "$@"';

export interface BackupOptions {
  readonly stack?: string;
  readonly json: boolean;
}

/** @param file where to write; `-`: to standard output, for a pipe into a program that encrypts */
export async function backup(file: string, options: BackupOptions): Promise<ExitCode> {
  const stack = await stackName(options.stack);
  if (file === "-" && options.json) throw new UserError("--json and a backup both want standard output: name a file");
  const [{ containers, hostname }, env] = await Promise.all([stackOutputs(stack), dockerEnvironment(stack)]);
  const target = resolve(file);
  const folder = draftFolder(file === "-" ? projectFolder() : dirname(target), "backup");
  try {
    const volumes: VolumeBackup[] = [];
    for (const { role, path, holds } of parts) {
      const volume = await mountedVolume(env, containers[role], path);
      const archive = `${volume.name}.tar`;
      const command = role === "acme" ? ["sh", "-c", quietTar, "sh", path] : ["tar", "-C", path, "-cf", "-", "."];
      await copyOut(env, ["exec", containers[role], ...command], join(folder, archive));
      volumes.push({ ...volume, archive, holds });
    }
    const config = join(projectFolder(), `Pulumi.${basename(stack)}.yaml`);
    if (existsSync(config)) copyFileSync(config, join(folder, backupFiles.config));
    writeFileSync(join(folder, backupFiles.state), await pulumi(["stack", "export", "--stack", stack]), {
      mode: 0o600,
    });
    const manifest: Manifest = { version: 1, stack, hostname, at: new Date().toISOString(), volumes };
    writeFileSync(join(folder, backupFiles.manifest), JSON.stringify(manifest, undefined, 2) + "\n");
    if (file === "-") await tar(["-czf", "-", "-C", folder, "."], ["ignore", "inherit", "inherit"]);
    else await pack(folder, target);
    progress(
      "The private keys in it are NOT ENCRYPTED: keep it as you keep keys, or encrypt it on its way, for example " +
        "`vectis backup - | age -p > vectis.backup.age`. Secrets of configuration and state stay encrypted as they are; the " +
        "passphrase (or key) that opens them is not in it.",
    );
    progress("Not in it either: mailboxes, the queue, files of tls.provider custom, images. See docs/recovery.md.");
    if (file !== "-") result(options.json, { file: target, ...manifest }, () => render(target, manifest));
    return exitCodes.ok;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function render(file: string, { stack, volumes }: Manifest): string {
  return [
    `${file} (mode 0600) has of ${stack}:`,
    ...volumes.map(({ name, holds }) => `  volume ${name}: ${holds}`),
    "  the stack's configuration and state, secrets encrypted",
  ].join("\n");
}

/** The volume that a container has at a path, with its labels. */
async function mountedVolume(
  env: NodeJS.ProcessEnv,
  container: string,
  path: string,
): Promise<Pick<VolumeBackup, "name" | "labels">> {
  const format = `{{range .Mounts}}{{if eq .Destination "${path}"}}{{.Name}}{{end}}{{end}}`;
  const name = await said(env, ["container", "inspect", "--format", format, container]);
  const labels = await said(env, ["volume", "inspect", "--format", "{{json .Labels}}", name]);
  return { name, labels: (JSON.parse(labels) as VolumeBackup["labels"] | null) ?? {} };
}

/** What docker prints. @throws UserError with its error output */
export async function said(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(env, args);
  if (code !== 0) throw new UserError(`docker ${args[0]} ${args[1]}: ${stderr.trim()}`, exitCodes.notAsExpected);
  return stdout.trim();
}

async function copyOut(env: NodeJS.ProcessEnv, args: readonly string[], file: string): Promise<void> {
  const output = openSync(file, "wx", 0o600);
  try {
    const { code, stderr } = await docker(env, args, ["ignore", output, "pipe"]);
    if (code !== 0) throw new UserError(`${args[1]} gave nothing: ${stderr.trim()}`, exitCodes.notAsExpected);
  } finally {
    closeSync(output);
  }
}

/** Writes the file under another name first: what is under its own name is whole. */
async function pack(folder: string, target: string): Promise<void> {
  const draft = `${folder}.tgz`;
  const output = openSync(draft, "wx", 0o600);
  try {
    await tar(["-czf", "-", "-C", folder, "."], ["ignore", output, "inherit"]);
    renameSync(draft, target);
  } finally {
    closeSync(output);
    rmSync(draft, { force: true });
  }
}

/** Runs tar, whose own words go to standard error. @throws UserError if it fails */
export function tar(args: readonly string[], stdio: readonly ("ignore" | "inherit" | number)[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn("tar", [...args], { stdio: [...stdio] });
    child.once("error", (error) => fail(new UserError(`tar is needed: ${error.message}`)));
    child.once("close", (code) =>
      code === 0 ? done() : fail(new UserError(`tar ended with ${code}`, exitCodes.notAsExpected)),
    );
  });
}
