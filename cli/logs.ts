// `vectis logs`: what a service has said, from the Docker host of the stack.
import { docker, dockerEnvironment } from "./docker.ts";
import { Cancelled, exitCodes, UserError, type ExitCode } from "./errors.ts";
import { stackOutputs, type StackOutputs } from "./stack.ts";

export interface LogsOptions {
  readonly stack?: string;
  readonly json: boolean;
  readonly follow: boolean;
  /** Number of lines from the end. Default: all. */
  readonly tail?: string;
  /** As `docker logs --since` takes it, for example 10m. Default: everything that Docker has kept. */
  readonly since?: string;
}

export async function logs(
  service: keyof StackOutputs["containers"],
  { stack, json, follow, tail, since }: LogsOptions,
): Promise<ExitCode> {
  if (json) throw new UserError("logs are lines of text: --json is for the other commands");
  const [{ containers }, env] = await Promise.all([stackOutputs(stack), dockerEnvironment(stack)]);
  const args = [
    ...(follow ? ["--follow"] : []),
    ...(tail === undefined ? [] : ["--tail", tail]),
    ...(since === undefined ? [] : ["--since", since]),
  ];
  try {
    const { code } = await docker(env, ["logs", ...args, containers[service]], ["ignore", "inherit", "inherit"]);
    return code === 0 ? exitCodes.ok : exitCodes.notAsExpected;
  } catch (error) {
    if (follow && error instanceof Cancelled) return exitCodes.ok;
    throw error;
  }
}
