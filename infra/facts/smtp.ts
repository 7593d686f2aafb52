// The certificate that the stack's port 25 serves, seen from here. Asks; judges nothing.
import { probe } from "../../certd/probe.ts";
import type { LeafFacts } from "../../certd/validate.ts";
import type { Settings } from "../config.ts";
import type { DockerHost } from "./docker.ts";

export interface SmtpQuestion {
  readonly mailHost: string;
  readonly host: string;
  readonly port: number;
}

/** Where this machine reaches the stack's port 25. */
export function smtpQuestion({ hostname, publish, addresses }: Settings, docker: DockerHost): SmtpQuestion {
  const everywhere = publish.address === "0.0.0.0" || publish.address === "::";
  const host = docker.is === "remote" ? (addresses[0] ?? hostname) : everywhere ? "127.0.0.1" : publish.address;
  return { mailHost: hostname, host, port: 25 + publish.portOffset };
}

/** Never rejects. */
export async function servedLeaf(
  { mailHost, host, port }: SmtpQuestion,
  milliseconds: number,
): Promise<LeafFacts | { readonly unanswered: string }> {
  const seen = await probe({ host, port, mode: "starttls-smtp" }, mailHost, { timeoutMs: milliseconds });
  return "leaf" in seen ? seen.leaf : { unanswered: seen.error };
}
