// The Docker command line, as tests need it: run, inspect, list by name, read logs.
import { execFile, type ExecFileOptions } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const roomy: ExecFileOptions = { maxBuffer: 64 * 1024 * 1024 };

/** `docker ARGS`; resolves to its standard output, rejects with its error output. */
export async function docker(...args: readonly string[]): Promise<string> {
  const { stdout } = await run("docker", [...args], { ...roomy, encoding: "utf8" });
  return stdout.trimEnd();
}

export const kinds = ["container", "network", "volume"] as const;
export type Kind = (typeof kinds)[number];

/** Names of all containers (stopped ones too), networks or volumes that start with the prefix. */
export async function named(kind: Kind, prefix: string): Promise<string[]> {
  const all = kind === "container" ? ["--all"] : [];
  const column = kind === "container" ? "{{.Names}}" : "{{.Name}}";
  const names = (await docker(kind, "ls", ...all, "--format", column)).split("\n");
  return names.filter((name) => name.startsWith(prefix));
}

/** Removes everything with that prefix, whatever state it is in. */
export async function removeAll(prefix: string): Promise<void> {
  for (const container of await named("container", prefix)) await docker("rm", "--force", "--volumes", container);
  for (const network of await named("network", prefix)) await docker("network", "rm", network);
  for (const volume of await named("volume", prefix)) await docker("volume", "rm", "--force", volume);
}

/** The parts of `docker inspect` that tests look at. */
export interface ContainerDetails {
  readonly Id: string;
  readonly Image: string;
  readonly RestartCount: number;
  readonly State: {
    readonly StartedAt: string;
    readonly Running: boolean;
    readonly Health?: { readonly Status: string };
  };
  readonly Config: { readonly Env: readonly string[] | null; readonly Labels: Readonly<Record<string, string>> };
  readonly HostConfig: {
    readonly Privileged: boolean;
    readonly CapAdd: readonly string[] | null;
    readonly CapDrop: readonly string[] | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly PidMode: string;
    readonly NetworkMode: string;
    readonly Memory: number;
    readonly PidsLimit: number | null;
    readonly ReadonlyRootfs: boolean;
  };
  readonly Mounts: readonly {
    readonly Type: string;
    /** Of a volume. */
    readonly Name?: string;
    readonly Source: string;
    readonly Destination: string;
    readonly RW: boolean;
  }[];
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>;
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
  };
}

export async function inspect(container: string): Promise<ContainerDetails> {
  const [details] = JSON.parse(await docker("container", "inspect", container)) as ContainerDetails[];
  if (details === undefined) throw new Error(`no container ${container}`);
  return details;
}

/** Everything that a container has logged, both streams; each line starts with its time (RFC 3339). */
export async function logs(container: string): Promise<string> {
  const { stdout, stderr } = await run("docker", ["logs", "--timestamps", container], { ...roomy, encoding: "utf8" });
  return stdout + stderr;
}
