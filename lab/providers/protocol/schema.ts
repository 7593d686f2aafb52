// The language in which a resource type describes its properties as data, and what follows from a description alone:
// validation with defaults (check), the stored form (complete) and the form to compare (canonical).
import { DEFAULTS, isBag, isEmpty, UNKNOWN, type Bag, type Plain } from "./value.ts";
import { isForeign } from "./wire.ts";

export type Shape =
  | { readonly is: "text" | "int" | "flag" | "map" }
  | { readonly is: "list" | "set"; readonly of: Shape }
  | { readonly is: "object"; readonly fields: Fields };

export interface Field {
  readonly shape: Shape;
  /** A change replaces the resource; otherwise it is an update in place. */
  readonly replaces?: boolean;
  /** The engine fills it in when it is not set; removing it from a program changes nothing. */
  readonly computed?: boolean;
  /** Never an input: only reported. */
  readonly output?: boolean;
  readonly required?: boolean;
  readonly default?: Plain;
  /** A changed set is reported as one difference, not element by element. */
  readonly whole?: boolean;
  /** An empty text means "as it is" and makes no difference. */
  readonly emptyIsNoChange?: boolean;
  /** Not set: the value that the engine chose stays in the state (and differs at every update). */
  readonly stays?: boolean;
  /** A reported value survives a change of other properties; otherwise it is unknown until the update is done. */
  readonly keeps?: boolean;
  /** Always kept as a secret. */
  readonly secret?: boolean;
  /** Equality beyond the order of elements. */
  readonly same?: (before: Plain, after: Plain) => boolean;
  /** What is wrong with a value, as the end of a sentence that begins with the property's name. */
  readonly rule?: (value: Plain) => string | undefined;
}

export type Fields = Readonly<Record<string, Field>>;
type Options = Omit<Field, "shape">;

const TEXT: Shape = { is: "text" };
export const text = (options: Options = {}): Field => ({ shape: TEXT, ...options });
export const int = (options: Options = {}): Field => ({ shape: { is: "int" }, ...options });
export const flag = (options: Options = {}): Field => ({ shape: { is: "flag" }, ...options });
export const map = (options: Options = {}): Field => ({ shape: { is: "map" }, ...options });
export const textList = (options: Options = {}): Field => ({ shape: { is: "list", of: TEXT }, ...options });
export const textSet = (options: Options = {}): Field => ({ shape: { is: "set", of: TEXT }, ...options });
export const object = (fields: Fields, options: Options = {}): Field => ({
  shape: { is: "object", fields },
  ...options,
});
export const objectList = (fields: Fields, options: Options = {}): Field => ({
  shape: { is: "list", of: { is: "object", fields } },
  ...options,
});
export const objectSet = (fields: Fields, options: Options = {}): Field => ({
  shape: { is: "set", of: { is: "object", fields } },
  ...options,
});
export const labels = (options: Options = {}): Field =>
  objectSet({ label: text({ required: true }), value: text({ required: true }) }, { replaces: true, ...options });

export const matches =
  (pattern: RegExp, sentence: string) =>
  (value: Plain): string | undefined =>
    typeof value === "string" && !pattern.test(value) ? sentence : undefined;
export const oneOf =
  (...known: string[]) =>
  (value: Plain): string | undefined =>
    typeof value === "string" && !known.includes(value)
      ? `must be one of ${known.join(", ")}, not '${value}'`
      : undefined;
export const atLeast =
  (minimum: number) =>
  (value: Plain): string | undefined =>
    typeof value === "number" && value < minimum ? `must be ${minimum} or more` : undefined;

/** One thing wrong with a resource's inputs; the path starts with the resource's name. */
export interface Problem {
  readonly path: string;
  readonly reason: string;
}

export interface Checked {
  readonly inputs: Bag;
  readonly problems: readonly Problem[];
}

/** What a message needs to know about the package: its name, and which inputs only the official plugin takes. */
export interface Limits {
  readonly about: string;
  readonly refused: readonly string[];
}

/** Validates what a program sets and fills in defaults, recording which, at every level. */
export function check(fields: Fields, values: Bag, name: string, limits: Limits): Checked {
  const problems: Problem[] = [];
  const inputs = checkObject(fields, values, name, problems, limits);
  return { inputs, problems };
}

function checkObject(fields: Fields, values: Bag, at: string, problems: Problem[], limits: Limits): Bag {
  const out: Bag = {};
  for (const [key, value] of Object.entries(values)) {
    if (key === DEFAULTS || value === null) continue;
    const field = fields[key];
    const path = `${at}.${key}`;
    if (field === undefined || field.output === true) {
      problems.push({
        path,
        reason: field ? `'${key}' is an output and cannot be set` : strange(key, fields, limits),
      });
      continue;
    }
    out[key] = checkValue(field, field.shape, value, path, problems, limits);
    const broken = value === UNKNOWN ? undefined : field.rule?.(value);
    if (broken !== undefined) problems.push({ path, reason: `'${key}' ${broken}` });
  }
  const defaulted: string[] = [];
  for (const [key, field] of Object.entries(fields)) {
    if (key in out) continue;
    if (field.required === true) {
      problems.push({ path: `${at}.${key}`, reason: `the input '${key}' is required and not set` });
    } else if (field.default !== undefined && !isEmpty(field.default)) {
      out[key] = field.default;
      defaulted.push(key);
    }
  }
  out[DEFAULTS] = defaulted.sort();
  return out;
}

function checkValue(
  field: Field,
  shape: Shape,
  value: Plain,
  path: string,
  problems: Problem[],
  limits: Limits,
): Plain {
  if (value === UNKNOWN) return value;
  const wrong = (wanted: string): Plain => {
    problems.push({
      path,
      reason: `${wanted} is expected, not ${isForeign(value) ? "an asset or a resource" : kind(value)}`,
    });
    return value;
  };
  switch (shape.is) {
    case "text":
      return typeof value === "string" ? value : wrong("a text");
    case "int":
      return typeof value === "number" && Number.isInteger(value) ? value : wrong("a whole number");
    case "flag":
      return typeof value === "boolean" ? value : wrong("true or false");
    case "map":
      if (!isBag(value) || isForeign(value)) return wrong("a map of texts");
      for (const [key, item] of Object.entries(value)) {
        if (typeof item !== "string") {
          problems.push({ path: `${path}${segment(key)}`, reason: `a text is expected, not ${kind(item)}` });
        }
      }
      return value;
    case "list":
    case "set":
      if (!Array.isArray(value)) return wrong("a list");
      return value.map((item, i) => checkValue(field, shape.of, item, `${path}[${i}]`, problems, limits));
    case "object":
      if (!isBag(value) || isForeign(value)) return wrong("an object");
      return checkObject(shape.fields, value, path, problems, limits);
  }
}

function strange(key: string, fields: Fields, { about, refused }: Limits): string {
  if (refused.includes(key)) {
    return `'${key}' is not supported by this stand-in for the ${about} provider; the official plugin has it`;
  }
  const near = Object.keys(fields).find((known) => !fields[known]?.output && alike(known, key));
  return `unknown input '${key}'${near === undefined ? "" : `; is '${near}' meant?`}`;
}

/** The usual slip is a plural: Terraform's `env`, `dns_search`, `upload` are `envs`, `dnsSearches`, `uploads` here. */
function alike(known: string, key: string): boolean {
  const plain = (name: string) =>
    name
      .toLowerCase()
      .replace(/[^a-z0-9]/g, "")
      .replace(/e?s$/, "");
  return plain(known) === plain(key) || (key.length > 3 && known.startsWith(key));
}

function kind(value: Plain): string {
  if (value === null) return "nothing";
  if (typeof value === "string") return "a text";
  if (typeof value === "number") return "a number";
  if (typeof value === "boolean") return "true or false";
  return Array.isArray(value) ? "a list" : "an object";
}

/** How a key is written in a property path: `.key`, or `["key"]` where it is no identifier. */
export function segment(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/**
 * The stored form of a value: every field of a nested object is there. What a program left out is null after a create and
 * the zero value after a refresh, because the official provider stores it so; comparisons treat both as equal.
 */
export function complete(shape: Shape, value: Plain | undefined, refreshed = false): Plain {
  if (value === undefined || value === null || value === UNKNOWN) return value ?? null;
  switch (shape.is) {
    case "text":
    case "int":
    case "flag":
    case "map":
      return value;
    case "list":
    case "set":
      return Array.isArray(value) ? value.map((item) => complete(shape.of, item, refreshed)) : value;
    case "object":
      if (!isBag(value)) return value;
      return Object.fromEntries(
        Object.entries(shape.fields).map(([key, field]) => [
          key,
          value[key] === undefined || value[key] === null
            ? (field.default ?? absent(field.shape, refreshed))
            : complete(field.shape, value[key], refreshed),
        ]),
      );
  }
}

function absent(shape: Shape, refreshed: boolean): Plain {
  switch (shape.is) {
    case "text":
      return "";
    case "list":
    case "set":
      return [];
    case "int":
      return refreshed ? 0 : null;
    case "flag":
      return refreshed ? false : null;
    case "map":
      return refreshed ? {} : null;
    case "object":
      return null;
  }
}

/** The form in which two values are equal when the official provider sees no difference between them. */
export function canonical(shape: Shape, value: Plain | undefined): string {
  return JSON.stringify(plainest(shape, value));
}

function plainest(shape: Shape, value: Plain | undefined): Plain {
  const given = value ?? null;
  switch (shape.is) {
    case "text":
    case "int":
    case "flag":
      return isEmpty(given) ? null : given;
    case "map":
      return isBag(given) && !isEmpty(given)
        ? Object.fromEntries(Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)))
        : null;
    case "list":
      return Array.isArray(given) && given.length > 0 ? given.map((item) => plainest(shape.of, item)) : null;
    case "set":
      return Array.isArray(given) && given.length > 0
        ? [...new Set(given.map((item) => canonical(shape.of, item)))].sort()
        : null;
    case "object":
      if (!isBag(given)) return null;
      return Object.fromEntries(
        Object.entries(shape.fields).map(([key, field]) => [key, plainest(field.shape, given[key] ?? field.default)]),
      );
  }
}

/** The form in which two values are equal when they are the same to the letter, whatever the order of keys and sets. */
export function exact(shape: Shape, value: Plain | undefined): string {
  return JSON.stringify(ordered(shape, value ?? null));
}

function ordered(shape: Shape, value: Plain): Plain {
  if (Array.isArray(value)) {
    const items = value.map((item) => (shape.is === "list" || shape.is === "set" ? ordered(shape.of, item) : item));
    return shape.is === "set" ? items.map((item) => JSON.stringify(item)).sort() : items;
  }
  if (!isBag(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => {
        const field = shape.is === "object" ? shape.fields[key] : undefined;
        return [key, field === undefined ? item : ordered(field.shape, item)];
      }),
  );
}
