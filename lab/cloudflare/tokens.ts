// API tokens: what a request may say of one, whether one may be used now and from there. Pure but for new ids and values.
import { createHash, randomBytes, randomInt } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { isBag, written, type Bag, type Plain } from "../providers/protocol/value.ts";
import { permissionGroups, scopeOf, type Policy } from "./permissions.ts";
import { onlyKnown, Refusal } from "./refusal.ts";

/** What a request says of a token, in the names of the API. */
export interface TokenFields {
  readonly name: string;
  readonly status: "active" | "disabled";
  readonly policies: readonly Policy[];
  readonly condition?: {
    readonly request_ip: { readonly in?: readonly string[]; readonly not_in?: readonly string[] };
  };
  /** RFC 3339. */
  readonly not_before?: string;
  readonly expires_on?: string;
}

export interface Token extends TokenFields {
  readonly id: string;
  readonly issued_on: string;
  readonly modified_on: string;
  readonly last_used_on?: string;
}

/** A user's tokens are made under /user/tokens, those of an account under /accounts/ID/tokens. */
export type Owner = "user" | "account";

export interface KeptToken {
  readonly owner: Owner;
  /** SHA-256 of the value, which only the answer to its creation tells. */
  readonly hash: string;
  readonly token: Token;
}

export const newId = (): string => randomBytes(16).toString("hex");
export const hashOf = (value: string): string => createHash("sha256").update(value).digest("hex");

/** 40 letters and digits, as long as real ones. */
export function newValue(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from({ length: 40 }, () => alphabet[randomInt(alphabet.length)]).join("");
}

const invalid = (message: string): Refusal => new Refusal(400, 1001, message);

/**
 * The token that a request's body describes.
 * @throws Refusal for what is missing or malformed, for groups and resources that the account does not have, and for
 *   groups whose scope the resources do not have
 */
export function readToken(body: Bag, owner: Owner, now: Date): TokenFields {
  onlyKnown("the token's property", body, ["name", "status", "policies", "condition", "not_before", "expires_on"]);
  const { name, status = "active", policies } = body;
  if (typeof name !== "string" || name === "" || name.length > 120) throw invalid("name must have 1 to 120 characters");
  if (status !== "active" && status !== "disabled") throw invalid("status must be active or disabled");
  if (!Array.isArray(policies) || policies.length === 0) throw invalid("a token needs at least one policy");
  const expires = readTime(body, "expires_on");
  if (expires !== undefined && Date.parse(expires) <= now.getTime()) throw invalid("expires_on must be in the future");
  const starts = readTime(body, "not_before");
  const condition = readCondition(body["condition"]);
  return {
    name,
    status,
    policies: policies.map((policy) => readPolicy(policy, owner)),
    ...(condition === undefined ? {} : { condition }),
    ...(starts === undefined ? {} : { not_before: starts }),
    ...(expires === undefined ? {} : { expires_on: expires }),
  };
}

function readPolicy(value: Plain, owner: Owner): Policy {
  if (!isBag(value)) throw invalid(`a policy must be an object, not ${written(value)}`);
  onlyKnown("the policy's property", value, ["id", "effect", "resources", "permission_groups"]);
  const { effect, resources, permission_groups: groups } = value;
  if (effect !== "allow" && effect !== "deny") throw invalid("effect must be allow or deny");
  if (!isBag(resources) || Object.keys(resources).length === 0) throw invalid("a policy needs resources");
  if (!Array.isArray(groups) || groups.length === 0) throw invalid("a policy needs permission groups");
  const scopes = Object.entries(resources).map(([key, all]) => {
    const scope = scopeOf(key, all);
    if (scope === undefined) throw invalid(`no such resource: ${key}: ${written(all)}`);
    if (owner === "account" && scope === "com.cloudflare.api.user") {
      throw invalid(`an account's token cannot have the resource ${key}`);
    }
    return scope;
  });
  const found = groups.map((group) => {
    const id = isBag(group) ? group["id"] : undefined;
    const known = permissionGroups.find((candidate) => candidate.id === id);
    if (known === undefined) throw invalid(`no such permission group: ${written(id)}`);
    if (!scopes.includes(known.scopes[0])) {
      throw invalid(`the permission group ${known.name} needs a resource of the scope ${known.scopes[0]}`);
    }
    return { id: known.id, name: known.name };
  });
  // A set: answered in the order of the ids, whatever order they came in.
  const sorted = [...new Map(found.map((one) => [one.id, one])).values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { id: newId(), effect, resources, permission_groups: sorted };
}

function readCondition(value: Plain | undefined): TokenFields["condition"] {
  if (value === undefined || value === null) return undefined;
  if (!isBag(value)) throw invalid("condition must be an object");
  onlyKnown("the condition", value, ["request_ip"]);
  const addresses = value["request_ip"];
  if (!isBag(addresses)) throw invalid("request_ip must be an object with in and not_in");
  onlyKnown("the address condition", addresses, ["in", "not_in"]);
  for (const networks of Object.values(addresses)) {
    if (!Array.isArray(networks)) throw invalid("in and not_in must be lists of addresses or networks");
    for (const network of networks) {
      if (typeof network !== "string" || !isNetwork(network)) {
        throw invalid(`${written(network)} is no address or network such as 192.0.2.25/32 or 2001:db8::/48`);
      }
    }
  }
  return { request_ip: addresses };
}

function readTime(body: Bag, key: string): string | undefined {
  const value = body[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)) {
    throw invalid(`${key} must be a time such as 2027-01-01T00:00:00Z`);
  }
  return value;
}

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

function isNetwork(network: string): boolean {
  const [address = "", length, ...rest] = network.split("/");
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return (
    most > 0 && rest.length === 0 && (length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= most))
  );
}

function isIn(address: string, networks: readonly string[]): boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [net = "", length] = network.split("/");
    if (length === undefined) list.addAddress(net, family(net));
    else list.addSubnet(net, Number(length), family(net));
  }
  return list.check(address, family(address));
}

/** The status that is answered: a token whose time has passed says so. */
export const statusAt = ({ status, expires_on }: TokenFields, now: Date): TokenFields["status"] | "expired" =>
  expires_on !== undefined && Date.parse(expires_on) <= now.getTime() ? "expired" : status;

/**
 * Refuses a token that may not be used now or from this address.
 * @param address of the client, without the prefix of an IPv4 address in IPv6 form
 */
export function checkUsable(token: Token, address: string, now: Date): void {
  const early = token.not_before !== undefined && Date.parse(token.not_before) > now.getTime();
  if (early || statusAt(token, now) !== "active") throw new Refusal(403, 9109, "Invalid access token");
  const { in: allowed, not_in: barred } = token.condition?.request_ip ?? {};
  if ((allowed?.length && !isIn(address, allowed)) || (barred?.length && isIn(address, barred))) {
    throw new Refusal(403, 9109, `Cannot use the access token from location: ${address}`);
  }
}
