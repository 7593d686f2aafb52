// Keys and certificates as other software reads them, and what the plugin refuses.
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { open, type Plugin } from "../protocol/client.ts";
import { text, UNKNOWN, type Bag } from "../protocol/value.ts";

const KEY = "tls:index/privateKey:PrivateKey";
const REQUEST = "tls:index/certRequest:CertRequest";
const SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert";
const SIGNED = "tls:index/locallySignedCert:LocallySignedCert";

/** Only the stand-in has these limits and words. */
const own = { skip: process.env["VECTIS_TLS_PROVIDER"] !== undefined && "about the stand-in" };

let plugin: Plugin;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "vectis-tls-"));
  plugin = await open("tls");
  await plugin.configure();
});

after(() => {
  plugin?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function create(type: string, inputs: Bag) {
  const { wire, failures } = await plugin.check(type, "r", inputs);
  assert.deepEqual(failures, []);
  return { ...(await plugin.create(type, "r", wire)), inputs: wire };
}

const key = async (inputs: Bag): Promise<Bag> => (await create(KEY, inputs)).state;

const kinds: [string, Bag, boolean][] = [
  ["RSA with 2048 bits", { algorithm: "RSA" }, true],
  ["RSA with 3072 bits", { algorithm: "RSA", rsaBits: 3072 }, true],
  ["ECDSA on P224", { algorithm: "ECDSA" }, false],
  ["ECDSA on P256", { algorithm: "ECDSA", ecdsaCurve: "P256" }, true],
  ["ECDSA on P384", { algorithm: "ECDSA", ecdsaCurve: "P384" }, true],
  ["ECDSA on P521", { algorithm: "ECDSA", ecdsaCurve: "P521" }, true],
  ["Ed25519", { algorithm: "ED25519" }, true],
];

for (const [title, inputs, isKnownToOpenSsh] of kinds) {
  describe(title, () => {
    let state: Bag;
    before(async () => {
      state = await key(inputs);
    });

    test("is the same key in every notation", () => {
      const publicPem = (pem: string): string =>
        createPublicKey(createPrivateKey(pem)).export({ type: "spki", format: "pem" }).toString();
      assert.equal(publicPem(text(state, "privateKeyPem")), state["publicKeyPem"]);
      assert.equal(publicPem(text(state, "privateKeyPemPkcs8")), state["publicKeyPem"]);
    });

    test(isKnownToOpenSsh ? "is read by OpenSSH" : "has no form for OpenSSH", (context) => {
      if (!isKnownToOpenSsh) {
        assert.equal(text(state, "privateKeyOpenssh"), "");
        assert.equal(text(state, "publicKeyOpenssh"), "");
        return;
      }
      const file = join(folder, title.replaceAll(" ", "-"));
      writeFileSync(file, text(state, "privateKeyOpenssh"), { mode: 0o600 });
      const { stdout, error } = spawnSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" });
      if (error !== undefined) return context.skip("there is no ssh-keygen here");
      assert.equal(stdout.trim(), text(state, "publicKeyOpenssh").trim());
      const print = (hash: string): string =>
        spawnSync("ssh-keygen", ["-l", "-E", hash, "-f", file], { encoding: "utf8" }).stdout.split(" ")[1] ?? "";
      assert.equal(print("sha256"), state["publicKeyFingerprintSha256"]);
      assert.equal(print("md5"), `MD5:${text(state, "publicKeyFingerprintMd5")}`);
    });

    test("signs certificates and requests that OpenSSL verifies", async () => {
      const privateKeyPem = text(state, "privateKeyPem");
      const subject = { commonName: "größe", organization: "vectis", country: "DE", streetAddresses: ["a 1", "b 2"] };
      const root = await create(SELF_SIGNED, {
        ...{ privateKeyPem, subject, isCaCertificate: true, setSubjectKeyId: true, maxPathLength: 0 },
        ...{ validityPeriodHours: 24, allowedUses: ["cert_signing"] },
      });
      const request = await create(REQUEST, {
        privateKeyPem,
        dnsNames: ["a.example.com", "*.example.com"],
        ipAddresses: ["192.0.2.1", "2001:db8::1", "::1"],
        uris: ["https://example.com/a"],
      });
      const leaf = await create(SIGNED, {
        caCertPem: root.state["certPem"] ?? "",
        caPrivateKeyPem: privateKeyPem,
        certRequestPem: request.state["certRequestPem"] ?? "",
        ...{ validityPeriodHours: 24 * 365 * 30, allowedUses: ["server_auth", "client_auth"] },
      });
      const certificate = new X509Certificate(text(leaf.state, "certPem"));
      assert.equal(
        certificate.subjectAltName,
        "DNS:a.example.com, DNS:*.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, " +
          "IP Address:0:0:0:0:0:0:0:1, URI:https://example.com/a",
      );
      assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
      writeFileSync(join(folder, "root.pem"), text(root.state, "certPem"));
      const verified = spawnSync("openssl", ["verify", "-x509_strict", "-CAfile", join(folder, "root.pem")], {
        input: text(leaf.state, "certPem"),
        encoding: "utf8",
      });
      assert.equal(verified.stdout.trim(), "stdin: OK", verified.stderr);
      const checked = spawnSync("openssl", ["req", "-verify", "-noout"], {
        input: text(request.state, "certRequestPem"),
        encoding: "utf8",
      });
      assert.match(`${checked.stdout}${checked.stderr}`, /self-signature verify OK/);
    });
  });
}

describe("the plugin", own, () => {
  test("refuses unknown types, configuration and properties by name", async () => {
    await assert.rejects(plugin.check("tls:index/other:Other", "o", {}), /tls:index\/other:Other/);
    await assert.rejects(plugin.invoke("tls:index/getCertificate:getCertificate"), /getCertificate/);
    assert.match((await plugin.checkConfig({ proxy: "{}" })).join(), /tls:proxy is not supported/);
    const { failures } = await plugin.check(SELF_SIGNED, "c", {
      ...{
        privateKeyPemWo: "x",
        allowedUses: ["server"],
        validityPeriodHours: -1,
        ipAddresses: ["mail"],
        dnsName: "x",
      },
      certPem: "x",
    });
    const said = failures.join("\n");
    assert.match(said, /'privateKeyPemWo' is not supported by this stand-in for the tls provider/);
    assert.match(said, /'allowedUses' must be one of digital_signature, .*, not 'server'/);
    assert.match(said, /'validityPeriodHours' must be 0 or more/);
    assert.match(said, /'ipAddresses' has 'mail', which is no IP address/);
    assert.match(said, /unknown input 'dnsName'; is 'dnsNames' meant\?/);
    assert.match(said, /'certPem' is an output/);
    assert.match(said, /the input 'privateKeyPem' is required/);
  });

  test("repeats no key in an error", async () => {
    const pem = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";
    const failure: unknown = await create(REQUEST, { privateKeyPem: pem }).catch((error: unknown) => error);
    assert.match(String(failure), /Failed to parse private key PEM/);
    assert.ok(!String(failure).includes("aHVudGVyMg"));
  });

  test("does not sign a request that another key signed", async () => {
    const [one, other] = [await key({ algorithm: "ED25519" }), await key({ algorithm: "ED25519" })];
    const privateKeyPem = text(one, "privateKeyPem");
    const root = await create(SELF_SIGNED, {
      ...{ privateKeyPem, subject: { commonName: "root" }, isCaCertificate: true },
      ...{ validityPeriodHours: 24, allowedUses: ["cert_signing"] },
    });
    const request = await create(REQUEST, { privateKeyPem, subject: { commonName: "leaf" } });
    const der = Buffer.from(text(request.state, "certRequestPem").replace(/-----.*-----/g, ""), "base64");
    const raw = (state: Bag): Buffer =>
      createPublicKey(text(state, "publicKeyPem")).export({ type: "spki", format: "der" }).subarray(-32);
    raw(other).copy(der, der.indexOf(raw(one)));
    const certRequestPem = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    const inputs = {
      ...{ certRequestPem, caCertPem: root.state["certPem"] ?? "", caPrivateKeyPem: privateKeyPem },
      ...{ validityPeriodHours: 1, allowedUses: ["server_auth"] },
    };
    await assert.rejects(create(SIGNED, inputs), /not signed by its own key/);
  });
});

describe("a certificate", () => {
  test("is previewed with a key that is not known yet, and replaced when the key will change", async () => {
    const inputs = { privateKeyPem: UNKNOWN, validityPeriodHours: 24, allowedUses: ["server_auth"] };
    const checked = await plugin.check(SELF_SIGNED, "c", inputs);
    assert.deepEqual(checked.failures, []);
    const planned = await plugin.create(SELF_SIGNED, "c", checked.wire, true);
    assert.deepEqual([planned.state["certPem"], planned.state["validityPeriodHours"]], [UNKNOWN, 24]);
    const made = await create(SELF_SIGNED, {
      ...inputs,
      privateKeyPem: text(await key({ algorithm: "ED25519" }), "privateKeyPem"),
    });
    assert.deepEqual((await plugin.diff(SELF_SIGNED, "c", made, checked.wire)).replaces, ["privateKeyPem"]);
  });

  test("whose stored end has come near is replaced, without a refresh", async () => {
    const inputs = {
      privateKeyPem: text(await key({ algorithm: "ED25519" }), "privateKeyPem"),
      ...{ validityPeriodHours: 48, earlyRenewalHours: 2, allowedUses: ["server_auth"] },
    };
    const made = await create(SELF_SIGNED, inputs);
    assert.equal((await plugin.diff(SELF_SIGNED, "c", made, made.inputs)).changes, "NONE");
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const aged = { ...made, state: { ...made.state, validityEndTime: soon } };
    assert.deepEqual((await plugin.diff(SELF_SIGNED, "c", aged, made.inputs)).replaces, ["readyForRenewal"]);
    const seen = await plugin.read(SELF_SIGNED, "c", made.id, aged);
    assert.equal(seen?.state["readyForRenewal"], true);
  });
});
