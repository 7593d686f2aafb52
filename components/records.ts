// The mail records as resources in Cloudflare zones. Owns what it makes and nothing else.
// Each module on its own: the package's index costs a quarter of a second, because an import of it loads every type.
import { DnsRecord, type DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import * as pulumi from "@pulumi/pulumi";
import { recordResourceName, type WantedRecord } from "./mail-records.ts";
import { quoted } from "./zone-file.ts";

/**
 * A record as the API itself would answer it, so that the next preview is empty, after a refresh too: TXT in quotes, SRV
 * with its priority both outside and inside `data` (terraform-provider-cloudflare 6651), every field of `data` set.
 */
export function recordInputs(record: WantedRecord, owner: string): Omit<DnsRecordArgs, "zoneId"> {
  const common = { name: record.name, type: record.type, ttl: record.ttl, proxied: false, comment: owner };
  switch (record.type) {
    case "A":
    case "AAAA":
      return { ...common, content: record.address };
    case "CNAME":
      return { ...common, content: record.target };
    case "MX":
      return { ...common, content: record.target, priority: record.priority };
    case "TXT":
      return { ...common, content: quoted(record.text) };
    case "CAA":
      return { ...common, data: { ...record.caa } };
    case "SRV":
      return { ...common, priority: record.srv.priority, data: { ...record.srv } };
    case "TLSA":
      return { ...common, data: { ...record.tlsa } };
  }
}

export interface MailRecordsArgs {
  /** Plain, because it decides which resources exist. */
  readonly records: readonly WantedRecord[];
  /** Value of every record's comment, see `recordOwner`. */
  readonly owner: string;
  /** Id of the zone that holds a name. */
  readonly zoneId: (name: string) => string;
}

export class MailRecords extends pulumi.ComponentResource {
  constructor(name: string, args: MailRecordsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:dns:MailRecords", name, { owner: args.owner }, opts);
    for (const record of args.records) {
      new DnsRecord(
        recordResourceName(name, record),
        { ...recordInputs(record, args.owner), zoneId: args.zoneId(record.name) },
        // `pulumi import` puts a record under the stack itself, where it can do so before the first update too; the
        // alias moves it here.
        { parent: this, aliases: [{ parent: pulumi.rootStackResource }] },
      );
    }
    this.registerOutputs({});
  }
}
