// Asks the Pulumi stack where its services are. The only place in cli/ that knows the shape of the stack's outputs.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Address } from "./probe.ts";
import { tlsServices, type Target } from "./verdict.ts";

export const projectRoot = join(import.meta.dirname, "..");

export interface StackOutputs {
  readonly hostname: string;
  readonly certificateNames: readonly string[];
  readonly endpoints: Target["endpoints"];
  readonly containers: Readonly<Record<"traefik" | "postfix" | "dovecot" | "acme", string>>;
}

/** Outputs of a stack that is up. Rejects with a sentence for the operator when there are none. */
export async function stackOutputs(stack: string): Promise<StackOutputs> {
  const pulumi = join(projectRoot, "tools", "pulumi");
  try {
    const { stdout } = await promisify(execFile)(pulumi, ["stack", "output", "--json", "--stack", stack]);
    return parseOutputs(JSON.parse(stdout));
  } catch (error) {
    const reason =
      error instanceof Error && "stderr" in error && error.stderr !== "" ? String(error.stderr) : String(error);
    throw new Error(`stack ${stack} has no usable outputs (is it up?): ${reason.trim()}`, { cause: error });
  }
}

export function parseOutputs(outputs: unknown): StackOutputs {
  const { hostname, certificateNames, endpoints, containers } = record(outputs, "outputs");
  const where = record(endpoints, "endpoints");
  const names = record(containers, "containers");
  return {
    hostname: text(hostname, "hostname"),
    certificateNames: Array.isArray(certificateNames)
      ? certificateNames.map((name) => text(name, "certificateNames"))
      : [],
    endpoints: Object.fromEntries(
      [...tlsServices.map(({ key }) => key), "http" as const].map((key) => [
        key,
        address(text(where[key], `endpoints.${key}`)),
      ]),
    ) as Target["endpoints"],
    containers: {
      traefik: text(names["traefik"], "containers.traefik"),
      postfix: text(names["postfix"], "containers.postfix"),
      dovecot: text(names["dovecot"], "containers.dovecot"),
      acme: text(names["acme"], "containers.acme"),
    },
  };
}

/** "127.0.0.1:10025" or "[::1]:10025"; the unspecified address is reached over loopback. */
export function address(endpoint: string): Address {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(endpoint) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || port === undefined) throw new Error(`"${endpoint}" is no HOST:PORT`);
  return { host: host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host, port: Number(port) };
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new Error(`output ${name} is missing`);
  return value as Record<string, unknown>;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new Error(`output ${name} is missing`);
  return value;
}
