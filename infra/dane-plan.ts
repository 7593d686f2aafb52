// From settings to the stack's mail keys, their TLSA records, and what must hold before either changes. Pure.
import type { MailKeysArgs } from "../components/mail-keys.ts";
import { recordOwner } from "../components/mail-records.ts";
import { tlsaName } from "../components/tlsa.ts";
import type { DaneWish } from "./checks/dane.ts";
import type { Settings } from "./config.ts";
import { zoneIdOf } from "./dns-config.ts";
import type { DaneQuestion } from "./facts/dane.ts";

/** Senders forget a record within an hour at most (RFC 7672 section 3.1.3 asks for short times). */
const longestTtl = 3600;

export interface DanePlan {
  readonly wish: DaneWish;
  readonly question: DaneQuestion;
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
  /** Begins the comment of every TLSA record; the key's generation ends it. */
  readonly mark: string;
  /** Undefined where the stack reaches no zone: the records are printed. */
  readonly zoneId: string | undefined;
}

/** The stack's keys; undefined if the host has the key alone. */
export function keysPlan({ tls, keys }: Settings): MailKeysArgs | undefined {
  if (keys.held === "host") return undefined;
  return { generation: keys.generation, keyType: tls.acme.keyType };
}

/** Undefined if no TLSA record is wanted. */
export function danePlan({ name, hostname, keys, tls, dns, resolvers }: Settings): DanePlan | undefined {
  if (dns.dane === "off") return undefined;
  const ttl = Math.min(dns.ttl, longestTtl);
  return {
    wish: { mailHost: hostname, generation: keys.generation, keyType: tls.acme.keyType, ttl },
    question: { mailHost: hostname, resolvers },
    name: tlsaName(hostname),
    ttl,
    mark: `${recordOwner(name)} key `,
    zoneId: dns.provider === "none" ? undefined : zoneIdOf(dns, hostname),
  };
}
