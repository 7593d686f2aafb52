import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bag } from "../providers/protocol/value.ts";
import {
  may,
  permissionGroups,
  scopeOf,
  type Access,
  type Permission,
  type Policy,
  type Target,
} from "./permissions.ts";
import { account, user, zones } from "./seed.ts";

const [one = "", two = ""] = zones.map(({ id }) => id);
const all = "com.cloudflare.api.account.zone.*";
const zone = (id: string) => `com.cloudflare.api.account.zone.${id}`;
const accountKey = `com.cloudflare.api.account.${account.id}`;

const policy = (resources: Bag, ...groups: string[]): Policy => ({
  id: "1",
  effect: "allow",
  resources,
  permission_groups: permissionGroups.filter(({ name }) => groups.includes(name)),
});
const deny = (policy: Policy): Policy => ({ ...policy, effect: "deny" });

describe("what a token may do", () => {
  const challenge = [policy({ [zone(one)]: "*" }, "DNS Write", "Zone Read")];
  const deployment = [
    policy({ [all]: "*" }, "DNS Write", "Zone Read"),
    policy({ [accountKey]: "*" }, "Account API Tokens Write"),
  ];
  const table: readonly [policies: readonly Policy[], Permission, Access, Target, boolean][] = [
    [challenge, "DNS", "Write", { kind: "zone", id: one }, true],
    [challenge, "DNS", "Read", { kind: "zone", id: one }, true],
    [challenge, "Zone", "Read", { kind: "zone", id: one }, true],
    [challenge, "DNS", "Write", { kind: "zone", id: two }, false],
    [challenge, "DNS", "Read", { kind: "zone", id: two }, false],
    [challenge, "Zone", "Read", { kind: "zone", id: two }, false],
    [challenge, "Zone", "Read", { kind: "zones" }, false],
    [challenge, "API Tokens", "Read", { kind: "user" }, false],
    [challenge, "Account API Tokens", "Read", { kind: "account" }, false],
    [[policy({ [zone(one)]: "*" }, "DNS Write")], "Zone", "Read", { kind: "zone", id: one }, false],
    [[policy({ [zone(one)]: "*" }, "DNS Read")], "DNS", "Write", { kind: "zone", id: one }, false],
    [deployment, "DNS", "Write", { kind: "zone", id: two }, true],
    [deployment, "Zone", "Read", { kind: "zones" }, true],
    [deployment, "Account API Tokens", "Read", { kind: "account" }, true],
    [deployment, "API Tokens", "Write", { kind: "user" }, false],
    [[policy({ [accountKey]: { [all]: "*" } }, "DNS Write")], "DNS", "Write", { kind: "zone", id: two }, true],
    [[policy({ [accountKey]: { [zone(one)]: "*" } }, "DNS Write")], "DNS", "Write", { kind: "zone", id: two }, false],
    [
      [...deployment, deny(policy({ [zone(two)]: "*" }, "DNS Write"))],
      "DNS",
      "Write",
      { kind: "zone", id: two },
      false,
    ],
    [[...deployment, deny(policy({ [zone(two)]: "*" }, "DNS Write"))], "DNS", "Write", { kind: "zone", id: one }, true],
    [
      [policy({ [`com.cloudflare.api.user.${user.id}`]: "*" }, "API Tokens Write")],
      "API Tokens",
      "Read",
      { kind: "user" },
      true,
    ],
  ];
  for (const [policies, permission, access, target, allowed] of table) {
    const groups = policies.map((one) => `${one.effect} ${one.permission_groups.map(({ name }) => name).join(" + ")}`);
    const on = policies.flatMap(({ resources }) => JSON.stringify(resources)).join(", ");
    test(`${groups.join(", ")} on ${on}: ${access} ${permission} of ${JSON.stringify(target)} is ${allowed}`, () => {
      assert.equal(may(policies, permission, access, target), allowed);
    });
  }
});

test("resources of somebody else have no scope", () => {
  const stranger = "f".repeat(32);
  assert.equal(scopeOf(zone(one), "*"), "com.cloudflare.api.account.zone");
  assert.equal(scopeOf(accountKey, { [all]: "*" }), "com.cloudflare.api.account.zone");
  assert.equal(scopeOf(zone(stranger), "*"), undefined);
  assert.equal(scopeOf(zone(one), "read"), undefined);
  assert.equal(scopeOf(accountKey, { [zone(stranger)]: "*" }), undefined);
  assert.equal(scopeOf(`com.cloudflare.api.account.${stranger}`, "*"), undefined);
  assert.equal(scopeOf(`com.cloudflare.api.user.${stranger}`, "*"), undefined);
});
