// Whether TLSA records may be published, and whether a change of the key generation would leave a sender without a
// matching record. Pure. The order of a rollover is RFC 7671 section 8.1: publish, wait, switch, retire.
import { keyGenerations } from "../../components/tlsa.ts";
import { error, note, warning, type Finding } from "./finding.ts";

/** What the configuration asks for. */
export interface DaneWish {
  readonly mailHost: string;
  /** Generation that is to be in use. */
  readonly generation: number;
  /** Type of the stack's keys, for example `ec-256`. */
  readonly keyType: string;
  /** Seconds that a TLSA record may be cached. */
  readonly ttl: number;
}

/** A TLSA record of this stack as its zone holds it. */
export interface PublishedTlsa {
  readonly generation: number;
  /** SHA-256 of the public key, upper-case hex. */
  readonly certificate: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** The key that port 25 serves. */
export interface ServedKey {
  /** SHA-256 of the public key, upper-case hex. */
  readonly sha256: string;
  /** For example `ec-256`. */
  readonly type: string;
}

export interface DaneFacts {
  /** Whether a validating resolver calls the mail host's name secure. */
  readonly secure: boolean | { readonly unanswered: string };
  /** Undefined if the zone could not be listed, or is not the stack's. */
  readonly published: readonly PublishedTlsa[] | undefined;
  readonly served: ServedKey | { readonly unanswered: string };
  /** SHA-256 of the stack's keys by generation; undefined at a preview that cannot know them yet. */
  readonly keys: ReadonlyMap<number, string> | undefined;
}

const key = {
  dane: "vectis:dns.dane",
  generation: "vectis:keys.generation",
  type: "vectis:tls.acme.keyType",
} as const;

/** @param now milliseconds since the epoch */
export function daneFindings(wish: DaneWish, facts: DaneFacts, now: number): Finding[] {
  const unsigned = unsignedFindings(wish, facts);
  if (unsigned.some(({ severity }) => severity === "error")) return unsigned;
  return [...unsigned, ...recordFindings(wish, facts, now)];
}

function recordFindings(wish: DaneWish, facts: DaneFacts, now: number): Finding[] {
  const { published } = facts;
  if (published === undefined) {
    const risk = "whether the key in use has a record, and for how long, was not checked";
    return [
      warning(key.dane, `is on, and the zone's TLSA records cannot be seen from here: ${risk}`),
      ...unseenTypeFindings(wish, facts),
    ];
  }
  if (published.length === 0) return firstFindings(wish, facts);
  const type = typeFindings(wish, published, facts);
  return type.length > 0 ? type : changeFindings(wish, published, facts, now);
}

/** Another type makes every key anew, the one in use too: no step of the generation would lead there. */
function typeFindings({ keyType }: DaneWish, published: readonly PublishedTlsa[], { served }: DaneFacts): Finding[] {
  // A key without a record, such as a placeholder's, says nothing of the stack's keys.
  if ("unanswered" in served || !published.some(({ certificate }) => certificate === served.sha256)) return [];
  if (served.type === keyType) return [];
  const what = `is ${keyType}, but the key in use is ${served.type}: all keys and TLSA records would be replaced at once`;
  return [error(key.type, `${what}; ${otherType}`)];
}

const otherType =
  "set vectis:dns.dane to off and update, wait for two TTLs, change the type and update; " +
  "set vectis:dns.dane to on again when `vectis verify` is content";

function unseenTypeFindings({ keyType }: DaneWish, { served }: DaneFacts): Finding[] {
  if ("unanswered" in served || served.type === keyType) return [];
  const what = `is ${keyType}, but port 25 serves an ${served.type} key: if a TLSA record names that one, ${otherType}`;
  return [warning(key.type, what)];
}

function unsignedFindings({ mailHost }: DaneWish, { secure }: DaneFacts): Finding[] {
  if (secure === true) return [];
  if (secure === false) {
    const how = "turn DNSSEC on at the DNS host and give its DS record to the registrar, or set vectis:dns.dane to off";
    return [error(key.dane, `is on, and the zone of ${mailHost} is not signed: nobody may trust a TLSA there; ${how}`)];
  }
  const risk = "whether its zone is signed was not checked";
  return [
    warning(key.dane, `is on, and no validating resolver answered for ${mailHost} (${secure.unanswered}): ${risk}`),
  ];
}

/** The first records: they must match what is served at that moment. */
function firstFindings({ generation }: DaneWish, { served, keys }: DaneFacts): Finding[] {
  if (keys === undefined) return [note(key.dane, "is compared with the key on port 25 when the update begins")];
  if (keyOf(served) === keys.get(generation)) return [];
  const order = "update once with vectis:dns.dane off, wait until `vectis verify` is content, then turn it on";
  const what =
    "unanswered" in served ? unseen(served) : `port 25 still serves another key than generation ${generation}`;
  return [error(key.dane, `would publish records that nothing matches: ${what}; ${order}`)];
}

const keyOf = (served: DaneFacts["served"]): string | undefined => ("unanswered" in served ? undefined : served.sha256);
const unseen = ({ unanswered }: { readonly unanswered: string }): string => `port 25 shows no key (${unanswered})`;

/** Records are there already: what is served stays among them, and a new key has been known for long enough. */
function changeFindings(
  { generation, ttl }: DaneWish,
  published: readonly PublishedTlsa[],
  { served }: DaneFacts,
  now: number,
): Finding[] {
  const of = (wanted: number) => published.find((record) => record.generation === wanted);
  const current = of(generation);
  if (current === undefined) {
    const known = published.map((record) => record.generation).sort((a, b) => a - b);
    const choice = `choose one of ${known.join(", ")}; each step makes the next one known`;
    return [error(key.generation, `is ${generation}, whose TLSA record was never published: ${choice}`)];
  }
  const kept = keyGenerations(generation).flatMap((step) => of(step.generation) ?? []);
  const inUse = keyOf(served);
  const names = (records: readonly PublishedTlsa[]) => records.some(({ certificate }) => certificate === inUse);
  if (names(published) && !names(kept)) {
    const why = "the certificate for the last change is not served yet, and its record would go";
    return [error(key.generation, `is ${generation}, but port 25 serves a key without a record then: ${why}; wait`)];
  }
  if (inUse === current.certificate) return [];
  const unnamed = inUse === undefined || names(published) ? [] : [unnamedFinding()];
  // A resolver may hold the set without this record for one TTL; another one is the margin. The generation that is in use
  // already, whose next one's record is the last, was judged by the update that made that record.
  const ready = current.createdAt + 2 * ttl * 1000;
  const isInUse = of(generation + 1) !== undefined && of(generation + 2) === undefined;
  if (now >= ready || isInUse) {
    return "unanswered" in served
      ? [warning(key.generation, `was not compared with what is served: ${unseen(served)}`)]
      : unnamed;
  }
  const when = new Date(ready).toISOString().replace(/\.\d+Z$/, "Z");
  const why = "until then a sender may have cached the records without it";
  return [
    error(key.generation, `is ${generation}, whose TLSA record is too young; wait until ${when}: ${why}`),
    ...unnamed,
  ];
}

/** A placeholder after a loss of volumes, for example. No update makes that worse, and one may be what repairs it. */
function unnamedFinding(): Finding {
  const effect = "senders that know the records do not deliver";
  const cause = "`vectis logs acme` says what the certificate for the stack's key waits for";
  return warning(
    key.dane,
    `is on, but port 25 serves a key that no published record names: ${effect}; ${cause}. ` +
      `If that lasts, set vectis:dns.dane to off: they deliver again one TTL later`,
  );
}
