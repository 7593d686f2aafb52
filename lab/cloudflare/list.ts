// Filters, order and paging of list requests. Pure.
import { written, type Plain } from "../providers/protocol/value.ts";
import { onlyKnown, Refusal, unknownInput } from "./refusal.ts";

export type Query = Readonly<Record<string, string>>;

export interface Page<T> {
  readonly items: readonly T[];
  readonly info: {
    readonly page: number;
    readonly per_page: number;
    readonly count: number;
    readonly total_count: number;
    readonly total_pages: number;
  };
}

/** How a kind of thing is listed. */
export interface Listing<T> {
  /** What can be asked for, and what an item has there. */
  readonly fields: Readonly<Record<string, (item: T) => Plain>>;
  /** Fields that also take `.exact`, `.contains`, `.startswith` and `.endswith`. */
  readonly searched: readonly string[];
  readonly perPage: number;
  readonly most: number;
  /** Other forms of an exact value that find the same items. */
  readonly forms?: (field: string, asked: string) => readonly string[];
}

const paging = ["page", "per_page", "order", "direction", "match"];
const operators = {
  exact: (has: string, asked: string) => has === asked,
  contains: (has: string, asked: string) => has.includes(asked),
  startswith: (has: string, asked: string) => has.startsWith(asked),
  endswith: (has: string, asked: string) => has.endsWith(asked),
} as const;

/** @throws Refusal for a filter that the stand-in does not know, by name, and for a page that cannot be */
export function list<T>(items: readonly T[], query: Query, listing: Listing<T>): Page<T> {
  const { fields, searched } = listing;
  const filters = [
    ...Object.keys(fields),
    ...searched.flatMap((field) => Object.keys(operators).map((name) => `${field}.${name}`)),
  ];
  onlyKnown("the query parameter", query, [...filters, ...paging]);
  const tests = Object.entries(query)
    .filter(([key]) => filters.includes(key))
    .map(([key, asked]) => test(key, asked, listing));
  const any = choice(query, "match", ["all", "any"]) === "any";
  const found = items.filter((item) =>
    any && tests.length > 0 ? tests.some((is) => is(item)) : tests.every((is) => is(item)),
  );
  const order = choice(query, "order", Object.keys(fields));
  const sign = choice(query, "direction", ["asc", "desc"]) === "desc" ? -1 : 1;
  const key = order === undefined ? undefined : fields[order];
  if (key !== undefined) {
    found.sort((a, b) => sign * written(key(a)).localeCompare(written(key(b)), "en", { numeric: true }));
  }
  return pageOf(found, number(query, "page", 1, 1e6), number(query, "per_page", listing.perPage, listing.most));
}

function test<T>(key: string, asked: string, { fields, forms }: Listing<T>): (item: T) => boolean {
  const exact = fields[key];
  const dot = key.lastIndexOf(".");
  const field = exact === undefined ? key.slice(0, dot) : key;
  const operator = exact === undefined ? operators[key.slice(dot + 1) as keyof typeof operators] : operators.exact;
  const wanted = [asked, ...(operator === operators.exact ? (forms?.(field, asked) ?? []) : [])];
  return (item) => {
    const has = written(fields[field]?.(item)).toLowerCase();
    return wanted.some((one) => operator(has, one.toLowerCase()));
  };
}

function pageOf<T>(found: readonly T[], page: number, perPage: number): Page<T> {
  const items = found.slice((page - 1) * perPage, page * perPage);
  return {
    items,
    info: {
      page,
      per_page: perPage,
      count: items.length,
      total_count: found.length,
      total_pages: Math.ceil(found.length / perPage),
    },
  };
}

function choice(query: Query, key: string, choices: readonly string[]): string | undefined {
  const value = query[key];
  if (value !== undefined && !choices.includes(value)) throw unknownInput("the query parameter", key, value);
  return value;
}

function number(query: Query, key: string, fallback: number, most: number): number {
  const value = query[key];
  if (value === undefined) return fallback;
  if (!/^[1-9]\d*$/.test(value) || Number(value) > most) {
    throw new Refusal(400, 9400, `${key} must be a whole number from 1 to ${most}, not ${value}`);
  }
  return Number(value);
}
