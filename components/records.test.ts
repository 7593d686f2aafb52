import assert from "node:assert/strict";
import { test } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import type { RecordData, WantedRecord } from "./mail-records.ts";
import { recordInputs } from "./records.ts";

const record = (data: RecordData): WantedRecord => ({ ...data, key: "k", name: "mail.example.com", ttl: 300 });

test("every type is written as the API answers it, unproxied and marked", () => {
  const common = { name: "mail.example.com", ttl: 300, proxied: false, comment: "vectis:mx1" };
  const caa = { flags: 0, tag: "issue", value: "ca.example" };
  const srv = { priority: 10, weight: 1, port: 995, target: "mail.example.com" };
  const cases: readonly [RecordData, Record<string, unknown>][] = [
    [{ type: "A", address: "192.0.2.25" }, { content: "192.0.2.25" }],
    [{ type: "AAAA", address: "2001:db8::25" }, { content: "2001:db8::25" }],
    [{ type: "CNAME", target: "mail.example.com" }, { content: "mail.example.com" }],
    [
      { type: "MX", priority: 10, target: "mail.example.com" },
      { content: "mail.example.com", priority: 10 },
    ],
    [{ type: "TXT", text: "v=spf1 mx -all" }, { content: '"v=spf1 mx -all"' }],
    [{ type: "CAA", caa }, { data: caa }],
    [
      { type: "SRV", srv },
      { priority: 10, data: srv },
    ],
    [
      { type: "TLSA", tlsa: { usage: 3, selector: 1, matchingType: 1, certificate: "AB" } },
      { data: { usage: 3, selector: 1, matchingType: 1, certificate: "AB" } },
    ],
  ];
  for (const [data, expected] of cases) {
    assert.deepEqual(recordInputs(record(data), "vectis:mx1"), { ...common, type: data.type, ...expected });
  }
});

test("each record is one child in the zone that holds its name, and nothing else is made", async () => {
  const declared: { type: string; name: string; inputs: Record<string, unknown> }[] = [];
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      declared.push({ type, name, inputs: inputs as Record<string, unknown> });
      return { id: `${name}-id`, state: inputs as Record<string, unknown> };
    },
    call: () => ({}),
  });
  const { MailRecords } = await import("./records.ts");
  const records: WantedRecord[] = [
    { key: "a-mail.example.org", name: "mail.example.org", ttl: 300, type: "A", address: "192.0.2.25" },
    { key: "mx-example.com", name: "example.com", ttl: 300, type: "MX", priority: 10, target: "mail.example.org" },
  ];
  const zoneId = (name: string): string => `zone of ${name.split(".").slice(-2).join(".")}`;
  const { urn } = new MailRecords("records", { records, owner: "vectis:mx1", zoneId });
  await new Promise((resolve) => urn.apply(resolve));
  await pulumi.runtime.disconnect(); // waits for the children
  const children = declared.filter(({ type }) => type !== "vectis:dns:MailRecords");
  assert.deepEqual(
    children.sort((a, b) => a.name.localeCompare(b.name)),
    records.map((wanted) => ({
      type: "cloudflare:index/dnsRecord:DnsRecord",
      name: `records-${wanted.key}`,
      inputs: { ...recordInputs(wanted, "vectis:mx1"), zoneId: zoneId(wanted.name) },
    })),
  );
});
