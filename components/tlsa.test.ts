import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { keyGenerations, tlsa311 } from "./tlsa.ts";

describe("key generations", () => {
  it("start with a current and a next one", () => {
    assert.deepEqual(keyGenerations(1), [
      { generation: 1, role: "current" },
      { generation: 2, role: "next" },
    ]);
  });

  it("keep the previous one after a change", () => {
    assert.deepEqual(
      keyGenerations(7).map(({ generation, role }) => `${role} ${generation}`),
      ["previous 6", "current 7", "next 8"],
    );
  });

  it("overlap from one number to the next in every key but the oldest and the newest", () => {
    const before = keyGenerations(3).map(({ generation }) => generation);
    const after = keyGenerations(4).map(({ generation }) => generation);
    assert.deepEqual(
      before.filter((generation) => after.includes(generation)),
      [3, 4],
    );
  });
});

describe("TLSA 3 1 1", () => {
  for (const [what, pair] of [
    ["an EC key", generateKeyPairSync("ec", { namedCurve: "prime256v1" })],
    ["an RSA key", generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ] as const) {
    it(`of ${what} is what OpenSSL hashes`, () => {
      const pem = pair.publicKey.export({ type: "spki", format: "pem" }) as string;
      const der = execFileSync("openssl", ["pkey", "-pubin", "-outform", "DER"], { input: pem });
      const digest = execFileSync("openssl", ["dgst", "-sha256", "-r"], { input: der, encoding: "utf8" });
      assert.equal(tlsa311(pem).certificate, digest.slice(0, 64).toUpperCase());
    });
  }

  it("refuses what is no public key", () => {
    assert.throws(() => tlsa311("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
  });
});
