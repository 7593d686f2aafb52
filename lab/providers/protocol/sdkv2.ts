// The style of official plugins on Terraform's SDKv2: defaults become inputs and are listed, everything absent is stored as null or
// zero, and each difference is reported by its path.
import { diff, unchanged, without, type Change } from "./diff.ts";
import { inputsOf, plan } from "./plan.ts";
import { CULPRIT, type Description } from "./resource.ts";
import { canonical, check } from "./schema.ts";
import type { Style } from "./style.ts";
import { DEFAULTS, isBag, isEmpty, list, text, type Bag, type Plain } from "./value.ts";

export const sdkv2: Style = {
  check(type, news, name, about, madeName) {
    const checked = check(type.fields, news, name, { refused: type.refused, about });
    if (type.autoname === true && isEmpty(checked.inputs["name"])) {
      checked.inputs["name"] = madeName();
      checked.inputs[DEFAULTS] = [...list(checked.inputs, DEFAULTS), "name"].sort();
    }
    return checked;
  },

  differ(type, old, news, ignored) {
    const changes = changesOf(type, old.state, news, ignored);
    // One entry for each difference that replaces, as the official provider lists them.
    const replaces = changes.filter((change) => change.replaces).map((change) => change.property);
    const madeUp = list(news, DEFAULTS).includes("name");
    return {
      properties: [...new Set(changes.map((change) => change.property))].sort(),
      replaces,
      deleteBeforeReplace: type.autoname === true && !madeUp && replaces.length > 0,
      detailed: new Map(
        changes.map((change) => [
          change.path,
          {
            kind: change.kind,
            replaces: change.replaces,
            betweenInputs: ownEdit(type, change, old.inputs?.[change.property], news[change.property]),
          },
        ]),
      ),
    };
  },

  plan: (type, inputs, before) => plan(type.fields, inputs, before),

  stored: (_id, state) => state,

  inputsOf(type, state, asked) {
    const same = (key: string): boolean => {
      const field = type.fields[key];
      return field !== undefined && unchanged(key, field, state[key], asked?.[key]);
    };
    const inputs = inputsOf(type.fields, state, asked, same, prune);
    const defaults = asked?.[DEFAULTS];
    return defaults === undefined ? inputs : { ...inputs, [DEFAULTS]: defaults };
  },
};

function changesOf(type: Description, state: Bag, inputs: Bag, ignored: readonly string[]): Change[] {
  const real = without(diff(type.fields, state, inputs), ignored);
  const all = [...real, ...(type.alongside?.(state, real) ?? [])].sort((a, b) => (a.path < b.path ? -1 : 1));
  const culprit = text(state, CULPRIT);
  if (culprit === "" || all.some((change) => change.replaces && change.property === culprit)) return all;
  return [
    ...all.filter((change) => change.property !== culprit),
    { path: culprit, property: culprit, kind: "update", replaces: true },
  ];
}

/**
 * Whether to show a difference between the program's two versions, not between state and program: for a list such as `uploads`,
 * which the state fills up with empty fields, and which a person wants to see line by line.
 */
function ownEdit(type: Description, change: Change, before: Plain | undefined, after: Plain | undefined): boolean {
  const field = type.fields[change.property];
  if (field?.whole !== true || before === undefined || after === undefined) return false;
  return canonical(field.shape, before) !== canonical(field.shape, after);
}

/** A stored value as a program would write it: without what is empty. */
function prune(value: Plain): Plain {
  if (Array.isArray(value))
    return value.length === 0 ? null : value.map((item) => (isBag(item) ? (prune(item) ?? {}) : item));
  if (isBag(value)) {
    const filled = Object.entries(value)
      .map(([key, item]): [string, Plain] => [key, isBag(item) || Array.isArray(item) ? prune(item) : item])
      .filter(([, item]) => item !== null && item !== "" && item !== 0 && item !== false);
    return filled.length === 0 ? null : Object.fromEntries(filled);
  }
  return value === "" ? null : value;
}
