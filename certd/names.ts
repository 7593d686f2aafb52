// Which names an order asks for. Pure.
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
