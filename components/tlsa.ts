// TLSA records of the mail keys, as pure functions: which generations are published, and what a record says.
// Who makes keys and records is not known here.
import { createHash, createPublicKey } from "node:crypto";

/** Data of one TLSA record (RFC 6698 section 2.1): DANE-EE, public key, SHA-256, as RFC 7672 section 3.1.1 has it for SMTP. */
export interface TlsaData {
  readonly usage: 3;
  readonly selector: 1;
  readonly matchingType: 1;
  /** Upper-case hex: DNS hosts give it back that way, and another case would be a difference for ever. */
  readonly certificate: string;
}

/** What a key generation is to the stack. */
export type KeyRole = "previous" | "current" | "next";

export interface KeyGeneration {
  readonly generation: number;
  readonly role: KeyRole;
}

/**
 * The key generations that are published while `current` (1 or more) is in use. The next one is there before it is
 * needed; the previous one stays for whoever cached the records before the last change (RFC 7671 section 8.1).
 */
export function keyGenerations(current: number): KeyGeneration[] {
  const all: KeyGeneration[] = [
    { generation: current - 1, role: "previous" },
    { generation: current, role: "current" },
    { generation: current + 1, role: "next" },
  ];
  return all.filter(({ generation }) => generation >= 1);
}

/**
 * The TLSA 3 1 1 data of a public key.
 * @param publicKey PEM, SPKI
 * @throws if the text is no public key
 */
export function tlsa311(publicKey: string): TlsaData {
  const spki = createPublicKey(publicKey).export({ type: "spki", format: "der" });
  const certificate = createHash("sha256").update(spki).digest("hex").toUpperCase();
  return { usage: 3, selector: 1, matchingType: 1, certificate };
}

/** Where senders look for the records of a mail host (RFC 7672 section 3). */
export const tlsaName = (mailHost: string): string => `_25._tcp.${mailHost}`;
