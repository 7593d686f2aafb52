// Asks the Pulumi stack where its services are. The only place in cli/ that knows the shape of the stack's outputs.
import { UserError } from "./errors.ts";
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

/** @throws UserError when the outputs are not those of a stack that is up */
export function parseOutputs(outputs: unknown): StackOutputs {
  const { hostname, certificateNames, alsoKeyType, endpoints, https, containers, acmeDirectory, internalCa } = record(
    outputs,
    "outputs",
  );
  const where = record(endpoints, "endpoints");
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
        address(text(where[key], `endpoints.${key}`)),
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

/** "127.0.0.1:10025" or "[::1]:10025"; the unspecified address is reached over loopback. */
export function address(endpoint: string): Address {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(endpoint) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || port === undefined) throw new Error(`"${endpoint}" is no HOST:PORT`);
  return { host: host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host, port: Number(port) };
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
