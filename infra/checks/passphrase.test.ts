import assert from "node:assert/strict";
import { test } from "node:test";
import { passphraseFindings } from "./passphrase.ts";

const ofCheckout = { VECTIS_PUBLIC_PASSPHRASE: "1" };

test("the local stack has no secrets, and may have the development passphrase", () => {
  assert.deepEqual(passphraseFindings(ofCheckout, "dev"), []);
});

test("a passphrase of the operator's own is no finding", () => {
  assert.deepEqual(passphraseFindings({}, "prod"), []);
});

test("any other stack is refused with the development passphrase", () => {
  const [{ severity, key, problem } = { severity: "", key: "", problem: "" }] = passphraseFindings(ofCheckout, "prod");
  assert.deepEqual([severity, key], ["error", "PULUMI_CONFIG_PASSPHRASE"]);
  assert.match(problem, /^is not set: the secrets of prod .* public; .*docs\/commands\.md/);
});
