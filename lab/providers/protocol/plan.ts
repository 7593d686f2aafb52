// The state to expect before anything is done: what a preview shows, and what an update in place leaves behind.
import { complete, type Fields } from "./schema.ts";
import { UNKNOWN, type Bag, type Plain } from "./value.ts";

/** @param before the state of an existing resource; without it, what only the engine can tell is unknown */
export function plan(fields: Fields, inputs: Bag, before?: Bag): Bag {
  const planned: Bag = { ...before };
  for (const [key, field] of Object.entries(fields)) {
    const given = inputs[key];
    const told: Plain = before === undefined ? UNKNOWN : (before[key] ?? null);
    if (given !== undefined && given !== null) {
      planned[key] = complete(field.shape, given);
    } else if (field.output === true || field.computed === true) {
      planned[key] = told;
    } else if (field.stays === true && before !== undefined) {
      planned[key] = told;
    } else {
      const nested = (field.shape.is === "list" || field.shape.is === "set") && field.shape.of.is === "object";
      planned[key] = field.default ?? (nested ? [] : null);
    }
  }
  return planned;
}

/**
 * The inputs that would have led to a state: a refresh keeps the program's own form of everything that has not drifted,
 * an import takes all that is not empty.
 */
export function inputsOf(
  fields: Fields,
  state: Bag,
  inputs: Bag | undefined,
  unchanged: (key: string) => boolean,
  prune: (value: Plain) => Plain,
): Bag {
  const out: Bag = {};
  for (const [key, field] of Object.entries(fields)) {
    if (field.output === true || (inputs !== undefined && inputs[key] === undefined)) continue;
    const value = inputs !== undefined && unchanged(key) ? (inputs[key] ?? null) : prune(state[key] ?? null);
    if (value !== null) out[key] = value;
  }
  return out;
}
