// What a token may do: permission groups, the resources that policies name, and the question of every request. Pure.
import { isBag, type Bag, type Plain } from "../providers/protocol/value.ts";
import { account, user, zones } from "./seed.ts";

type Scope = "com.cloudflare.api.user" | "com.cloudflare.api.account" | "com.cloudflare.api.account.zone";

export interface PermissionGroup {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly [Scope];
}

const group = (id: string, name: string, scope: Scope): PermissionGroup => ({ id, name, scopes: [scope] });

/** The groups that the lab's requests need, with their real ids. */
export const permissionGroups: readonly PermissionGroup[] = [
  group("82e64a83756745bbbb1c9c2701bf816b", "DNS Read", "com.cloudflare.api.account.zone"),
  group("4755a26eedb94da69e1066d98aa820be", "DNS Write", "com.cloudflare.api.account.zone"),
  group("c8fed203ed3043cba015a93ad1616f1f", "Zone Read", "com.cloudflare.api.account.zone"),
  group("0cc3a61731504c89b99ec1be78b77aa0", "API Tokens Read", "com.cloudflare.api.user"),
  group("686d18d5ac6c441c867cbf6771e58a0a", "API Tokens Write", "com.cloudflare.api.user"),
  group("eb56a6953c034b9d97dd838155666f06", "Account API Tokens Read", "com.cloudflare.api.account"),
  group("5bc3f8b21c554832afc660159ab75fa4", "Account API Tokens Write", "com.cloudflare.api.account"),
];

export interface Policy {
  readonly id: string;
  readonly effect: "allow" | "deny";
  /** `{"com.cloudflare.api.account.zone.ID": "*"}`, or one level deeper below an account. */
  readonly resources: Bag;
  readonly permission_groups: readonly { readonly id: string; readonly name: string }[];
}

/** What a request touches. */
export type Target =
  | { readonly kind: "zone"; readonly id: string }
  /** Every zone, those that are added later included. */
  | { readonly kind: "zones" }
  | { readonly kind: "account" }
  | { readonly kind: "user" };

const zoneKey = (id: string): string => `com.cloudflare.api.account.zone.${id}`;
const accountKey = (id: string): string => `com.cloudflare.api.account.${id}`;
const userKey = `com.cloudflare.api.user.${user.id}`;

/** The scope of a resource of this account, undefined of any other. */
export function scopeOf(key: string, value: Plain): Scope | undefined {
  if (key === accountKey(account.id) && isBag(value)) {
    const inner = Object.entries(value).map(([zone, all]) => scopeOf(zone, all));
    const [first] = inner;
    return inner.every((scope) => scope === "com.cloudflare.api.account.zone") ? first : undefined;
  }
  if (value !== "*") return undefined;
  if (key === userKey) return "com.cloudflare.api.user";
  if (key === accountKey(account.id) || key === accountKey("*")) return "com.cloudflare.api.account";
  return [zoneKey("*"), ...zones.map(({ id }) => zoneKey(id))].includes(key)
    ? "com.cloudflare.api.account.zone"
    : undefined;
}

function covers(resources: Bag, target: Target): boolean {
  const within = resources[accountKey(account.id)];
  switch (target.kind) {
    case "zone":
    case "zones": {
      const keys = [zoneKey("*"), ...(target.kind === "zone" ? [zoneKey(target.id)] : [])];
      return [resources, ...(isBag(within) ? [within] : [])].some((level) => keys.some((key) => level[key] === "*"));
    }
    case "account":
      return within === "*" || resources[accountKey("*")] === "*";
    case "user":
      return resources[userKey] === "*";
  }
}

export type Permission = "DNS" | "Zone" | "API Tokens" | "Account API Tokens";
export type Access = "Read" | "Write";

/** Whether the policies allow it. Whoever may write may read; a policy that denies wins over those that allow. */
export function may(policies: readonly Policy[], permission: Permission, access: Access, target: Target): boolean {
  const granting = access === "Read" ? [`${permission} Read`, `${permission} Write`] : [`${permission} Write`];
  const matching = policies.filter(
    ({ resources, permission_groups }) =>
      covers(resources, target) && permission_groups.some(({ name }) => granting.includes(name)),
  );
  return matching.some(({ effect }) => effect === "allow") && matching.every(({ effect }) => effect === "allow");
}
