// Which names an order asks for, and where the CA looks for them in DNS. Pure.
import { covers } from "./validate.ts";

/**
 * The names without those that a wildcard among them covers: Let's Encrypt refuses an order with both. What is wanted
 * is still every name; the certificate covers them. Keeps the order.
 */
export function orderNames(names: readonly string[]): readonly string[] {
  return names.filter((name) => {
    const others = names.filter((other) => other !== name);
    return !covers(others, name);
  });
}

/** Where a CA looks for a name's TXT record (RFC 8555 section 8.4); a wildcard is proven at its parent. */
export const challengeName = (name: string): string => `_acme-challenge.${name.replace(/^\*\./, "")}`;

/**
 * Where it finds it when challenges are delegated: `challengeName` of every name is an alias of this one name.
 * @param hostname the first name of the certificate
 * @param zone the zone for challenges alone
 */
export const delegatedName = (hostname: string, zone: string): string => challengeName(`${hostname}.${zone}`);
