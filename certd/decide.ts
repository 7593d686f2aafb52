// What to do next, as data: stored, published and wanted go in, decisions come out. Pure; certd.ts carries them out.
import { day, duration } from "./journal.ts";
import {
  PLACEHOLDER_MARGIN,
  interruptionBackoff,
  orderBackoff,
  overdueTime,
  renewalPlan,
  renewalTime,
  type RenewalPlan,
  type RenewalWindow,
} from "./schedule.ts";
import type { Origin } from "./generations.ts";
import { orderNames } from "./names.ts";
import { judgePin, type Pinned, type PinVerdict } from "./pin.ts";
import { covers, type Finding, type LeafFacts } from "./validate.ts";

/** The published generation as decisions need it. */
export interface Published {
  readonly number: number;
  readonly origin: Origin;
  readonly leaf: LeafFacts;
  /** The leaf of the RSA certificate beside it, if there is one. */
  readonly rsa?: LeafFacts | undefined;
}

/** What the source offers. */
export type Candidate =
  | { readonly kind: "none" }
  /** The source is being written right now. */
  | { readonly kind: "busy" }
  | { readonly kind: "refused"; readonly findings: readonly Finding[] }
  | {
      readonly kind: "usable";
      readonly leaf: LeafFacts;
      /** The leaf of the RSA certificate beside it, if one is wanted and usable. */
      readonly rsa?: LeafFacts;
      /** Why the RSA certificate beside it is not usable; absent: it is, or there is none. */
      readonly rsaRefused?: readonly Finding[];
    };

/** What the CA suggests about one certificate (RFC 9773 section 4.2). */
export interface Suggestion {
  /** SHA-256 of the leaf that it is about. */
  readonly leaf: string;
  readonly window: RenewalWindow;
  /** A page that tells why; empty if none was given. */
  readonly explanationUrl: string;
}

/** The certificate profile that is wanted, and the one that the last leaf was ordered with; empty: none is named. */
export interface ProfileFacts {
  readonly wanted: string;
  /** SHA-256 of the leaf that `named` is about. */
  readonly leaf: string;
  readonly named: string;
}

export interface Observation {
  readonly now: number;
  /** Now by the CA's clock, as far as it is known: what makes an order due. */
  readonly caNow: number;
  readonly wanted: {
    readonly names: readonly string[];
    /** `undefined`: the source cannot be asked for a certificate, so nothing is ordered. */
    readonly keyType: string | undefined;
    /** SHA-256 of the one public key that a certificate may be for; `undefined`: any key of that type. */
    readonly publicKeySha256?: string | undefined;
    /** Key type of the RSA certificate beside it; `undefined`: none is wanted. */
    readonly rsaKeyType?: string | undefined;
    readonly origin: Origin;
  };
  /** `undefined`: nothing is published, or what is published is damaged. */
  readonly published: Published | undefined;
  /** The last that was published before that, by the source or by a person's rollback. */
  readonly kept?: Published | undefined;
  readonly candidate: Candidate;
  /** SHA-256 of the leaf that the CA has forgotten, if it has. */
  readonly forgotten: string | undefined;
  /** The CA's latest suggestion, if it makes any. */
  readonly suggestion: Suggestion | undefined;
  /** The same for the RSA certificate. */
  readonly rsaSuggestion?: Suggestion | undefined;
  readonly profile?: ProfileFacts | undefined;
  /** The last order brought its first certificate, but not the RSA one. */
  readonly rsaOwed?: boolean;
  /** The generation that a person wants to stay in service, if any. */
  readonly pinned?: Pinned | undefined;
  /** A person has asked for an order. */
  readonly asked?: boolean;
}

export interface Renewal extends RenewalPlan {
  /** What the plan follows, if it follows the CA. */
  readonly suggestion: Suggestion | undefined;
}

/** What an order is for: every certificate that is wanted, or the RSA one alone. */
export type Leaves = "all" | "rsa";

export interface Decision {
  /** Publish this now. */
  readonly publish?:
    | { readonly what: "placeholder" | "candidate" | "kept"; readonly why: string }
    | { readonly what: "pinned"; readonly number: number; readonly why: string };
  /** Why what is offered is usable and yet not published; a sentence. */
  readonly declined?: string;
  /** A new certificate is needed as soon as back-off and CA allow. */
  readonly order?: {
    readonly why: string;
    readonly leaves: Leaves;
    /** A person wants it. */
    readonly asked: boolean;
    /** Nothing fit for service is published, or what is will soon not be. */
    readonly urgent: boolean;
  };
  /** Whether what is pinned stays; absent: nothing is pinned. */
  readonly pin?: PinVerdict;
  /** When and why the certificate in use will be renewed; absent while none is usable. */
  readonly renewal?: Renewal;
}

const isPlaceholder = (published: Published): boolean => published.origin.source === "placeholder";

function sameOrigin(a: Origin, b: Origin): boolean {
  return a.source === b.source && a.directory === b.directory;
}

function coversAll(leaf: LeafFacts, names: readonly string[]): boolean {
  return names.every((name) => covers(leaf.names, name));
}

function valid(leaf: LeafFacts, now: number): boolean {
  return leaf.notBefore <= now && now < leaf.notAfter;
}

/** Why a usable candidate should replace what is published, or why it should not; neither if it is published already. */
function judgeCandidate(
  o: Observation,
  { leaf, rsa }: Candidate & { kind: "usable" },
): { readonly why?: string; readonly declined?: string } {
  const { published } = o;
  if (published === undefined) return { why: "nothing usable was published" };
  if (isPlaceholder(published)) return { why: "it replaces the placeholder" };
  if (!sameOrigin(published.origin, o.wanted.origin)) return { why: "the source was changed" };
  if (published.leaf.sha256 === leaf.sha256) return judgeRsa(o, published.rsa, rsa);
  if (leaf.notBefore >= published.leaf.notBefore) return { why: "it is newer" };
  // Older than what is published (a restored volume, say): only if what is published is of no use any more.
  if (!valid(published.leaf, o.now)) return { why: "the published one has expired" };
  if (!coversAll(published.leaf, o.wanted.names)) return { why: "the published one lacks a name" };
  const from = (time: number): string => new Date(time).toISOString();
  return {
    declined: `It is older than the published certificate (valid from ${from(leaf.notBefore)}, the published one from ${from(published.leaf.notBefore)}).`,
  };
}

/** The same for the RSA certificate alone. One that is published stays while it is wanted and nothing better is there. */
function judgeRsa(
  o: Observation,
  published: LeafFacts | undefined,
  stored: LeafFacts | undefined,
): { readonly why?: string } {
  if (o.wanted.rsaKeyType === undefined) {
    return published === undefined ? {} : { why: "an RSA certificate beside it is no longer wanted" };
  }
  if (stored === undefined || stored.sha256 === published?.sha256) return {};
  if (published === undefined) return { why: "there is an RSA certificate beside it now" };
  const better =
    stored.notBefore >= published.notBefore || !valid(published, o.now) || !coversAll(published, o.wanted.names);
  return better ? { why: "the RSA certificate beside it is newer" } : {};
}

function placeholderReason(o: Observation): string | undefined {
  const { published } = o;
  if (published === undefined) return "nothing usable is published and no certificate is stored yet";
  if (!isPlaceholder(published)) return undefined;
  if (published.leaf.notAfter - o.now < PLACEHOLDER_MARGIN) return "the placeholder is about to expire";
  if (!coversAll(published.leaf, o.wanted.names)) return "the placeholder lacks a name";
  return undefined;
}

function fit(kept: Published | undefined, o: Observation): boolean {
  return kept !== undefined && valid(kept.leaf, o.now) && coversAll(kept.leaf, o.wanted.names);
}

function publication(o: Observation): Pick<Decision, "publish" | "declined"> {
  if (o.candidate.kind === "usable") {
    const { why, declined } = judgeCandidate(o, o.candidate);
    if (declined !== undefined) return { declined };
    return why === undefined ? {} : { publish: { what: "candidate", why } };
  }
  if (o.published === undefined && fit(o.kept, o)) {
    return { publish: { what: "kept", why: "what was published is damaged or gone" } };
  }
  const why = placeholderReason(o);
  return why === undefined ? {} : { publish: { what: "placeholder", why } };
}

/** While a generation is pinned, nothing else is published: what the source brings waits in its store. */
function restoration(number: number, published: Published | undefined): Pick<Decision, "publish"> {
  return published?.number === number ? {} : { publish: { what: "pinned", number, why: "it is pinned" } };
}

/** The best certificate at hand from the wanted source: what is stored or, if newer or alone, what is published. */
function reference(o: Observation, which: "leaf" | "rsa"): LeafFacts | undefined {
  const stored = o.candidate.kind === "usable" ? o.candidate[which] : undefined;
  const published = o.published ?? o.kept;
  const leaf = published?.[which];
  const counts =
    published !== undefined &&
    leaf !== undefined &&
    sameOrigin(published.origin, o.wanted.origin) &&
    valid(leaf, o.caNow) &&
    coversAll(leaf, o.wanted.names);
  if (!counts) return stored;
  return stored !== undefined && stored.notBefore >= leaf.notBefore ? stored : leaf;
}

function difference(
  leaf: LeafFacts,
  wanted: Pick<Observation["wanted"], "names" | "keyType" | "publicKeySha256">,
): string | undefined {
  const names = orderNames(wanted.names);
  const extra = leaf.names.filter((name) => !names.includes(name));
  const missing = names.filter((name) => !leaf.names.includes(name));
  if (extra.length > 0 || missing.length > 0) {
    return `the names changed from ${leaf.names.join(", ")} to ${names.join(", ")}`;
  }
  if (leaf.keyType !== wanted.keyType) return `the key type changed from ${leaf.keyType} to ${wanted.keyType}`;
  const { publicKeySha256: key } = wanted;
  return key === undefined || key === leaf.publicKeySha256 ? undefined : "the stack's key was changed";
}

/** A certificate does not say its profile; of one that nothing is known about, nothing is said. */
function profileDifference({ sha256 }: LeafFacts, profile: ProfileFacts | undefined): string | undefined {
  if (profile === undefined || profile.leaf !== sha256 || profile.named === profile.wanted) return undefined;
  const [from, to] = [profile.named || "none", profile.wanted || "none"];
  return `the profile changed from ${from} to ${to}`;
}

interface OrderReason {
  readonly why?: string;
  readonly leaves?: Leaves;
  readonly renewal?: Renewal;
}

/** Why a certificate is wanted now, if it is; what a person asks for needs no other reason. */
function orderReason(o: Observation): OrderReason {
  if (o.candidate.kind === "busy" || o.wanted.keyType === undefined) return {};
  const own = ownReason(o);
  const rsa = rsaReason(o);
  const [renewal] = [own.renewal, rsa.renewal].filter((plan) => plan !== undefined).sort((a, b) => a.at - b.at);
  const plan = renewal === undefined ? {} : { renewal };
  if (own.why !== undefined) return { why: own.why, leaves: "all", ...plan };
  if (o.asked === true) return { why: "a person has asked for it", leaves: "all", ...plan };
  return { ...rsa, ...plan };
}

function planFor(leaf: LeafFacts, names: readonly string[], latest: Suggestion | undefined): Renewal {
  const suggestion = latest?.leaf === leaf.sha256 ? latest : undefined;
  return { ...renewalPlan(leaf, `${names[0] ?? ""} ${leaf.serial}`, suggestion?.window), suggestion };
}

/** Whether all that is wrong with a certificate is the time: a new order would not be valid earlier, and time heals it. */
export function awaitsItsTime(findings: readonly Finding[]): boolean {
  return findings.length > 0 && findings.every(({ code }) => code === "not-yet-valid");
}

/** Both are renewed as one, unless only the RSA one is missing, or has been left behind. */
function rsaReason(o: Observation): OrderReason {
  const { names, rsaKeyType } = o.wanted;
  if (rsaKeyType === undefined || o.candidate.kind === "refused") return {};
  const leaf = reference(o, "rsa");
  const refused = o.candidate.kind === "usable" ? (o.candidate.rsaRefused ?? []) : [];
  if (awaitsItsTime(refused)) return {};
  if (leaf === undefined) {
    if (refused.length === 0) return { why: "no RSA certificate is stored", leaves: "rsa" };
    const what = refused.map(({ message }) => message).join(" ");
    return { why: `the stored RSA certificate cannot be used: ${what}`, leaves: "rsa" };
  }
  const renewal = planFor(leaf, names, o.rsaSuggestion);
  const changed = difference(leaf, { names, keyType: rsaKeyType });
  if (changed !== undefined) return { why: `of the RSA certificate ${changed}`, leaves: "rsa", renewal };
  if (o.rsaOwed === true) return { why: "the last order brought no RSA certificate", leaves: "rsa", renewal };
  if (o.caNow < renewal.at) return { renewal };
  const why = `the RSA certificate has ${duration(leaf.notAfter - o.caNow)} left, and ${renewalReason(renewal)}`;
  return { why, leaves: (reference(o, "leaf")?.notBefore ?? 0) > leaf.notBefore ? "rsa" : "all", renewal };
}

function ownReason(o: Observation): OrderReason {
  const leaf = reference(o, "leaf");
  const findings = o.candidate.kind === "refused" ? o.candidate.findings : [];
  // Whatever is published: the successor is here, and the clock is wrong.
  if (awaitsItsTime(findings)) return {};
  if (leaf === undefined) {
    if (findings.length === 0) return { why: "no certificate is stored" };
    return { why: `what is stored cannot be used: ${findings.map(({ message }) => message).join(" ")}` };
  }
  const renewal = planFor(leaf, o.wanted.names, o.suggestion);
  const changed = difference(leaf, o.wanted) ?? profileDifference(leaf, o.profile);
  if (changed !== undefined) return { why: changed, renewal };
  if (o.forgotten === leaf.sha256) return { why: "the CA no longer knows the account and the certificate", renewal };
  if (o.caNow < renewal.at) return { renewal };
  const left = duration(leaf.notAfter - o.caNow);
  return { why: `the certificate has ${left} left, and ${renewalReason(renewal)}`, renewal };
}

/** Whether an order cannot wait for days. */
function urgent(o: Observation): boolean {
  const { published, now, caNow } = o;
  const { names, origin, rsaKeyType } = o.wanted;
  // Of another source: staging's, say, which nobody trusts.
  if (published === undefined || !sameOrigin(published.origin, origin)) return true;
  const { leaf, rsa } = published;
  // A window that has ended: the CA is about to revoke, say.
  const ended = [o.suggestion, o.rsaSuggestion].some(
    (suggestion) =>
      suggestion !== undefined &&
      [leaf.sha256, rsa?.sha256].includes(suggestion.leaf) &&
      suggestion.window.end <= caNow,
  );
  if (ended) return true;
  return [leaf, ...(rsaKeyType === undefined || rsa === undefined ? [] : [rsa])].some(
    (one) =>
      !valid(one, now) ||
      !coversAll(one, names) ||
      now >= overdueTime(one.notAfter, renewalTime(one, `${names[0] ?? ""} ${one.serial}`)),
  );
}

/** Why a renewal is planned for its moment, as the end of a sentence. */
export function renewalReason({ suggestion }: Renewal): string {
  if (suggestion === undefined) return "the CA suggests nothing, so a fraction of the lifetime counts";
  const { window, explanationUrl } = suggestion;
  const why = explanationUrl === "" ? "" : ` (it explains why at ${explanationUrl})`;
  return `the CA suggests a renewal between ${day(window.start)} and ${day(window.end)}${why}`;
}

/** What follows from one look at everything. Publication and order are independent: both may be due. */
export function decide(o: Observation): Decision {
  const { why, leaves = "all", renewal } = orderReason(o);
  const pin = o.pinned && judgePin(o.pinned, o.wanted.names, o.now);
  return {
    ...(pin?.kind === "holds" ? restoration(pin.number, o.published) : publication(o)),
    ...(pin === undefined ? {} : { pin }),
    ...(why === undefined ? {} : { order: { why, leaves, asked: o.asked === true, urgent: urgent(o) } }),
    ...(renewal === undefined ? {} : { renewal }),
  };
}

/** Orders so far, as far as the next attempt depends on them. Kept on disk, so that a restart does not forget. */
export interface Attempts {
  /** Failed orders in a row. */
  readonly failures: number;
  readonly lastFailureAt: number;
  /** Orders in a row that certd's own end cut off. */
  readonly interruptions: number;
  readonly lastStartAt: number;
  /** When the CA wants to hear of it again after the last failure; 0 if it did not say. */
  readonly retryAt: number;
}

/** A CA's wish to be left alone longer than this is not believed. */
const LONGEST_RETRY = 8 * 86_400_000;

/** The earliest moment for the next order. A clock that was set back does not prolong the wait. */
export function nextOrderAt(attempts: Attempts, now: number): number {
  const failed = Math.min(attempts.lastFailureAt, now) + orderBackoff(attempts.failures);
  const cutOff = Math.min(attempts.lastStartAt, now) + interruptionBackoff(attempts.interruptions);
  const retry = attempts.retryAt - now > LONGEST_RETRY ? 0 : attempts.retryAt;
  return Math.max(attempts.failures > 0 ? Math.max(failed, retry) : 0, attempts.interruptions > 0 ? cutOff : 0);
}
