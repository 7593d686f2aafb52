// The records of a zone: what may stand beside what, how they are listed, and how one is answered. Pure.
import { type Bag } from "../providers/protocol/value.ts";
import type { Listing } from "./list.ts";
import { isProxiable, type RecordFields } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { quoteStrings } from "./txt.ts";

export interface DnsRecord extends RecordFields {
  readonly id: string;
  readonly created_on: string;
  readonly modified_on: string;
  readonly comment_modified_on?: string;
}

/** The record as the API answers it; acme.sh takes the first `"id"` of an answer as the record's. */
export function answerRecord(record: DnsRecord): Bag {
  const { id, name, type, content, ttl, proxied, comment, priority, data } = record;
  return {
    id,
    name,
    type,
    content,
    proxiable: isProxiable(type),
    proxied,
    ttl,
    settings: {},
    meta: {},
    comment,
    tags: [],
    created_on: record.created_on,
    modified_on: record.modified_on,
    ...(record.comment_modified_on === undefined ? {} : { comment_modified_on: record.comment_modified_on }),
    ...(data === undefined ? {} : { data: { ...data } }),
    ...(priority === undefined ? {} : { priority }),
  };
}

export const recordListing: Listing<DnsRecord> = {
  fields: {
    type: ({ type }) => type,
    name: ({ name }) => name,
    content: ({ content }) => content,
    comment: ({ comment }) => comment ?? "",
    proxied: ({ proxied }) => proxied,
    ttl: ({ ttl }) => ttl,
  },
  searched: ["name", "content", "comment"],
  perPage: 100,
  most: 5_000_000,
  // A text is found with and without its quotation marks: acme.sh asks without.
  forms: (field, asked) => (field === "content" ? [quoteStrings(asked) ?? asked] : []),
};

/** A record with its id and times. `before` is the one that it takes the place of. */
export function stamp(fields: RecordFields, now: Date, id: string, before?: DnsRecord): DnsRecord {
  const time = now.toISOString();
  const commented = before?.comment === fields.comment ? before.comment_modified_on : time;
  return {
    id,
    ...fields,
    created_on: before?.created_on ?? time,
    modified_on: time,
    ...(fields.comment === null || commented === undefined ? {} : { comment_modified_on: commented }),
  };
}

/** The body that would have made the record: what a PATCH changes parts of. */
export function bodyOf({ name, type, content, ttl, proxied, comment, priority, data }: DnsRecord): Bag {
  return {
    name,
    type,
    ttl,
    proxied,
    comment,
    ...(data === undefined ? { content, ...(priority === undefined ? {} : { priority }) } : { data: { ...data } }),
  };
}

const isSame = (one: RecordFields, other: RecordFields): boolean =>
  one.name === other.name &&
  one.type === other.type &&
  one.content === other.content &&
  one.priority === other.priority;

/** @throws Refusal where the zone already has the record, or one that cannot stand beside it (RFC 1034, section 3.6.2) */
export function checkBeside(record: RecordFields, others: readonly DnsRecord[]): void {
  if (others.some((other) => isSame(other, record))) {
    throw new Refusal(400, 81058, "An identical record already exists.");
  }
  const beside = others.filter(({ name }) => name === record.name);
  if (record.type === "CNAME" && beside.length > 0) {
    throw new Refusal(400, 81053, "An A, AAAA, or CNAME record with that host already exists.");
  }
  if (beside.some(({ type }) => type === "CNAME")) {
    throw new Refusal(400, 81054, "A CNAME record with that host already exists.");
  }
}
