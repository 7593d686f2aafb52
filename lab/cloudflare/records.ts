// A DNS record as the API takes it and as it answers: what is refused, and in what form the rest comes back. Pure.
import { isIPv4, isIPv6 } from "node:net";
import { isBag, text, written, type Bag, type Plain } from "../providers/protocol/value.ts";
import { invalidRecord, onlyKnown, Refusal, unknownInput } from "./refusal.ts";
import { quoteStrings } from "./txt.ts";

/** The types that the lab serves. The real API knows more; those are refused by name. */
export const recordTypes = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TLSA", "TXT"] as const;
export type RecordType = (typeof recordTypes)[number];

/** What a record says: everything but its id and its times. */
export interface RecordFields {
  /** Lower case, fully qualified, without the last dot. */
  readonly name: string;
  readonly type: RecordType;
  /** In presentation form, as after the type in a zone file; the priority of MX and SRV is beside it. */
  readonly content: string;
  /** Seconds, 60 to 86400; 1 is automatic, which is 300. */
  readonly ttl: number;
  readonly proxied: boolean;
  readonly comment: string | null;
  /** 0 to 65535; MX and SRV have one. */
  readonly priority?: number;
  /** Of CAA, SRV and TLSA. */
  readonly data?: Readonly<Record<string, string | number>>;
}

const inputs = ["name", "type", "content", "data", "ttl", "proxied", "priority", "comment", "tags", "settings"];
const proxiable: ReadonlySet<RecordType> = new Set(["A", "AAAA", "CNAME"]);
export const isProxiable = (type: RecordType): boolean => proxiable.has(type);

/**
 * The record that a request's body describes.
 * @param zone the zone's name
 * @throws Refusal as the real API words it, or one that names what the stand-in does not know
 */
export function readRecord(zone: string, body: Bag): RecordFields {
  onlyKnown("the record's property", body, inputs);
  const type = readType(body["type"]);
  const name = readName(zone, body["name"]);
  const proxied = readProxied(type, body["proxied"]);
  checkExtras(type, body);
  return {
    name,
    type,
    ...readContent(zone, name, type, body),
    ttl: readTtl(body["ttl"], proxied),
    proxied,
    comment: readComment(body["comment"]),
  };
}

function readType(value: Plain | undefined): RecordType {
  const type = recordTypes.find((known) => known === value);
  if (type === undefined) throw unknownInput("the record", "type", value);
  return type;
}

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const isName = (name: string): boolean => name.length <= 253 && name.split(".").every((part) => label.test(part));

/** A name that does not end in the zone's is taken as relative to it, as the real API does. */
function readName(zone: string, value: Plain | undefined): string {
  if (typeof value !== "string" || value === "") throw invalidRecord(9000, "DNS name is invalid.");
  const given = value.toLowerCase().replace(/\.$/, "");
  const inZone = given === zone || given.endsWith(`.${zone}`);
  const name = given === "@" ? zone : inZone ? given : `${given}.${zone}`;
  if (!isName(name.replace(/^\*\./, ""))) throw invalidRecord(9000, "DNS name is invalid.");
  if (name === `ns.${zone}`) {
    throw new Refusal(400, 1, `the lab's stand-in keeps ${name} for the zone's own name server`);
  }
  return name;
}

function readProxied(type: RecordType, value: Plain | undefined): boolean {
  if (value !== undefined && typeof value !== "boolean") {
    throw invalidRecord(9003, "Invalid 'proxied' value, must be a boolean.");
  }
  if (value === true && !isProxiable(type)) throw invalidRecord(9004, "This record type cannot be proxied.");
  return value ?? false;
}

function readTtl(value: Plain | undefined, proxied: boolean): number {
  if (value === undefined || proxied) return 1;
  const valid =
    typeof value === "number" && Number.isInteger(value) && (value === 1 || (value >= 60 && value <= 86400));
  if (!valid) throw invalidRecord(9021, "TTL must be between 60 and 86400 seconds, or 1 for Automatic.");
  return value;
}

function readComment(value: Plain | undefined): string | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value !== "string") throw unknownInput("the record", "comment", value);
  if (value.length > 100) throw new Refusal(400, 9303, "Record comment exceeds the maximum length of 100 characters.");
  return value;
}

/** The lab's zones are on the plan that costs nothing: no tags, and no settings but the ones that say no. */
function checkExtras(type: RecordType, body: Bag): void {
  const tags = body["tags"] ?? [];
  if (!Array.isArray(tags)) throw unknownInput("the record", "tags", tags);
  if (tags.length > 0) throw new Refusal(400, 9300, `DNS record has ${tags.length} tags, exceeding the quota of 0.`);
  const settings = body["settings"] ?? {};
  if (!isBag(settings)) throw unknownInput("the record", "settings", settings);
  for (const [key, value] of Object.entries(settings)) {
    const known = type === "CNAME" && ["flatten_cname", "ipv4_only", "ipv6_only"].includes(key);
    if (!known || value === true) throw unknownInput("the record's setting", key, value);
  }
}

type Content = Pick<RecordFields, "content" | "priority" | "data">;

function readContent(zone: string, name: string, type: RecordType, body: Bag): Content {
  switch (type) {
    case "A":
      if (!isIPv4(text(body, "content"))) {
        throw invalidRecord(9005, "Content for A record must be a valid IPv4 address.");
      }
      return { content: text(body, "content") };
    case "AAAA":
      if (!isIPv6(text(body, "content"))) {
        throw invalidRecord(9006, "Content for AAAA record must be a valid IPv6 address.");
      }
      // The form of RFC 5952, which the URL standard prescribes too.
      return { content: new URL(`http://[${text(body, "content")}]`).hostname.slice(1, -1) };
    case "CNAME":
      if (name === zone)
        throw new Refusal(400, 1, "the lab's stand-in does not flatten a CNAME at the zone's own name");
      return { content: readHost(body["content"], 9007, "Content for CNAME record is invalid.") };
    case "NS":
      if (name === zone) throw new Refusal(400, 1, "the lab's stand-in keeps the NS records of the zone's own name");
      return { content: readHost(body["content"], 9008, "Content for NS record is invalid.") };
    case "MX": {
      const content =
        body["content"] === "." ? "." : readHost(body["content"], 9009, "Content for MX record is invalid.");
      return { content, priority: readNumber(body["priority"], "priority", 9100) };
    }
    case "TXT":
      return { content: readText(body["content"]) };
    case "CAA":
    case "SRV":
    case "TLSA":
      return readData(type, name, body["data"]);
  }
}

function readHost(value: Plain | undefined, code: number, message: string): string {
  const name = typeof value === "string" ? value.toLowerCase().replace(/\.$/, "") : "";
  if (!isName(name) || isIPv4(name)) throw invalidRecord(code, message);
  return name;
}

function readNumber(value: Plain | undefined, name: string, code: number, most = 65535): number {
  if (value === undefined || value === null) throw invalidRecord(code, `${name} is a required data field.`);
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most) {
    throw invalidRecord(9102, `${name} must be a whole number from 0 to ${most}, not ${written(value)}.`);
  }
  return value;
}

function readText(value: Plain | undefined): string {
  if (typeof value !== "string" || value === "") throw invalidRecord(9010, "Content for TXT record must not be empty.");
  const strings = quoteStrings(value);
  if (strings === undefined || strings.length > 2048) {
    throw invalidRecord(9010, "Content for TXT record is no list of quoted strings of up to 2048 characters.");
  }
  return strings;
}

const dataKeys = {
  CAA: ["flags", "tag", "value"],
  SRV: ["priority", "weight", "port", "target"],
  TLSA: ["usage", "selector", "matching_type", "certificate"],
} as const;

/** `data` wins: `content` and a top-level `priority` beside it are ignored, as updates of the provider need it. */
function readData(type: keyof typeof dataKeys, name: string, data: Plain | undefined): Content {
  if (!isBag(data)) throw invalidRecord(9101, `data is required for a ${type} record.`);
  onlyKnown(`the ${type} record's data field`, data, dataKeys[type]);
  const number = (key: string, most?: number) => readNumber(data[key], key, 9101, most);
  const words = (key: string): string => {
    const value = data[key];
    if (typeof value !== "string" || value === "") throw invalidRecord(9101, `${key} is a required data field.`);
    return value;
  };
  if (type !== "CAA" && !/^_[a-z0-9-]+\._(tcp|udp|sctp|tls)\./.test(name)) {
    throw invalidRecord(9000, `DNS name is invalid: a ${type} record's begins like _25._tcp or _imaps._tcp.`);
  }
  switch (type) {
    case "CAA": {
      const [flags, tag, value] = [number("flags", 255), words("tag").toLowerCase(), words("value")];
      if (!["issue", "issuewild", "iodef"].includes(tag)) {
        throw invalidRecord(9103, "tag must be one of issue, issuewild, iodef.");
      }
      if (/["\\]/.test(value)) throw invalidRecord(9103, "value must not hold a quotation mark or a backslash.");
      return { content: `${flags} ${tag} "${value}"`, data: { flags, tag, value } };
    }
    case "SRV": {
      const [priority, weight, port] = [number("priority"), number("weight"), number("port")];
      const given = words("target");
      const target = given === "." ? "." : readHost(given, 9103, "target must be a host name, or '.' for no service.");
      return { content: `${weight} ${port} ${target}`, priority, data: { priority, weight, port, target } };
    }
    case "TLSA": {
      const [usage, selector, matching_type] = [number("usage", 3), number("selector", 1), number("matching_type", 2)];
      const certificate = words("certificate").toUpperCase();
      const digits = [undefined, 64, 128][matching_type];
      if (!/^([0-9A-F]{2})+$/.test(certificate) || (digits ?? certificate.length) !== certificate.length) {
        throw invalidRecord(9103, `certificate must be ${digits ?? "an even number of"} hexadecimal digits.`);
      }
      return {
        content: `${usage} ${selector} ${matching_type} ${certificate}`,
        data: { usage, selector, matching_type, certificate },
      };
    }
  }
}
