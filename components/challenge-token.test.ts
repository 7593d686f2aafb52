import assert from "node:assert/strict";
import { before, test } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { type ChallengeTokenArgs, challengeTokenInputs } from "./challenge-token.ts";

const [one, two] = ["023e105f4ecef8ad9ca31a8372d0c353", "9a7806061c88ada191ed06f989cc3dac"];
const args: ChallengeTokenArgs = {
  tokenName: "vectis mx1 dns-01",
  zoneIds: [one],
  accountId: undefined,
  allowedAddresses: [],
  expiresOn: undefined,
};

const declared: { type: string; name: string; inputs: Record<string, unknown> }[] = [];

before(async () => {
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      declared.push({ type, name, inputs: inputs as Record<string, unknown> });
      return { id: `${name}-id`, state: { ...(inputs as object), value: "the-value" } };
    },
    call: () => ({}),
  });
});

test("it may edit DNS in its zones, read those zones, and nothing else", () => {
  assert.deepEqual(challengeTokenInputs({ ...args, zoneIds: [two, one, two] }), {
    name: "vectis mx1 dns-01",
    policies: [
      {
        effect: "allow",
        permissionGroups: [{ id: "4755a26eedb94da69e1066d98aa820be" }, { id: "c8fed203ed3043cba015a93ad1616f1f" }],
        resources: `{"com.cloudflare.api.account.zone.${one}":"*","com.cloudflare.api.account.zone.${two}":"*"}`,
      },
    ],
  });
});

test("addresses and an end limit it further", () => {
  const limited = { ...args, allowedAddresses: ["2001:db8::/64", "192.0.2.25/32"], expiresOn: "2030-01-01T00:00:00Z" };
  const { condition, expiresOn } = challengeTokenInputs(limited);
  assert.deepEqual(condition, { requestIp: { ins: ["192.0.2.25/32", "2001:db8::/64"] } });
  assert.equal(expiresOn, "2030-01-01T00:00:00Z");
});

test("the user owns it, or an account where one is named; its value is a secret", async () => {
  const { ChallengeToken } = await import("./challenge-token.ts");
  const cases: readonly [name: string, accountId: string | undefined, type: string][] = [
    ["user", undefined, "cloudflare:index/apiToken:ApiToken"],
    ["account", "01a7362d577a6c3019a474fd6f485823", "cloudflare:index/accountToken:AccountToken"],
  ];
  for (const [name, accountId, type] of cases) {
    const { value } = new ChallengeToken(name, { ...args, accountId });
    const text = await new Promise((resolve) => value.apply(resolve));
    assert.equal(text, "the-value");
    assert.equal(await pulumi.isSecret(value), true);
    const children = declared.filter((resource) => resource.name === name && resource.type.startsWith("cloudflare:"));
    assert.deepEqual(children, [
      { type, name, inputs: { ...challengeTokenInputs(args), ...(accountId === undefined ? {} : { accountId }) } },
    ]);
  }
});
