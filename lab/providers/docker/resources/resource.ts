// What every resource type of the provider offers to the protocol side (service.ts), and what it may use.
import type Docker from "dockerode";
import type { Change } from "../diff.ts";
import type { Fields } from "../schema.ts";
import type { Bag } from "../value.ts";

export interface Context {
  readonly docker: () => Promise<Docker>;
  /** Progress, shown beside the resource while the operation lasts. */
  readonly status: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Aborted when the engine cancels the run. */
  readonly signal: AbortSignal;
}

export interface Made {
  readonly id: string;
  readonly state: Bag;
}

export interface ResourceType {
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
  readonly autoname: boolean;
  /** Differences that the official provider reports beside the real ones. */
  readonly alongside?: (state: Bag, changes: readonly Change[]) => Change[];
  readonly create: (context: Context, inputs: Bag) => Promise<Made>;
  /** Undefined when the resource is gone. Without a prior state this is an import and `id` may also be a name. */
  readonly read: (context: Context, id: string, prior: Bag | undefined) => Promise<Made | undefined>;
  /** Applies a difference that does not replace; `planned` is the state to return unless the engine knows better. */
  readonly update: (context: Context, id: string, change: { before: Bag; inputs: Bag; planned: Bag }) => Promise<Bag>;
  readonly remove: (context: Context, id: string, state: Bag) => Promise<void>;
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

/** Tries until `done` answers true. The pace is that of a local socket: fast enough not to be noticed, slow enough for two cores. */
export async function until(
  done: () => Promise<boolean>,
  limits: { readonly seconds: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const end = Date.now() + limits.seconds * 1000;
  for (;;) {
    limits.signal.throwIfAborted();
    if (await done()) return true;
    if (Date.now() >= end) return false;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 200);
      limits.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}
