import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted, rdata, unquoted } from "./zone-file.ts";

test("a TXT value is written in strings of at most 255 octets, with quotes and backslashes escaped (RFC 1035 section 3.3)", () => {
  assert.equal(quoted("v=spf1 mx -all"), '"v=spf1 mx -all"');
  assert.equal(quoted(""), '""');
  assert.equal(quoted('a "b" \\c'), '"a \\"b\\" \\\\c"');
  assert.equal(quoted("a".repeat(255)), `"${"a".repeat(255)}"`);
  assert.equal(quoted("a".repeat(256)), `"${"a".repeat(255)}" "a"`);
  assert.throws(() => quoted("grüße"), /printable ASCII only/);
});

test("reading it back gives the same text, whether it was quoted or not", () => {
  for (const text of ["", "plain", 'a "b" \\c', '"'.repeat(300), "a".repeat(600)])
    assert.equal(unquoted(quoted(text)), text);
  assert.equal(unquoted("v=spf1 mx -all"), "v=spf1 mx -all");
});

test("names in data end in a dot, the name of no host is the dot alone", () => {
  assert.equal(rdata({ type: "CNAME", target: "mail.example.com" }), "mail.example.com.");
  const tlsa = { usage: 3, selector: 1, matchingType: 1, certificate: "AB" } as const;
  assert.equal(rdata({ type: "TLSA", tlsa }), "3 1 1 AB");
  assert.equal(rdata({ type: "SRV", srv: { priority: 0, weight: 0, port: 0, target: "." } }), "0 0 0 .");
});
