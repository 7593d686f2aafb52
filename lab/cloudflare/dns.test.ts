import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bag } from "../providers/protocol/value.ts";
import { edge, published, updateScript } from "./dns.ts";
import { readRecord } from "./records.ts";
import { stamp, type DnsRecord } from "./zone-records.ts";

const record = (body: Bag): DnsRecord =>
  stamp(readRecord("example.com", { ttl: 300, ...body }), new Date("2026-11-24T12:00:00Z"), "1");
const lines = (...bodies: Bag[]) =>
  published(bodies.map(record)).map(({ name, ttl, type, data }) => `${name} ${ttl} ${type} ${data}`);

test("records become lines of a zone file", () => {
  const hex = "AB".repeat(32);
  const table: readonly [Bag, string][] = [
    [{ type: "A", name: "@", content: "192.0.2.1" }, "example.com 300 A 192.0.2.1"],
    [{ type: "AAAA", name: "@", content: "2001:db8::1", ttl: 1 }, "example.com 300 AAAA 2001:db8::1"],
    [{ type: "CNAME", name: "www", content: "mail.example.com" }, "www.example.com 300 CNAME mail.example.com."],
    [{ type: "MX", name: "@", content: "mail.example.com", priority: 10 }, "example.com 300 MX 10 mail.example.com."],
    [{ type: "MX", name: "@", content: ".", priority: 0 }, "example.com 300 MX 0 ."],
    [{ type: "TXT", name: "@", content: "a b", ttl: 60 }, 'example.com 60 TXT "a b"'],
    [
      { type: "CAA", name: "@", data: { flags: 0, tag: "issue", value: "ca.test; validationmethods=dns-01" } },
      'example.com 300 CAA 0 issue "ca.test; validationmethods=dns-01"',
    ],
    [
      { type: "SRV", name: "_imaps._tcp", data: { priority: 0, weight: 1, port: 993, target: "mail.example.com" } },
      "_imaps._tcp.example.com 300 SRV 0 1 993 mail.example.com.",
    ],
    [
      { type: "SRV", name: "_imap._tcp", data: { priority: 0, weight: 0, port: 0, target: "." } },
      "_imap._tcp.example.com 300 SRV 0 0 0 .",
    ],
    [
      { type: "TLSA", name: "_25._tcp.mail", data: { usage: 3, selector: 1, matching_type: 1, certificate: hex } },
      `_25._tcp.mail.example.com 300 TLSA 3 1 1 ${hex}`,
    ],
  ];
  for (const [body, line] of table) assert.deepEqual(lines(body), [line]);
});

test("a proxied name answers with the edge's addresses, once", () => {
  assert.deepEqual(
    lines(
      { type: "A", name: "@", content: "192.0.2.1", proxied: true },
      { type: "A", name: "@", content: "192.0.2.2", proxied: true },
    ),
    [`example.com 300 A ${edge.A}`, `example.com 300 AAAA ${edge.AAAA}`],
  );
});

test("the records of a set share the lowest ttl", () => {
  assert.deepEqual(
    lines(
      { type: "A", name: "@", content: "192.0.2.1", ttl: 600 },
      { type: "A", name: "@", content: "192.0.2.2", ttl: 60 },
      { type: "TXT", name: "@", content: "x", ttl: 600 },
    ),
    ["example.com 60 A 192.0.2.1", "example.com 60 A 192.0.2.2", 'example.com 600 TXT "x"'],
  );
});

test("an update replaces all that a name has; of the zone's own name it leaves what belongs to the server", () => {
  const server = { address: "192.0.2.53", key: "hmac-sha256:api c2VjcmV0" };
  const records = [record({ type: "MX", name: "@", content: "mail.example.com", priority: 10 })];
  assert.equal(
    updateScript("example.com", ["example.com", "gone.example.com"], records, server),
    [
      "server 192.0.2.53 53",
      "key hmac-sha256:api c2VjcmV0",
      "zone example.com.",
      "class IN",
      ...["A", "AAAA", "CAA", "MX", "SRV", "TLSA", "TXT"].map((type) => `del example.com. ${type}`),
      "add example.com. 300 MX 10 mail.example.com.",
      ...["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TLSA", "TXT"].map((type) => `del gone.example.com. ${type}`),
      "send",
      "quit",
      "",
    ].join("\n"),
  );
});

test("many names are sent in several messages", () => {
  const names = Array.from({ length: 120 }, (_, index) => `n${index}.example.com`);
  const script = updateScript("example.com", names, [], { address: "192.0.2.53", key: "k s" });
  assert.equal(script.match(/^send$/gm)?.length, 3);
  assert.match(script, /send\nquit\n$/);
});
