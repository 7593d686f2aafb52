// Asks the Pulumi stack where its services are. The only place in cli/ that knows the shape of the stack's outputs.
import { exitCodes, UserError } from "./errors.ts";
import type { Address } from "./probe.ts";
import { pulumi, stackOption } from "./pulumi.ts";
import { tlsServices, type Target } from "./verdict.ts";

export { projectRoot } from "./pulumi.ts";

export interface StackOutputs {
  readonly hostname: string;
  readonly certificateNames: readonly string[];
  /** Key type of the second certificate of the mail ports, if they have one. */
  readonly alsoKeyType: string | undefined;
  readonly endpoints: Target["endpoints"];
  readonly https: NonNullable<Target["https"]>;
  readonly containers: Readonly<Record<"traefik" | "postfix" | "dovecot" | "acme", string>>;
  /** Directory of the ACME CA, if certificates come from one. */
  readonly acmeDirectory: string | undefined;
  /** Root (PEM) of the CA that the stack made for itself, if it did. */
  readonly internalCa: string | undefined;
}

/** Outputs of a stack that is up. `stack`: default the selected one. @throws UserError when there are none */
export async function stackOutputs(stack: string | undefined): Promise<StackOutputs> {
  return parseOutputs(await rawOutputs(stack));
}

/** Outputs by name, as the stack has them; none before its first update. */
export async function rawOutputs(stack: string | undefined): Promise<Readonly<Record<string, unknown>>> {
  const text = await pulumi(["stack", "output", "--json", ...stackOption(stack)]);
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}

/**
 * @param remote the stack's Docker host, if it is another machine than this one
 * @throws UserError when the outputs are not those of a stack that is up, or its ports cannot be reached from here
 */
export function parseOutputs(outputs: unknown, remote?: string): StackOutputs {
  const all = record(outputs, "outputs");
  const { hostname, certificateNames, alsoKeyType, endpoints, https, containers, acmeDirectory, internalCa } = all;
  const where = record(endpoints, "endpoints");
  const reach = ({ host, port }: Address): Address => ({
    host: remote === undefined ? (loopback[host] ?? host) : remoteHost(host, all, remote),
    port,
  });
  const names = record(containers, "containers");
  return {
    hostname: text(hostname, "hostname"),
    certificateNames: Array.isArray(certificateNames)
      ? certificateNames.map((name) => text(name, "certificateNames"))
      : [],
    alsoKeyType: optionalText(alsoKeyType),
    endpoints: Object.fromEntries(
      [...tlsServices.map(({ key }) => key), ...(where["http"] === undefined ? [] : ["http" as const])].map((key) => [
        key,
        reach(address(text(where[key], `endpoints.${key}`))),
      ]),
    ) as unknown as Target["endpoints"],
    https: https === "shared" ? "shared" : "own",
    containers: {
      traefik: text(names["traefik"], "containers.traefik"),
      postfix: text(names["postfix"], "containers.postfix"),
      dovecot: text(names["dovecot"], "containers.dovecot"),
      acme: text(names["acme"], "containers.acme"),
    },
    acmeDirectory: optionalText(acmeDirectory),
    internalCa: optionalText(internalCa),
  };
}

/** "127.0.0.1:10025" or "[::1]:10025". */
function address(endpoint: string): Address {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(endpoint) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || port === undefined) throw new Error(`"${endpoint}" is no HOST:PORT`);
  return { host, port: Number(port) };
}

/** Where this machine reaches its own unspecified addresses. */
const loopback: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Where ports are reached that another machine publishes on `host`. */
function remoteHost(host: string, { hostname, dnsRecords }: Record<string, unknown>, remote: string): string {
  if (host.startsWith("127.") || host === "::1")
    throw new UserError(
      `the ports are published on ${host} of ${remote}, where they cannot be looked at from here: ` +
        "run `vectis verify` there, or bring the stack up with --no-verify",
      exitCodes.notAsExpected,
    );
  if (loopback[host] === undefined) return host;
  // The address before the name: a resolver may not know yet, or for a while, what this update has put in DNS.
  const records = (Array.isArray(dnsRecords) ? dnsRecords : []) as readonly Readonly<Record<string, unknown>>[];
  const type = host === "::" ? "AAAA" : "A";
  return text(
    records.find((one) => one["name"] === hostname && one["type"] === type)?.["value"] ?? hostname,
    "hostname",
  );
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw missing(name);
  return value as Record<string, unknown>;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw missing(name);
  return value;
}

function optionalText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function missing(name: string): UserError {
  return new UserError(`the stack has no output ${name}: bring it up first, with \`vectis up\``);
}
