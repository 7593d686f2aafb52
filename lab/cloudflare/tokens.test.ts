import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bag, Plain } from "../providers/protocol/value.ts";
import { Refusal } from "./refusal.ts";
import { account, user, zones } from "./seed.ts";
import { checkUsable, newValue, readToken, type Token } from "./tokens.ts";

const now = new Date("2026-11-24T12:00:00Z");
const zone = `com.cloudflare.api.account.zone.${zones[0]?.id ?? ""}`;
const dnsWrite = { id: "4755a26eedb94da69e1066d98aa820be" };
const zoneRead = { id: "c8fed203ed3043cba015a93ad1616f1f" };
const policy: Bag = { effect: "allow", permission_groups: [dnsWrite], resources: { [zone]: "*" } };
const body: Bag = { name: "challenge", policies: [policy] };

test("permission groups are a set: they come back by id, each once", () => {
  const groups: Plain = [zoneRead, dnsWrite, zoneRead];
  const [read] = readToken({ ...body, policies: [{ ...policy, permission_groups: groups }] }, "user", now).policies;
  assert.deepEqual(read?.permission_groups, [
    { ...dnsWrite, name: "DNS Write" },
    { ...zoneRead, name: "Zone Read" },
  ]);
});

describe("a token is refused for", () => {
  const table: readonly [what: string, body: Bag, message: RegExp][] = [
    ["no name", { ...body, name: "" }, /name/],
    ["no policy", { ...body, policies: [] }, /at least one policy/],
    [
      "an unknown group",
      { ...body, policies: [{ ...policy, permission_groups: [{ id: "x" }] }] },
      /no such permission group: x/,
    ],
    ["an unknown zone", { ...body, policies: [{ ...policy, resources: { [`${zone}0`]: "*" } }] }, /no such resource/],
    ["resources as text", { ...body, policies: [{ ...policy, resources: `{"${zone}":"*"}` }] }, /needs resources/],
    [
      "a group of another scope",
      { ...body, policies: [{ ...policy, resources: { [`com.cloudflare.api.account.${account.id}`]: "*" } }] },
      /DNS Write needs a resource of the scope com\.cloudflare\.api\.account\.zone/,
    ],
    ["an effect", { ...body, policies: [{ ...policy, effect: "maybe" }] }, /allow or deny/],
    ["the past", { ...body, expires_on: "2026-11-24T11:59:59Z" }, /in the future/],
    ["a day without time", { ...body, expires_on: "2027-01-01" }, /2027-01-01T00:00:00Z/],
    ["a network", { ...body, condition: { request_ip: { in: ["192.0.2.0/33"] } } }, /no address or network/],
    [
      "a name as address",
      { ...body, condition: { request_ip: { in: ["mail.example.com"] } } },
      /no address or network/,
    ],
    ["a property", { ...body, value: "x" }, /property 'value'/],
  ];
  for (const [what, given, message] of table) {
    test(what, () => assert.throws(() => readToken(given, "user", now), { message, status: 400 }));
  }

  test("what only a user has, as an account's token", () => {
    const resources = { [`com.cloudflare.api.user.${user.id}`]: "*" };
    const own = { effect: "allow", permission_groups: [{ id: "686d18d5ac6c441c867cbf6771e58a0a" }], resources };
    readToken({ ...body, policies: [own] }, "user", now);
    assert.throws(() => readToken({ ...body, policies: [own] }, "account", now), /account's token cannot have/);
  });
});

describe("a token is usable", () => {
  const filter = (request_ip: { in?: string[]; not_in?: string[] }) => ({ condition: { request_ip } });
  const table: readonly [what: string, more: Partial<Token>, from: string, refusal: RegExp | undefined][] = [
    ["anywhere, without a filter", {}, "192.0.2.1", undefined],
    ["from its network", filter({ in: ["192.0.2.0/24"] }), "192.0.2.1", undefined],
    ["from its address", filter({ in: ["198.51.100.1", "192.0.2.1"] }), "192.0.2.1", undefined],
    ["from its IPv6 network", filter({ in: ["2001:db8::/32"] }), "2001:db8::1", undefined],
    ["not from elsewhere", filter({ in: ["192.0.2.0/24"] }), "198.51.100.1", /from location: 198\.51\.100\.1/],
    ["not by IPv6 with an IPv4 filter", filter({ in: ["192.0.2.0/24"] }), "2001:db8::1", /from location: 2001:db8::1/],
    ["not from a barred address", filter({ not_in: ["192.0.2.1/32"] }), "192.0.2.1", /from location/],
    ["before it expires", { expires_on: "2026-11-24T12:00:01Z" }, "192.0.2.1", undefined],
    ["not after it has expired", { expires_on: "2026-11-24T12:00:00Z" }, "192.0.2.1", /Invalid access token/],
    ["not before its time", { not_before: "2026-11-24T12:00:01Z" }, "192.0.2.1", /Invalid access token/],
    ["not while it is disabled", { status: "disabled" }, "192.0.2.1", /Invalid access token/],
  ];
  for (const [what, more, from, refusal] of table) {
    test(what, () => {
      const token: Token = { id: "1", issued_on: "", modified_on: "", ...readToken(body, "user", now), ...more };
      const check = () => checkUsable(token, from, now);
      if (refusal === undefined) assert.doesNotThrow(check);
      else
        assert.throws(
          check,
          (error) => error instanceof Refusal && error.status === 403 && refusal.test(error.message),
        );
    });
  }
});

test("values are 40 letters and digits, and never the same", () => {
  const values = new Set(Array.from({ length: 100 }, newValue));
  assert.equal(values.size, 100);
  for (const value of values) assert.match(value, /^[A-Za-z0-9]{40}$/);
});
