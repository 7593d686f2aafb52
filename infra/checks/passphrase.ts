// Whether the stack's secrets would be encrypted with the passphrase of the checkout, which this repository names.
import { error, type Finding } from "./finding.ts";

/**
 * @param environment of the program; the checkout's tools say in it that they have set their own passphrase
 * @param stack name of the Pulumi stack
 */
export function passphraseFindings(
  environment: Readonly<Record<string, string | undefined>>,
  stack: string,
): Finding[] {
  if (environment["VECTIS_PUBLIC_PASSPHRASE"] === undefined || stack === "dev") return [];
  const what = `is not set: the secrets of ${stack} are encrypted with the development passphrase, which is public`;
  return [error("PULUMI_CONFIG_PASSPHRASE", `${what}; give the stack one of its own (docs/commands.md)`)];
}
