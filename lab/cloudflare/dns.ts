// What the records of a zone look like in DNS, and how they get into Knot: dynamic updates (RFC 2136) with TSIG.
import { execFile } from "node:child_process";
import type { DnsRecord } from "./zone-records.ts";
import { recordTypes } from "./records.ts";

/** Where proxied names point: addresses for documentation, in place of Cloudflare's edge. */
export const edge = { A: "198.51.100.80", AAAA: "2001:db8:80::80" } as const;

/** A record set's line in a zone file. Names are without the last dot. */
export interface Line {
  readonly name: string;
  readonly ttl: number;
  readonly type: string;
  readonly data: string;
}

const host = (name: string): string => (name === "." ? "." : `${name}.`);

function dataOf({ type, content, priority, data }: DnsRecord): string {
  switch (type) {
    case "CNAME":
    case "NS":
      return host(content);
    case "MX":
      return `${priority ?? 0} ${host(content)}`;
    case "SRV":
      return `${data?.["priority"] ?? 0} ${data?.["weight"] ?? 0} ${data?.["port"] ?? 0} ${host(String(data?.["target"] ?? "."))}`;
    case "A":
    case "AAAA":
    case "CAA":
    case "TLSA":
    case "TXT":
      return content;
  }
}

/** What the lab's DNS is to answer for the records of one name. The records of a set share the lowest of their TTLs. */
export function published(records: readonly DnsRecord[]): Line[] {
  const lines = records.flatMap((record): Line[] => {
    const { name, type, proxied } = record;
    const ttl = record.ttl === 1 ? 300 : record.ttl;
    if (!proxied) return [{ name, ttl, type, data: dataOf(record) }];
    return Object.entries(edge).map(([type, data]) => ({ name, ttl, type, data }));
  });
  const unique = [...new Map(lines.map((line) => [`${line.type} ${line.data}`, line])).values()];
  return unique.map((line) => ({
    ...line,
    ttl: Math.min(...unique.filter(({ type }) => type === line.type).map(({ ttl }) => ttl)),
  }));
}

/** One update message holds this many names: far below 64 KB. */
const names = 50;

/**
 * Input for knsupdate: makes the server's records of each name what `records` say, in whole sets. The zone's own SOA and
 * NS stay, and so do its signatures and keys, which the server keeps itself.
 */
export function updateScript(
  zone: string,
  changed: readonly string[],
  records: readonly DnsRecord[],
  server: DnsServer,
): string {
  const lines = [`server ${server.address} 53`, `key ${server.key}`, `zone ${zone}.`, "class IN"];
  changed.forEach((name, index) => {
    const types = recordTypes.filter((type) => !(name === zone && (type === "NS" || type === "CNAME")));
    lines.push(...types.map((type) => `del ${name}. ${type}`));
    const own = records.filter((record) => record.name === name);
    lines.push(...published(own).map(({ ttl, type, data }) => `add ${name}. ${ttl} ${type} ${data}`));
    if (index % names === names - 1 || index === changed.length - 1) lines.push("send");
  });
  return [...lines, "quit", ""].join("\n");
}

export interface DnsServer {
  readonly address: string;
  /** `ALGORITHM:NAME SECRET`, as knsupdate's `key` takes it. */
  readonly key: string;
}

function run(command: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, [...args], { timeout: 10_000, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command}: ${(stderr || stdout).trim() || error.message}`));
    });
    child.stdin?.end(input);
  });
}

/** @throws Error with what the server says, or that it does not answer */
export async function publish(
  zone: string,
  changed: readonly string[],
  records: readonly DnsRecord[],
  server: DnsServer,
): Promise<void> {
  if (changed.length === 0) return;
  await run("knsupdate", ["--tcp", "--timeout", "5"], updateScript(zone, changed, records, server));
}

/** Names of the zone that have records of a type that the API knows, its own server's excepted. */
export async function publishedNames(zone: string, server: DnsServer): Promise<string[]> {
  const transfer = await run("kdig", ["+noall", "+answer", "+time=5", `@${server.address}`, zone, "AXFR"]);
  const known: ReadonlySet<string> = new Set(recordTypes);
  const found = transfer
    .split("\n")
    .map((line) => line.split(/\s+/))
    .filter(([, , , type]) => type !== undefined && known.has(type))
    .map(([name = ""]) => name.replace(/\.$/, "").toLowerCase());
  return [...new Set(found)].filter((name) => name !== `ns.${zone}`);
}
