// What differs between plugins by the library that the official ones are built on: how inputs are completed, states planned and
// differences reported. Two ways exist: sdkv2.ts (docker) and framework.ts (cloudflare, tls). Pure.
import type { Description } from "./resource.ts";
import type { Checked } from "./schema.ts";
import type { Bag } from "./value.ts";

export interface Difference {
  /** Names of the top-level properties that differ; empty when nothing is to be done. */
  readonly properties: readonly string[];
  readonly replaces: readonly string[];
  readonly deleteBeforeReplace: boolean;
  /** Undefined when only the properties are told. */
  readonly detailed?: ReadonlyMap<string, Detail>;
}

export interface Detail {
  readonly kind: "add" | "delete" | "update";
  readonly replaces: boolean;
  /** The difference to show is the one between the program's two versions, not between state and program. */
  readonly betweenInputs: boolean;
}

export interface Style {
  /**
   * @param about the package's name, for messages
   * @param madeName a name for resources that the program leaves unnamed
   */
  readonly check: (type: Description, news: Bag, name: string, about: string, madeName: () => string) => Checked;
  readonly differ: (
    type: Description,
    old: { readonly state: Bag; readonly inputs: Bag | undefined },
    news: Bag,
    ignored: readonly string[],
  ) => Difference;
  /** The state to expect; without `before` that of a new resource. */
  readonly plan: (type: Description, inputs: Bag, before?: Bag) => Bag;
  /** A state as it is stored. */
  readonly stored: (id: string, state: Bag) => Bag;
  /** The inputs that would have led to a state; without `asked` those of an import. */
  readonly inputsOf: (type: Description, state: Bag, asked: Bag | undefined) => Bag;
}
