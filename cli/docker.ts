// The Docker command line, at the Docker host of the stack: `docker:host` of its configuration, else the environment's.
import { spawn, type StdioOptions } from "node:child_process";
import { throughCtrlC } from "./ctrl-c.ts";
import { exitCodes, UserError } from "./errors.ts";
import { stackConfig } from "./pulumi.ts";

/** The environment in which `docker` reaches the stack's Docker host. `stack`: default the selected one. */
export async function dockerEnvironment(stack: string | undefined): Promise<NodeJS.ProcessEnv> {
  const config = await stackConfig(stack);
  return { ...process.env, ...connection((key) => config(`docker:${key}`)) };
}

/** The Docker provider's settings as the environment that the docker command reads. */
export function connection(setting: (key: string) => string | undefined): Record<string, string> {
  const [host, context, certificates] = [setting("host"), setting("context"), setting("certPath")];
  return {
    ...(host === undefined ? {} : { DOCKER_HOST: host }),
    ...(context === undefined ? {} : { DOCKER_CONTEXT: context }),
    ...(certificates === undefined ? {} : { DOCKER_CERT_PATH: certificates, DOCKER_TLS_VERIFY: "1" }),
  };
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `docker ARGS` to its end, whatever its exit code. After a Ctrl-C that end is this command's, too.
 * @param stdio where its streams go; what is not piped comes back empty. Default: piped
 */
export function docker(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  stdio: StdioOptions = ["ignore", "pipe", "pipe"],
): Promise<Finished> {
  const finished = (): Promise<Finished> =>
    new Promise((resolve, reject) => {
      const child = spawn("docker", [...args], { env, stdio });
      let [stdout, stderr] = ["", ""];
      child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
      child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
      child.on("error", (error: NodeJS.ErrnoException) =>
        reject(error.code === "ENOENT" ? new UserError("the `docker` command is needed, and not on the PATH") : error),
      );
      child.on("close", (code) => resolve({ code: code ?? exitCodes.notAsExpected, stdout, stderr }));
    });
  return throughCtrlC(finished);
}
