import assert from "node:assert/strict";
import { test } from "node:test";
import { caaEntries, type CaaPolicy } from "./caa.ts";

const host = "mail.example.com";
const [first, second] = ["https://ca.example/acct/1", "https://ca.example/acct/2"];

function shown(policy: Partial<CaaPolicy>): string[] {
  const whole = { issuer: "ca.example", accountUris: [], orders: [], ...policy };
  return caaEntries(host, whole, "admin@example.com").map(({ name, data }) => `${name} ${data.tag} ${data.value}`);
}
const iodef = `${host} iodef mailto:admin@example.com`;

test("a CA that cannot be named is not shut out: only the address for incidents is published", () => {
  assert.deepEqual(shown({ issuer: undefined, orders: [{ challenge: "http-01", names: [host] }] }), [iodef]);
  assert.deepEqual(shown({ issuer: undefined }), [iodef]);
});

test("the methods are those that the clients use, and no others (RFC 8657 section 4)", () => {
  const cases = [
    ["http-01", "http-01", "http-01"],
    ["http-01", "dns-01", "dns-01,http-01"],
    ["tls-alpn-01", "dns-01", "dns-01,tls-alpn-01"],
  ] as const;
  for (const [web, mail, expected] of cases) {
    const orders = [web, mail].map((challenge) => ({ challenge, names: [host] }));
    assert.deepEqual(shown({ orders }), [
      `${host} issue ca.example; validationmethods=${expected}`,
      `${host} issuewild ;`,
      iodef,
    ]);
  }
});

test("each known account gets a record of its own: two clients are two accounts (RFC 8657 section 3)", () => {
  const orders = [{ challenge: "http-01", names: [host] }] as const;
  assert.deepEqual(shown({ orders, accountUris: [first, second] }), [
    `${host} issue ca.example; accounturi=${first}; validationmethods=http-01`,
    `${host} issue ca.example; accounturi=${second}; validationmethods=http-01`,
    `${host} issuewild ;`,
    iodef,
  ]);
});

test("a wildcard is admitted at its parent by issuewild alone, which binds no other name there", () => {
  const orders = [
    { challenge: "http-01", names: [host] },
    { challenge: "dns-01", names: [host, "*.example.com"] },
  ] as const;
  assert.deepEqual(shown({ orders, accountUris: [first] }), [
    `${host} issue ca.example; accounturi=${first}; validationmethods=dns-01,http-01`,
    `${host} issuewild ;`,
    iodef,
    `example.com issuewild ca.example; accounturi=${first}; validationmethods=dns-01`,
    "example.com iodef mailto:admin@example.com",
  ]);
});

test("the mail host admits the methods of names that may be its aliases, and stands for them then (RFC 8659 section 3)", () => {
  const orders = [
    { challenge: "http-01", names: [host] },
    { challenge: "dns-01", names: ["*.example.com", "imap.example.net"] },
  ] as const;
  assert.equal(shown({ orders })[0], `${host} issue ca.example; validationmethods=dns-01,http-01`);
  const wildcards = [orders[0], { challenge: "dns-01", names: ["*.example.com"] }] as const;
  assert.equal(shown({ orders: wildcards })[0], `${host} issue ca.example; validationmethods=http-01`);
});
