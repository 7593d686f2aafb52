// The API token with which the sidecar answers DNS-01 challenges: it can edit the DNS of its zones and nothing else.
import { AccountToken } from "@pulumi/cloudflare/accountToken.js";
import { ApiToken, type ApiTokenArgs } from "@pulumi/cloudflare/apiToken.js";
import * as pulumi from "@pulumi/pulumi";

/** Cloudflare's permission groups by id; the dashboard calls the first one "Zone > DNS > Edit". */
const dnsWrite = "4755a26eedb94da69e1066d98aa820be";
/** acme.sh reads the zone before it writes into it. */
const zoneRead = "c8fed203ed3043cba015a93ad1616f1f";

export interface ChallengeTokenArgs {
  /** What the dashboard calls it. */
  readonly tokenName: string;
  /** Zones whose records it may edit; at least one. */
  readonly zoneIds: readonly string[];
  /** Account that owns the token. Undefined: the user who the stack's own token belongs to. */
  readonly accountId: string | undefined;
  /** Address ranges in CIDR notation that may use it. Empty: any. */
  readonly allowedAddresses: readonly string[];
  /** RFC 3339, UTC. Undefined: it does not end. */
  readonly expiresOn: string | undefined;
}

type TokenInputs = Omit<ApiTokenArgs, "status">;

/**
 * One policy, in the order in which the API answers, else every preview shows a change (terraform-provider-cloudflare
 * 5548, 6092): ids ascending, `resources` as compact JSON.
 */
export function challengeTokenInputs(args: ChallengeTokenArgs): TokenInputs {
  const { tokenName: name, zoneIds, allowedAddresses, expiresOn } = args;
  const zones = [...new Set(zoneIds)].sort().map((id) => [`com.cloudflare.api.account.zone.${id}`, "*"]);
  return {
    name,
    policies: [
      {
        effect: "allow",
        permissionGroups: [dnsWrite, zoneRead].sort().map((id) => ({ id })),
        resources: JSON.stringify(Object.fromEntries(zones)),
      },
    ],
    ...(allowedAddresses.length === 0 ? {} : { condition: { requestIp: { ins: [...allowedAddresses].sort() } } }),
    ...(expiresOn === undefined ? {} : { expiresOn }),
  };
}

export class ChallengeToken extends pulumi.ComponentResource {
  /** The token itself, a secret. */
  readonly value: pulumi.Output<string>;

  constructor(name: string, args: ChallengeTokenArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:dns:ChallengeToken", name, args, opts);
    const inputs = challengeTokenInputs(args);
    const options: pulumi.CustomResourceOptions = {
      parent: this,
      // The API tells a token's value once. After an update in place the provider has forgotten it, and a change of the
      // permissions in place has failed (terraform-provider-cloudflare 7125): another scope is another token. The old one
      // goes last, when the sidecar has the new one.
      replaceOnChanges: ["name", "policies", "condition", "expiresOn"],
    };
    const { accountId } = args;
    const token =
      accountId === undefined
        ? new ApiToken(name, inputs, options)
        : new AccountToken(name, { ...inputs, accountId }, options);
    this.value = pulumi.secret(token.value);
    this.registerOutputs({ value: this.value });
  }
}
