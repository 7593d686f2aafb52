// The stack's own CA under mocks: which resources it declares, with which inputs.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import * as pulumi from "@pulumi/pulumi";

type Inputs = Readonly<Record<string, unknown>>;
const declared = new Map<string, { readonly type: string; readonly inputs: Inputs }>();
let outputs = { root: "", fullchain: "", privkey: "" };
let secret = false;

before(async () => {
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      declared.set(name, { type, inputs: inputs as Inputs });
      const state = { certPem: `${name}\n`, privateKeyPem: `${name} private\n`, certRequestPem: `${name}\n` };
      return { id: name, state };
    },
    call: () => ({}),
  });
  const { InternalCa } = await import("./internal-ca.ts");
  const names = ["mail.example.com", "*.example.com"];
  const ca = new InternalCa("internal", { names, keyType: "ec-384", lifetimeDays: 90 });
  secret = await pulumi.isSecret(ca.privkey);
  outputs = await new Promise((resolve) =>
    pulumi
      .all([ca.root, ca.fullchain, pulumi.unsecret(ca.privkey)])
      .apply(([root, fullchain, privkey]) => resolve({ root, fullchain, privkey })),
  );
});

const inputs = (name: string): Inputs => declared.get(name)?.inputs ?? {};

test("it is a CA with a key, and one certificate with a key of its own", () => {
  assert.deepEqual([...declared.values()].map(({ type }) => type.split(":").at(-1)).sort(), [
    "CertRequest",
    "InternalCa",
    "LocallySignedCert",
    "PrivateKey",
    "PrivateKey",
    "SelfSignedCert",
  ]);
});

test("the certificate names every name, serves TLS and nothing else, and is renewed with a third of its life left", () => {
  assert.deepEqual(inputs("internal-request")["dnsNames"], ["mail.example.com", "*.example.com"]);
  const { allowedUses, validityPeriodHours, earlyRenewalHours, isCaCertificate } = inputs("internal-leaf");
  assert.deepEqual(allowedUses, ["digital_signature", "server_auth"]);
  assert.deepEqual([validityPeriodHours, earlyRenewalHours, isCaCertificate], [90 * 24, 30 * 24, undefined]);
});

test("the root is renewed long before a certificate could outlive it", () => {
  const { validityPeriodHours, earlyRenewalHours, isCaCertificate } = inputs("internal-ca");
  assert.equal(isCaCertificate, true);
  assert.ok(Number(earlyRenewalHours) > 825 * 24 && Number(validityPeriodHours) > 2 * Number(earlyRenewalHours));
});

test("services get certificate and root in one chain, and the key as a secret", () => {
  assert.deepEqual(outputs, {
    root: "internal-ca\n",
    fullchain: "internal-leaf\ninternal-ca\n",
    privkey: "internal-leaf-key private\n",
  });
  assert.ok(secret);
});
