// Plain property values as the resources see them, and typed ways to look into them. Secrecy and the wire form live in wire.ts.

export type Plain = null | boolean | number | string | Plain[] | Bag;
export interface Bag {
  [key: string]: Plain;
}

/** A value that the engine does not know yet (only at preview); the engine's own marker for an unknown text. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** The key under which inputs list which of their properties came from a default; the SDKs and the engine hide it. */
export const DEFAULTS = "__defaults";

export function isBag(value: Plain | undefined): value is Bag {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function hasUnknown(value: Plain | undefined): boolean {
  if (value === UNKNOWN) return true;
  if (Array.isArray(value)) return value.some(hasUnknown);
  return isBag(value) && Object.values(value).some(hasUnknown);
}

/** Absent, null and the zero value of any type: what the official provider does not tell apart. */
export function isEmpty(value: Plain | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isBag(value) && Object.keys(value).every((key) => key === DEFAULTS);
}

export function text(bag: Bag, key: string): string {
  const value = bag[key];
  return typeof value === "string" ? value : "";
}

export function int(bag: Bag, key: string): number {
  const value = bag[key];
  return typeof value === "number" ? value : 0;
}

/** A value as part of a sentence. */
export function written(value: Plain | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

/** A bag without some of its keys. */
export function omit(bag: Bag, ...keys: string[]): Bag {
  return Object.fromEntries(Object.entries(bag).filter(([key]) => !keys.includes(key)));
}

export function flag(bag: Bag, key: string): boolean {
  return bag[key] === true;
}

export function list(bag: Bag, key: string): Plain[] {
  const value = bag[key];
  return Array.isArray(value) ? value : [];
}

export function texts(bag: Bag, key: string): string[] {
  return list(bag, key).filter((item) => typeof item === "string");
}

export function bags(bag: Bag, key: string): Bag[] {
  return list(bag, key).filter(isBag);
}

export function bag(parent: Bag, key: string): Bag | undefined {
  const value = parent[key];
  return isBag(value) ? value : undefined;
}

/** A map of texts; entries of another type do not occur after check. */
export function textMap(parent: Bag, key: string): Record<string, string> {
  const entries = Object.entries(bag(parent, key) ?? {});
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** `[{label, value}]`, the form of every label list, as the Docker API's map. */
export function labelMap(parent: Bag, key = "labels"): Record<string, string> {
  return Object.fromEntries(bags(parent, key).map((entry) => [text(entry, "label"), text(entry, "value")]));
}

export function labelList(labels: Record<string, string> | null | undefined): Bag[] {
  return Object.entries(labels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => ({ label, value }));
}
