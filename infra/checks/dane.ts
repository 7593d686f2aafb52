// Whether TLSA records may be published, and whether a change of the key generation would leave a sender without a
// matching record. Pure. The order of a rollover is RFC 7671 section 8.1: publish, wait, switch, retire.
import { keyGenerations } from "../../components/tlsa.ts";
import { error, note, warning, type Finding } from "./finding.ts";

/** What the configuration asks for. */
export interface DaneWish {
  readonly mailHost: string;
  /** Generation that is to be in use. */
  readonly generation: number;
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

export interface DaneFacts {
  /** Whether a validating resolver calls the mail host's name secure. */
  readonly secure: boolean | { readonly unanswered: string };
  /** Undefined if the zone could not be listed, or is not the stack's. */
  readonly published: readonly PublishedTlsa[] | undefined;
  /** SHA-256 of the public key that port 25 serves, upper-case hex. */
  readonly served: string | { readonly unanswered: string };
  /** SHA-256 of the stack's keys by generation; undefined at a preview that cannot know them yet. */
  readonly keys: ReadonlyMap<number, string> | undefined;
}

const key = { dane: "vectis:dns.dane", generation: "vectis:keys.generation" } as const;

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
    return [warning(key.dane, `is on, and the zone's TLSA records cannot be seen from here: ${risk}`)];
  }
  return published.length === 0 ? firstFindings(wish, facts) : changeFindings(wish, published, facts, now);
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
  if (served === keys.get(generation)) return [];
  const order = "update once with vectis:dns.dane off, wait until `vectis verify` is content, then turn it on";
  const what =
    typeof served === "string" ? `port 25 still serves another key than generation ${generation}` : unseen(served);
  return [error(key.dane, `would publish records that nothing matches: ${what}; ${order}`)];
}

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
  if (typeof served === "string" && !kept.some(({ certificate }) => certificate === served)) {
    const why = "the certificate for the last change is not served yet, and its record would go";
    return [error(key.generation, `is ${generation}, but port 25 serves a key without a record then: ${why}; wait`)];
  }
  if (served === current.certificate) return [];
  // A resolver may hold the set without this record for one TTL; another one is the margin.
  const ready = current.createdAt + 2 * ttl * 1000;
  if (now >= ready) {
    return typeof served === "string"
      ? []
      : [warning(key.generation, `was not compared with what is served: ${unseen(served)}`)];
  }
  const when = new Date(ready).toISOString().replace(/\.\d+Z$/, "Z");
  const why = "until then a sender may have cached the records without it";
  return [error(key.generation, `is ${generation}, whose TLSA record is too young; wait until ${when}: ${why}`)];
}
