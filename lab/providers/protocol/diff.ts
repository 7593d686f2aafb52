// What a changed program means for a resource: the differences between its state and the new inputs, and whether they replace.
// Pure: a resource type's description decides, as the official provider's recorded answers show.
import { canonical, segment, type Field, type Fields, type Shape } from "./schema.ts";
import { DEFAULTS, hasUnknown, isBag, isEmpty, type Bag, type Plain } from "./value.ts";

export interface Change {
  /** Where, as the engine writes it: `ports[0].external`. */
  readonly path: string;
  /** The top-level property. */
  readonly property: string;
  readonly kind: "add" | "delete" | "update";
  readonly replaces: boolean;
}

/** Differences, sorted by path; empty when nothing is to be done. */
export function diff(fields: Fields, state: Bag, inputs: Bag): Change[] {
  return Object.entries(fields)
    .flatMap(([key, field]) => compareField(key, key, field, state[key], inputs[key], field.replaces === true))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Whether one property is unchanged. */
export function unchanged(key: string, field: Field, before: Plain | undefined, after: Plain | undefined): boolean {
  return compareField(key, key, field, before, after, false).length === 0;
}

/** Leaves out what the program asked to ignore: a path covers itself and everything below. */
export function without(changes: readonly Change[], ignored: readonly string[]): Change[] {
  const covers = (pattern: string, path: string): boolean =>
    pattern === "*" || path === pattern || path.startsWith(`${pattern}.`) || path.startsWith(`${pattern}[`);
  return changes.filter((change) => !ignored.some((pattern) => covers(pattern.replace(/\[\*\]$/, ""), change.path)));
}

function compareField(
  path: string,
  property: string,
  field: Field,
  before: Plain | undefined,
  given: Plain | undefined,
  replaces: boolean,
): Change[] {
  if (field.output === true) return [];
  let after = given;
  if (after === undefined || after === null) {
    if (field.computed === true) return [];
    after = field.default ?? null;
  }
  if (field.emptyIsNoChange === true && isEmpty(after)) return [];
  if (field.same?.(before ?? null, after) === true) return [];
  return compare(path, property, field, field.shape, before ?? null, after, replaces);
}

function compare(
  path: string,
  property: string,
  field: Field,
  shape: Shape,
  before: Plain,
  after: Plain,
  replaces: boolean,
): Change[] {
  const change = (kind: Change["kind"], at = path): Change => ({ path: at, property, kind, replaces });
  if (hasUnknown(after)) return [change(isEmpty(before) && before !== "" ? "add" : "update")];
  if (canonical(shape, before) === canonical(shape, after)) return [];
  switch (shape.is) {
    case "text":
    case "int":
    case "flag":
      if (before === null) return [change("add")];
      return [change(after === null ? "delete" : "update")];
    case "map": {
      if (before === null) return [change("add")];
      const old = isBag(before) ? before : {};
      const now = isBag(after) ? after : {};
      const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((key) => key !== DEFAULTS);
      return keys
        .filter((key) => old[key] !== now[key])
        .map((key) => change(!(key in old) ? "add" : !(key in now) ? "delete" : "update", path + segment(key)));
    }
    case "list":
    case "set": {
      if (isEmpty(before)) return [change("add")];
      if (isEmpty(after)) return [change("delete")];
      if (field.whole === true || !Array.isArray(before) || !Array.isArray(after)) return [change("update")];
      const common = shape.is === "list" ? undefined : new Set(before.map((item) => canonical(shape.of, item)));
      const kept = new Set(after.map((item) => canonical(shape.of, item)).filter((item) => common?.has(item)));
      const at = (items: Plain[], i: number): Plain | undefined =>
        i < items.length && !kept.has(canonical(shape.of, items[i])) ? items[i] : undefined;
      const changes: Change[] = [];
      for (let i = 0; i < Math.max(before.length, after.length); i++) {
        const [old, now] = [at(before, i), at(after, i)];
        if (old === undefined && now === undefined) continue;
        if (old === undefined) changes.push(change("add", `${path}[${i}]`));
        else if (now === undefined) changes.push(change("delete", `${path}[${i}]`));
        else changes.push(...compare(`${path}[${i}]`, property, field, shape.of, old, now, replaces));
      }
      return changes;
    }
    case "object": {
      if (before === null) return [change("add")];
      if (!isBag(before) || !isBag(after)) return [change(after === null ? "delete" : "update")];
      return Object.entries(shape.fields).flatMap(([key, inner]) =>
        compareField(path + segment(key), property, inner, before[key], after[key], replaces),
      );
    }
  }
}
