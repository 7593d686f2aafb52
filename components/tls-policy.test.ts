import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { dovecotTls, opensslConf, postfixTls, tlsPolicies, traefikTlsOptions } from "./tls-policy.ts";

for (const [name, policy] of Object.entries(tlsPolicies)) {
  const postfix = new Map(postfixTls(policy));
  const dovecot = new Map(dovecotTls(policy));
  const traefik = traefikTlsOptions(policy);

  describe(`the policy ${name}`, () => {
    it("has one floor where people connect, and TLS 1.2 between mail servers (S9, B9)", () => {
      const floor = name === "modern" ? "1.3" : "1.2";
      assert.equal(postfix.get("smtpd_tls_mandatory_protocols"), `>=TLSv${floor}`);
      assert.equal(dovecot.get("ssl_min_protocol"), `TLSv${floor}`);
      assert.equal(traefik.minVersion, `VersionTLS${floor.replace(".", "")}`);
      for (const key of ["smtpd_tls_protocols", "smtp_tls_protocols", "smtp_tls_mandatory_protocols"]) {
        assert.equal(postfix.get(key), ">=TLSv1.2", key);
      }
      assert.match(opensslConf(policy), /^MinProtocol = TLSv1\.2$/m);
    });

    it("gives the three daemons the same suites, all with forward secrecy (B9)", () => {
      const suites = postfix.get("tls_medium_cipherlist")?.split(":") ?? [];
      assert.equal(suites.length, name === "compat" ? 10 : 6);
      assert.equal(suites.join(":"), dovecot.get("ssl_cipher_list"));
      for (const suite of suites) assert.match(suite, /^ECDHE-(ECDSA|RSA)-/);
      // IANA's name is OpenSSL's with other separators, but for ChaCha20's hash and for CBC, which OpenSSL leaves out.
      const normal = (suite: string) => suite.replace(/^TLS_|WITH_|_SHA256$|-SHA256$|_CBC/g, "").replace(/[-_]/g, "");
      assert.deepEqual(traefik.cipherSuites.map(normal), suites.map(normal));
    });

    it("puts post-quantum key exchange first (B9)", () => {
      assert.match(postfix.get("tls_eecdh_auto_curves") ?? "", /^X25519MLKEM768 /);
      assert.match(dovecot.get("ssl_curve_list") ?? "", /^X25519MLKEM768:/);
      assert.equal(traefik.curvePreferences[0], "X25519MLKEM768");
      assert.equal(traefik.curvePreferences.length, policy.groups.length);
    });

    it("offers no SHA-1 or SHA-224 signature", () => {
      const line = /^SignatureAlgorithms = (.*)$/m.exec(opensslConf(policy))?.[1] ?? "";
      assert.ok(line.split(":").length > 8);
      assert.doesNotMatch(line, /sha1\b|sha224/i);
    });

    it("lets Postfix read key and chain from one file, and show no certificate to others", () => {
      assert.equal(postfix.get("smtpd_tls_chain_files"), "/run/vectis/certs/keychain.pem");
      for (const key of postfix.keys()) assert.doesNotMatch(key, /^smtp_tls_(cert|key|chain)/);
    });
  });
}
