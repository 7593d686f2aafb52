// The style of official plugins on Terraform's plugin framework: inputs stay as the program wrote them, absent values are not stored,
// and a difference is what the planned state changes, named by top-level property only.
import type { Description } from "./resource.ts";
import { check, exact } from "./schema.ts";
import type { Style } from "./style.ts";
import { DEFAULTS, isBag, UNKNOWN, type Bag, type Plain } from "./value.ts";

export const framework: Style = {
  check(type, news, name, about) {
    const { problems } = check(type.fields, news, name, { refused: type.refused, about });
    const inputs = withoutDefaults(news);
    const more = type.rules?.(inputs) ?? [];
    return {
      inputs,
      problems: [...problems, ...more.map(({ path, reason }) => ({ path: `${name}.${path}`, reason }))],
    };
  },

  differ(type, { state }, news, ignored) {
    const kept = Object.fromEntries(
      Object.keys(type.fields)
        .filter((key) => ignored.includes(key) || ignored.includes("*"))
        .map((key): [string, Plain] => [key, state[key] ?? null]),
    );
    const { planned, replaces } = planFor(type, { ...news, ...kept }, state);
    const properties = Object.keys(type.fields).filter((key) => changed(type, key, state, planned));
    return {
      properties: properties.sort(),
      replaces: properties.filter((key) => type.fields[key]?.replaces === true || replaces.includes(key)),
      deleteBeforeReplace: false,
    };
  },

  plan(type, inputs, before) {
    const { planned } = planFor(type, inputs, before);
    return before === undefined ? { ...planned, id: UNKNOWN } : planned;
  },

  stored: (id, state) => ({ ...compact(state), id }),

  inputsOf(type, state, asked) {
    const inputs: Bag = {};
    for (const [key, field] of Object.entries(type.fields)) {
      const value = state[key] ?? null;
      if (field.output === true || value === null) continue;
      if (asked === undefined ? isUnset(value) || value === field.default : asked[key] === undefined) continue;
      inputs[key] = value;
    }
    return inputs;
  },
};

function planFor(type: Description, news: Bag, before: Bag | undefined) {
  const inputs = withoutDefaults(news);
  const planned: Bag = before?.["id"] === undefined ? {} : { id: before["id"] };
  const left: string[] = [];
  for (const [key, field] of Object.entries(type.fields)) {
    const given = field.output === true ? null : (inputs[key] ?? null);
    if (given !== null) planned[key] = given;
    else if (field.default !== undefined) planned[key] = field.default;
    else if (field.output === true || field.computed === true) {
      planned[key] = before === undefined ? UNKNOWN : (before[key] ?? null);
      if (field.keeps !== true) left.push(key);
    } else planned[key] = null;
  }
  if (before !== undefined && Object.keys(type.fields).some((key) => changed(type, key, before, planned))) {
    for (const key of left) planned[key] = UNKNOWN;
  }
  const replaces = type.adjust?.(planned, before, inputs) ?? [];
  return { planned: compact(planned), replaces };
}

function changed(type: Description, key: string, before: Bag, planned: Bag): boolean {
  const shape = type.fields[key]?.shape;
  return shape !== undefined && exact(shape, before[key]) !== exact(shape, planned[key]);
}

const isUnset = (value: Plain): boolean =>
  Array.isArray(value) ? value.length === 0 : isBag(value) && Object.keys(value).length === 0;

/** Without null values, at every level; an object that becomes empty stays. */
export function compact(values: Bag): Bag {
  const inner = (value: Plain): Plain =>
    Array.isArray(value) ? value.map(inner) : isBag(value) ? compact(value) : value;
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, inner(value)]),
  );
}

function withoutDefaults(values: Bag): Bag {
  const inner = (value: Plain): Plain =>
    Array.isArray(value) ? value.map(inner) : isBag(value) ? withoutDefaults(value) : value;
  return Object.fromEntries(
    Object.entries(values)
      .filter(([key]) => key !== DEFAULTS)
      .map(([key, value]) => [key, inner(value)]),
  );
}
