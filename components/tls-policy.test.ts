import assert from "node:assert/strict";
import { test } from "node:test";
import { dovecotTls, intermediate, opensslConf, postfixTls, traefikTlsOptions } from "./tls-policy.ts";

const postfix = new Map(postfixTls(intermediate));
const dovecot = new Map(dovecotTls(intermediate));
const traefik = traefikTlsOptions(intermediate);

test("S9: the floor is TLS 1.2 in every renderer", () => {
  for (const key of ["smtpd_tls_protocols", "smtpd_tls_mandatory_protocols", "smtp_tls_protocols"]) {
    assert.equal(postfix.get(key), ">=TLSv1.2");
  }
  assert.equal(dovecot.get("ssl_min_protocol"), "TLSv1.2");
  assert.equal(traefik.minVersion, "VersionTLS12");
  assert.match(opensslConf(intermediate), /^MinProtocol = TLSv1\.2$/m);
});

test("the three daemons get the same suites: ECDHE with AEAD and nothing else", () => {
  const suites = postfix.get("tls_medium_cipherlist");
  assert.equal(suites, dovecot.get("ssl_cipher_list"));
  assert.equal(suites?.split(":").length, 6);
  for (const suite of suites.split(":")) assert.match(suite, /^ECDHE-(ECDSA|RSA)-(AES\d+-GCM|CHACHA20)-/);
  // IANA's name is OpenSSL's with other separators, but for ChaCha20's hash.
  const normal = (name: string) => name.replace(/^TLS_|WITH_|_SHA256$|-SHA256$/g, "").replace(/[-_]/g, "");
  assert.deepEqual(traefik.cipherSuites.map(normal), suites.split(":").map(normal));
});

test("post-quantum key exchange comes first in every renderer", () => {
  assert.match(postfix.get("tls_eecdh_auto_curves") ?? "", /^X25519MLKEM768 /);
  assert.match(dovecot.get("ssl_curve_list") ?? "", /^X25519MLKEM768:/);
  assert.equal(traefik.curvePreferences[0], "X25519MLKEM768");
  assert.equal(traefik.curvePreferences.length, intermediate.groups.length);
});

test("no SHA-1 or SHA-224 signature is offered", () => {
  const line = /^SignatureAlgorithms = (.*)$/m.exec(opensslConf(intermediate))?.[1] ?? "";
  assert.ok(line.split(":").length > 8);
  assert.doesNotMatch(line, /sha1\b|sha224/i);
});

test("Postfix reads key and chain from one file, and shows no certificate to others", () => {
  assert.equal(postfix.get("smtpd_tls_chain_files"), "/etc/ssl/mail/keychain.pem");
  for (const key of postfix.keys()) assert.doesNotMatch(key, /^smtp_tls_(cert|key|chain)/);
});
