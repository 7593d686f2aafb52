// The TLSA records of a mail host as resources in a Cloudflare zone, one for each key generation.
import { DnsRecord } from "@pulumi/cloudflare/dnsRecord.js";
import * as pulumi from "@pulumi/pulumi";
import type { MailKeyTlsa } from "./mail-keys.ts";

export interface TlsaRecordsArgs {
  readonly zoneId: string;
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
  /** Begins every comment; the generation follows, so that the zone tells how long a key has been known. */
  readonly mark: string;
  readonly generations: readonly MailKeyTlsa[];
}

export class TlsaRecords extends pulumi.ComponentResource {
  constructor(name: string, args: TlsaRecordsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:dns:TlsaRecords", name, { name: args.name }, opts);
    for (const { generation, tlsa } of args.generations) {
      new DnsRecord(
        // Named by its generation, as the key is: a step forward makes one record and removes one.
        `${name}-${generation}`,
        {
          zoneId: args.zoneId,
          name: args.name,
          type: "TLSA",
          ttl: args.ttl,
          proxied: false,
          comment: `${args.mark}${generation}`,
          data: tlsa.apply((data) => ({ ...data })),
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
