// What a package describes to the protocol side (service.ts): its configuration, resource types and functions. No types of gRPC.
import type { Change } from "./diff.ts";
import type { Fields, Problem } from "./schema.ts";
import type { Style } from "./style.ts";
import type { Bag } from "./value.ts";

/** A stand-in for one provider plugin. `Api` is what its resources use to reach the world outside. */
export interface Package<Api extends object> {
  /** The package's name, which is also the SDK's: `docker` of `@pulumi/docker`. */
  readonly name: string;
  readonly style: Style;
  readonly config: Readonly<Record<string, ConfigKey>>;
  readonly types: readonly ResourceType<Api>[];
  readonly functions: readonly ProviderFunction<Api>[];
  /** Called when the configuration is known. @throws Error that says which key to change */
  readonly open: (config: Readonly<Record<string, string>>) => Promise<Api> | Api;
  /** A failure in the words of whoever failed; an error's message unless given. */
  readonly reason?: (error: unknown) => string;
}

export interface ConfigKey {
  readonly secret?: boolean;
  /** @throws Error that says what is wrong with a value, without repeating a secret */
  readonly check?: (value: string) => void;
}

interface Surroundings {
  /** Progress, shown beside the resource while the operation lasts. */
  readonly status: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Aborted when the engine cancels the run. */
  readonly signal: AbortSignal;
}

export type Context<Api extends object> = Surroundings & Api;

export interface Made {
  readonly id: string;
  readonly state: Bag;
}

/** How a resource type answers, apart from what its fields say. */
export interface Description {
  readonly token: string;
  /** Version of the upstream state schema: lets the official plugin take over a state without migrating it. */
  readonly stateVersion: number;
  readonly fields: Fields;
  /** Inputs of the official provider that are refused by name. */
  readonly refused: readonly string[];
  /**
   * Whether a missing name is made from the resource's. A fixed name is taken until the old resource is gone,
   * therefore such types are deleted before they are replaced, unless the name was made.
   */
  readonly autoname?: boolean;
  /** What is wrong with inputs that are each right by themselves; paths without the resource's name. */
  readonly rules?: (inputs: Bag) => Problem[];
  /** Differences that the official provider reports beside the real ones (style sdkv2). */
  readonly alongside?: (state: Bag, changes: readonly Change[]) => Change[];
  /** Corrects the planned state in place; answers properties that replace although their inputs did not change (style framework). */
  readonly adjust?: (planned: Bag, before: Bag | undefined, inputs: Bag) => readonly string[];
}

export interface ResourceType<Api extends object> extends Description {
  readonly create: (context: Context<Api>, inputs: Bag, planned: Bag) => Promise<Made>;
  /** Undefined when the resource is gone. Without a prior state this is an import and `id` may also be a name. */
  readonly read: (context: Context<Api>, id: string, prior: Bag | undefined) => Promise<Made | undefined>;
  /** Applies a difference that does not replace; `planned` is the state to return unless the outside knows better. */
  readonly update: (
    context: Context<Api>,
    id: string,
    change: { before: Bag; inputs: Bag; planned: Bag },
  ) => Promise<Bag>;
  readonly remove: (context: Context<Api>, id: string, state: Bag) => Promise<void>;
}

export interface ProviderFunction<Api extends object> {
  readonly token: string;
  readonly fields: Fields;
  /** Arguments of the official provider that are refused by name. */
  readonly refused: readonly string[];
  readonly call: (context: Context<Api>, args: Bag) => Promise<Bag>;
}

/**
 * A resource that exists but did not become what was asked: the engine records it, and the next update replaces it.
 * The culprit is the property to show as the reason of that replacement.
 */
export class HalfMade extends Error {
  readonly made: Made;
  readonly culprit: string;

  constructor(message: string, made: Made, culprit: string) {
    super(message);
    this.made = made;
    this.culprit = culprit;
  }
}

/** Where a half-made resource's state keeps the culprit; the engine hides keys that begin so. */
export const CULPRIT = "__culprit";
