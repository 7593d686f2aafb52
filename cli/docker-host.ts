// Whether the ports that the stack publishes are ports of this machine.
import { dockerHost } from "../infra/facts/docker.ts";
import { docker } from "./docker.ts";
import { UserError } from "./errors.ts";
import { stackConfig } from "./pulumi.ts";

/** The stack's Docker host, if it is another machine than this one: its address, or its context. `stack`: default the selected one. */
export async function remoteDockerHost(stack: string | undefined): Promise<string | undefined> {
  const config = await stackConfig(stack);
  const settings = ["docker:host", "docker:context"].map((key) => [key, config(key)] as const);
  const host = dockerHost(
    Object.fromEntries(settings.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    process.env,
  );
  if (host.is === "local") return undefined;
  const context = config("docker:context");
  const address = (context === undefined ? undefined : await addressOf(context)) ?? host.address;
  return isThisMachine(address) ? undefined : address;
}

/** Where a context leads, which may be a socket of this machine; undefined if that cannot be asked here. */
async function addressOf(context: string): Promise<string | undefined> {
  try {
    const inspect = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}", context];
    const { code, stdout } = await docker(process.env, inspect);
    return code === 0 ? stdout.trim() : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Whether a Docker host's address leads to this machine. */
export function isThisMachine(address: string): boolean {
  if (/^(?:unix|npipe):/.test(address)) return true;
  return /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(URL.parse(address)?.hostname ?? "");
}
