// The API's snake_case against the camelCase of programs.
import { isBag, type Bag, type Plain } from "../protocol/value.ts";

const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** An answer of the API with the names that programs use, without null values. */
export function fromApi(value: Plain): Plain {
  return renamed(value, camel);
}

/** A program's value with the names of the API, without null values. */
export function toApi(value: Plain): Plain {
  return renamed(value, snake);
}

export function bagFromApi(value: Plain): Bag {
  const named = fromApi(value);
  return isBag(named) ? named : {};
}

function renamed(value: Plain, name: (key: string) => string): Plain {
  if (Array.isArray(value)) return value.map((item) => renamed(item, name));
  if (!isBag(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [name(key), renamed(item, name)]),
  );
}
