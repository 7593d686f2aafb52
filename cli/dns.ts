// `vectis dns show`: the mail records of every domain, for whoever enters them by hand or compares them.
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { result } from "./output.ts";
import { rawOutputs } from "./stack.ts";
import { table } from "./table.ts";

export interface DnsOptions {
  readonly stack?: string;
  readonly json: boolean;
  /** As lines of a zone file instead of a table. */
  readonly zone: boolean;
}

interface DnsRecord {
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  /** Presentation format. */
  readonly value: string;
}

export async function dnsShow({ stack, json, zone }: DnsOptions): Promise<ExitCode> {
  const { dnsRecords, dnsZone } = await rawOutputs(stack);
  if (!Array.isArray(dnsRecords) || typeof dnsZone !== "string") {
    throw new UserError("the stack has no output dnsRecords: bring it up first, with `vectis up`");
  }
  const records = dnsRecords as readonly DnsRecord[];
  result(json, records, () => (zone ? dnsZone.trimEnd() : recordTable(records)));
  return exitCodes.ok;
}

function recordTable(records: readonly DnsRecord[]): string {
  const rows = records.map(({ name, ttl, type, value }) => [name, String(ttl), type, value]);
  return table(["Name", "TTL", "Type", "Value"], rows, ["TTL"]);
}
