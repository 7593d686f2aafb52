// Which certificates are ordered, by whom and from which CA. Pure: the checks and the CAA records both follow from it.
import { orderNames } from "../certd/names.ts";
import type { Issuer, Order } from "./checks/caa.ts";
import type { Settings } from "./config.ts";

export interface Issuance {
  /** Undefined if the CA's issuer domain name is not known: CAA can neither be judged nor name it. */
  readonly issuer: Issuer | undefined;
  readonly orders: readonly Order[];
}

/**
 * The orders of both ACME clients; undefined if certificates come from elsewhere. Traefik orders for the MTA-STS policy
 * hosts too: they are aliases of the mail host and live under its CAA records, so they are not listed.
 */
export function issuance(
  { hostname, tls, publish }: Settings,
  certificateNames: readonly string[],
): Issuance | undefined {
  if (tls.provider !== "letsencrypt") return undefined;
  const https = publish.port80 === "open" ? "http-01" : "tls-alpn-01";
  const identity = tls.acme.caaIdentity ?? caaIdentity(tls.acme.directory);
  return {
    issuer: identity === undefined ? undefined : { identity, accountUris: tls.acme.accountUris },
    orders: [
      { client: "Traefik", names: [hostname], challenge: https, challengeKey: "vectis:publish.port80" },
      {
        client: "acme.sh",
        names: orderNames(certificateNames),
        challenge: tls.challenge,
        challengeKey: "vectis:tls.challenge",
      },
    ],
  };
}

/** The issuer domain name in CAA records of an ACME directory's CA, where it is known (RFC 8659 section 4.2). */
export function caaIdentity(directory: string): string | undefined {
  return new URL(directory).hostname.endsWith(".api.letsencrypt.org") ? "letsencrypt.org" : undefined;
}
