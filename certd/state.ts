// What certd remembers across restarts about its dealings with one CA; one small file in that CA's home.
import { readFileSync } from "node:fs";
import { replaceFile } from "./files.ts";
import type { Issued } from "./budget.ts";
import type { Attempts, Suggestion } from "./decide.ts";

export interface LastOrder {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly ok: boolean;
  /** Why it failed, and what a person can do; empty if it did not. */
  readonly cause: string;
  readonly advice: string;
}

export interface CaState extends Attempts {
  /** Names and key type that the failures belong to; other wishes start afresh. */
  readonly wanted: string;
  /** An order has been started and its end has not been recorded. */
  readonly ordering: boolean;
  readonly lastOrder: LastOrder | null;
  /** The last order brought its first certificate, but not the RSA one, or was cut off between them. */
  readonly rsaOwed: boolean;
  /** The account's URL when last looked at, and the leaf that was stored then. */
  readonly accountUrl: string;
  readonly seenLeaf: string;
  /** The profile that `seenLeaf` was ordered with; empty: none was named. */
  readonly profile: string;
  /** SHA-256 of a stored leaf that the CA has forgotten; empty if none. */
  readonly forgotten: string;
  /** The number that `ca-epoch` must say; 0 before the first time. */
  readonly epoch: number;
  /** What was issued in the last days, whoever ordered it; for the budget of duplicate certificates. */
  readonly issued: readonly Issued[];
  /** The CA's latest suggestion, kept so that a plan does not change while the CA is away. */
  readonly suggestion: Suggestion | null;
  /** The same for the RSA certificate. */
  readonly rsaSuggestion: Suggestion | null;
}

const FRESH: CaState = {
  failures: 0,
  lastFailureAt: 0,
  interruptions: 0,
  lastStartAt: 0,
  retryAt: 0,
  wanted: "",
  ordering: false,
  lastOrder: null,
  rsaOwed: false,
  accountUrl: "",
  seenLeaf: "",
  profile: "",
  forgotten: "",
  epoch: 0,
  issued: [],
  suggestion: null,
  rsaSuggestion: null,
};

export class StateFile {
  private readonly path: string;
  private readonly written: () => void;
  private state: CaState;

  /** @param written called after each change that reached the disk */
  constructor(path: string, written: () => void = () => undefined) {
    this.path = path;
    this.written = written;
    this.state = load(path);
  }

  get value(): CaState {
    return this.state;
  }

  /** Changes fields and writes them to the disk before returning; an unchanged state is not written. */
  update(change: Partial<CaState>): void {
    const next = { ...this.state, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.state)) return;
    replaceFile(this.path, JSON.stringify(next, undefined, 2) + "\n", 0o600, true);
    this.state = next;
    this.written();
  }
}

/** A missing or damaged file is a fresh start: at worst one order too early. */
function load(path: string): CaState {
  try {
    return { ...FRESH, ...(JSON.parse(readFileSync(path, "utf8")) as Partial<CaState>) };
  } catch {
    return FRESH;
  }
}
