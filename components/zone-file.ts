// Records as text: presentation format (RFC 1035 section 5.1), for any DNS host. Pure.
import type { RecordData, WantedRecord } from "./mail-records.ts";

/** Longest character-string, in octets (RFC 1035 section 3.3). */
const longest = 255;

/**
 * A TXT value as character-strings in quotes, split where one would be too long. Cloudflare's API answers in this form, so
 * it must be sent in this form: anything else shows as a change for ever (terraform-provider-cloudflare 6238, 5351).
 */
export function quoted(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new Error(`a TXT record takes printable ASCII only, not ${text}`);
  const strings = text.match(new RegExp(`.{1,${longest}}`, "g")) ?? [""];
  return strings.map((part) => `"${part.replace(/["\\]/g, "\\$&")}"`).join(" ");
}

/** The text of character-strings in quotes; what is not quoted stands for itself. */
export function unquoted(content: string): string {
  const strings = [...content.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part = ""]) => part.replace(/\\(.)/g, "$1"));
  return content.startsWith('"') ? strings.join("") : content;
}

const dotted = (name: string): string => (name === "." ? name : `${name}.`);

/** The data of a record as a zone file has it, names with their last dot. */
export function rdata(record: RecordData): string {
  switch (record.type) {
    case "A":
    case "AAAA":
      return record.address;
    case "CNAME":
      return dotted(record.target);
    case "MX":
      return `${record.priority} ${dotted(record.target)}`;
    case "TXT":
      return quoted(record.text);
    case "CAA":
      return `${record.caa.flags} ${record.caa.tag} "${record.caa.value}"`;
    case "SRV":
      return `${record.srv.priority} ${record.srv.weight} ${record.srv.port} ${dotted(record.srv.target)}`;
    case "TLSA":
      return `${record.tlsa.usage} ${record.tlsa.selector} ${record.tlsa.matchingType} ${record.tlsa.certificate}`;
  }
}

/** A record for a human, or for a form of a DNS host. */
export interface PrintedRecord {
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  /** Presentation format: `10 mail.example.com.` for an MX. */
  readonly value: string;
}

export function printed(records: readonly WantedRecord[]): PrintedRecord[] {
  return records.map((record) => ({ name: record.name, type: record.type, ttl: record.ttl, value: rdata(record) }));
}

/** A fragment that any zone file can include: every name absolute, every TTL written out. */
export function zoneFile(records: readonly WantedRecord[]): string {
  return printed(records)
    .map(({ name, ttl, type, value }) => `${dotted(name)} ${ttl} IN ${type} ${value}\n`)
    .join("");
}
