import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bag } from "../providers/protocol/value.ts";
import { readRecord } from "./records.ts";
import { Refusal } from "./refusal.ts";

const zone = "example.com";
const read = (body: Bag) => readRecord(zone, { ttl: 300, ...body });

describe("a record is answered in the API's own form", () => {
  const hex = "ab".repeat(32);
  const table: readonly [what: string, body: Bag, answered: Bag][] = [
    [
      "name in lower case, without the last dot",
      { type: "A", name: "Mail.Example.COM.", content: "192.0.2.1" },
      { name: "mail.example.com" },
    ],
    ["relative name", { type: "A", name: "mail", content: "192.0.2.1" }, { name: "mail.example.com" }],
    ["the zone's own name", { type: "A", name: "@", content: "192.0.2.1" }, { name: "example.com" }],
    [
      "a name of another zone is taken as relative",
      { type: "A", name: "mail.example.net", content: "192.0.2.1" },
      { name: "mail.example.net.example.com" },
    ],
    ["wildcard", { type: "A", name: "*.example.com", content: "192.0.2.1" }, { name: "*.example.com" }],
    [
      "IPv6 in its short form",
      { type: "AAAA", name: "mail", content: "2001:0DB8:0:0::25" },
      { content: "2001:db8::25" },
    ],
    ["CNAME", { type: "CNAME", name: "www", content: "Mail.Example.com." }, { content: "mail.example.com" }],
    [
      "MX",
      { type: "MX", name: "@", content: "Mail.Example.com.", priority: 10 },
      { content: "mail.example.com", priority: 10 },
    ],
    ["no mail (RFC 7505)", { type: "MX", name: "@", content: ".", priority: 0 }, { content: "." }],
    [
      "text gets quotation marks",
      { type: "TXT", name: "@", content: "v=spf1 mx -all" },
      { content: '"v=spf1 mx -all"' },
    ],
    [
      "text in quotation marks stays",
      { type: "TXT", name: "@", content: '"v=spf1 mx -all"' },
      { content: '"v=spf1 mx -all"' },
    ],
    ["two strings stay two", { type: "TXT", name: "@", content: '"a"  "b"' }, { content: '"a" "b"' }],
    [
      "a long string is split at 255 octets",
      { type: "TXT", name: "@", content: `"${"a".repeat(256)}"` },
      { content: `"${"a".repeat(255)}" "a"` },
    ],
    [
      "an escape is one octet",
      { type: "TXT", name: "@", content: `"${"\\065".repeat(256)}"` },
      { content: `"${"\\065".repeat(255)}" "\\065"` },
    ],
    [
      "CAA",
      { type: "CAA", name: "@", data: { flags: 0, tag: "issue", value: "ca.test" } },
      { content: '0 issue "ca.test"', data: { flags: 0, tag: "issue", value: "ca.test" } },
    ],
    [
      "TLSA in upper case",
      { type: "TLSA", name: "_25._tcp.mail", data: { usage: 3, selector: 1, matching_type: 1, certificate: hex } },
      {
        content: `3 1 1 ${hex.toUpperCase()}`,
        data: { usage: 3, selector: 1, matching_type: 1, certificate: hex.toUpperCase() },
      },
    ],
    [
      "SRV with a top-level priority",
      { type: "SRV", name: "_imaps._tcp", data: { priority: 5, weight: 1, port: 993, target: "mail.example.com" } },
      { content: "1 993 mail.example.com", priority: 5 },
    ],
    [
      "no service (RFC 2782)",
      { type: "SRV", name: "_imap._tcp", data: { priority: 0, weight: 0, port: 0, target: "." } },
      { content: "0 0 .", priority: 0 },
    ],
    [
      "data wins over content",
      { type: "CAA", name: "@", content: '0 issue "old.test"', data: { flags: 0, tag: "issue", value: "new.test" } },
      { content: '0 issue "new.test"' },
    ],
    ["ttl 1 is automatic", { type: "A", name: "@", content: "192.0.2.1", ttl: 1 }, { ttl: 1 }],
    [
      "proxied has no ttl of its own",
      { type: "A", name: "@", content: "192.0.2.1", proxied: true },
      { ttl: 1, proxied: true },
    ],
    ["no comment", { type: "A", name: "@", content: "192.0.2.1", comment: "" }, { comment: null }],
    [
      "what an update of the provider carries",
      { type: "A", name: "@", content: "192.0.2.1", tags: [], settings: {} },
      { type: "A" },
    ],
  ];
  for (const [what, body, answered] of table) {
    test(what, () => {
      const record = read(body) as unknown as Bag;
      for (const [key, value] of Object.entries(answered)) assert.deepEqual(record[key], value, key);
    });
  }
});

describe("a record that breaks a rule is refused", () => {
  const table: readonly [what: string, body: Bag, code: number, message: RegExp][] = [
    ["address", { type: "A", name: "@", content: "192.0.2" }, 9005, /valid IPv4/],
    ["IPv6 address", { type: "AAAA", name: "@", content: "192.0.2.1" }, 9006, /valid IPv6/],
    ["name", { type: "A", name: "-mail", content: "192.0.2.1" }, 9000, /name is invalid/],
    ["no name", { type: "A", content: "192.0.2.1" }, 9000, /name is invalid/],
    ["MX to an address", { type: "MX", name: "@", content: "192.0.2.1", priority: 1 }, 9009, /MX/],
    ["MX without priority", { type: "MX", name: "@", content: "mail.example.com" }, 9100, /priority is a required/],
    ["priority", { type: "MX", name: "@", content: "mail.example.com", priority: 65536 }, 9102, /0 to 65535/],
    ["ttl too short", { type: "A", name: "@", content: "192.0.2.1", ttl: 59 }, 9021, /between 60 and 86400/],
    ["ttl too long", { type: "A", name: "@", content: "192.0.2.1", ttl: 86401 }, 9021, /between 60 and 86400/],
    [
      "proxied mail",
      { type: "MX", name: "@", content: "mail.example.com", priority: 1, proxied: true },
      9004,
      /cannot be proxied/,
    ],
    ["proxied as text", { type: "A", name: "@", content: "192.0.2.1", proxied: "yes" }, 9003, /boolean/],
    ["open quotation mark", { type: "TXT", name: "@", content: '"a' }, 9010, /TXT/],
    ["empty text", { type: "TXT", name: "@", content: "" }, 9010, /empty/],
    ["text not ASCII", { type: "TXT", name: "@", content: "ä" }, 9010, /TXT/],
    ["CAA without data", { type: "CAA", name: "@", content: '0 issue "ca.test"' }, 9101, /data is required/],
    [
      "CAA with flags as text",
      { type: "CAA", name: "@", data: { flags: "0", tag: "issue", value: "ca.test" } },
      9102,
      /flags/,
    ],
    ["CAA tag", { type: "CAA", name: "@", data: { flags: 0, tag: "issues", value: "ca.test" } }, 9103, /issuewild/],
    [
      "SRV without weight",
      { type: "SRV", name: "_imaps._tcp", data: { priority: 0, port: 993, target: "mail" } },
      9101,
      /weight is a required data field/,
    ],
    [
      "SRV name",
      { type: "SRV", name: "imaps", data: { priority: 0, weight: 1, port: 993, target: "mail.example.com" } },
      9000,
      /_imaps\._tcp/,
    ],
    [
      "TLSA digits",
      { type: "TLSA", name: "_25._tcp.mail", data: { usage: 3, selector: 1, matching_type: 1, certificate: "ab" } },
      9103,
      /64 hex/,
    ],
    ["tags", { type: "A", name: "@", content: "192.0.2.1", tags: ["owner:vectis"] }, 9300, /quota of 0/],
    ["comment", { type: "A", name: "@", content: "192.0.2.1", comment: "c".repeat(101) }, 9303, /100 characters/],
    ["type", { type: "LOC", name: "@", content: "x" }, 1, /does not know the record 'type' \(LOC\)/],
    ["property", { type: "A", name: "@", content: "192.0.2.1", zone: "x" }, 1, /property 'zone'/],
    [
      "data field",
      { type: "CAA", name: "@", data: { flags: 0, tag: "issue", value: "ca.test", port: 1 } },
      1,
      /data field 'port'/,
    ],
    [
      "setting",
      { type: "CNAME", name: "www", content: "mail.example.com", settings: { flatten_cname: true } },
      1,
      /flatten_cname/,
    ],
    ["CNAME of the zone", { type: "CNAME", name: "@", content: "mail.example.net" }, 1, /flatten/],
    ["NS of the zone", { type: "NS", name: "@", content: "ns.example.net" }, 1, /NS records/],
    ["the server's own name", { type: "A", name: "ns", content: "192.0.2.1" }, 1, /ns\.example\.com/],
  ];
  for (const [what, body, code, message] of table) {
    test(`${what} (${code})`, () => {
      assert.throws(
        () => read(body),
        (error) => {
          assert.ok(error instanceof Refusal);
          assert.equal(error.status, 400);
          const [rule = error] = error.chain;
          assert.equal(rule.code, code);
          assert.match(rule.message, message);
          return true;
        },
      );
    });
  }
});
