// What produces certificates, seen from certd: something that offers a pair, and perhaps does work to have a better one.
// Each kind lives in a file of its own; nothing else in certd knows the kinds apart.
import type { Candidate, Decision, ProfileFacts, Suggestion } from "./decide.ts";
import type { Generation, Origin } from "./generations.ts";
import type { Journal } from "./journal.ts";
import type { Status } from "./status.ts";
import type { Bundle, Finding, LeafFacts } from "./validate.ts";

/** What a source has at the moment, not yet judged. The same content is the same `pair` object. */
export type Reading =
  | { readonly kind: "pair"; readonly pair: Bundle }
  | { readonly kind: "none" }
  /** It is being written right now: whatever lies there may be half a change. */
  | { readonly kind: "busy" }
  /** Something lies there that cannot even be read. */
  | { readonly kind: "unreadable"; readonly findings: readonly Finding[] };

/** What certd lends a source. */
export interface Surroundings {
  readonly journal: Journal;
  /** Milliseconds since the epoch; the only clock. */
  readonly clock: () => number;
  /** What the source offers now, judged. */
  readonly candidate: () => Candidate;
  readonly published: () => Generation | undefined;
  /** Every generation in the volume, for what it tells of earlier orders. */
  readonly generations: () => readonly Generation[];
  readonly https: HttpsLink;
  /** An order begins: whoever asked for one has it. */
  readonly taken: () => void;
  /** The next pass comes at once. */
  readonly wake: () => void;
}

/** What a source may know of the HTTPS side, and tell it. */
export interface HttpsLink {
  /** Whether HTTPS still lacks the certificate that it should have. */
  readonly waits: () => boolean;
  /** The leaf that HTTPS serves; `undefined` while none was seen. */
  readonly served: () => LeafFacts | undefined;
  /** The number by which HTTPS was last told that the CA forgot its account; 0 before the first time. */
  readonly epoch: () => number;
  readonly setEpoch: (epoch: number) => void;
  /** The CA is there again: whoever waits for it need not wait longer. */
  readonly hurry: () => void;
}

export interface Source {
  readonly origin: Origin;
  /** Where certificates come from, as the first line of the log says it. */
  readonly title: string;
  /** What is offered, as the subject of a sentence such as "… is refused". */
  readonly offer: string;
  /** A finding on what is offered, as a sentence that names the place and what to do. */
  explain(finding: Finding): string;
  /** Key type to order with; `undefined`: this source never orders. */
  readonly keyType: string | undefined;
  /** SHA-256 of the public key to order with, lower-case hex; `undefined`: the source chooses a key itself. */
  readonly publicKeySha256?: string | undefined;
  /** Key type of the RSA certificate to order beside it; `undefined`: none is wanted. */
  readonly rsaKeyType?: string | undefined;
  /** The last order brought its first certificate, but not the RSA one. */
  readonly rsaOwed?: boolean;
  /** SHA-256 of the leaf that the CA has forgotten; `undefined` if none. */
  readonly forgotten: string | undefined;
  /** What the CA suggests about renewal; `undefined` if nothing, or if there is no CA. */
  readonly suggestion: Suggestion | undefined;
  /** The same for the RSA certificate. */
  readonly rsaSuggestion?: Suggestion | undefined;
  /** With which profile certificates are ordered; `undefined`: this source never orders. */
  readonly profile?: ProfileFacts | undefined;
  /** Milliseconds by which the CA's clock is ahead of ours, if that is more than a tolerance; else 0. */
  readonly clockOffset: number;
  /** Whether there is a CA and it answered the last time. */
  readonly caAnswers: boolean;
  /** Makes ready; called before the first `read`, and again if it throws, for example on a full disk. */
  start(): void;
  /** What it has now. Cheap when nothing changed. */
  read(): Reading;
  /** Notices what happened to the source itself; called in every pass, after `read` was judged. */
  observe(candidate: Candidate): void;
  /** The clock was set: moments that were to be waited for mean nothing any more. */
  clockWasSet?(): void;
  /** Starts the work that is due, one thing at a time; called in every pass, after publication. */
  work(decision: Decision): void;
  /** Gives up running work; resolves when it has ended. */
  stop(): Promise<void>;
  status(decision: Decision): SourceStatus;
}

export type SourceStatus = Pick<Status, "order" | "ca" | "budget">;
