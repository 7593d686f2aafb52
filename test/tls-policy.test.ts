// Three TLS stacks, one policy: what Traefik, Postfix and Dovecot accept must be the same, and nothing more (S9, B9).
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { intermediate } from "../components/tls-policy.ts";
import { handshake, reception, type HandshakeOptions } from "../cli/probe.ts";
import { tlsServices, type Target } from "../cli/verdict.ts";
import { sharedSite } from "./support/shared.ts";

let target: Target;

const suites = intermediate.cipherSuites.map(({ openssl }) => openssl);

describe("one TLS policy", () => {
  before(async () => {
    target = await (await sharedSite()).target();
  });

  for (const service of tlsServices) {
    const startTls = "startTls" in service ? service.startTls : undefined;
    const options = (offer: Partial<HandshakeOptions>): HandshakeOptions => {
      const { hostname, ca } = target;
      return { hostname, ca, startTls, ...offer };
    };
    const offered = (offer: Partial<HandshakeOptions>) => reception(target.endpoints[service.key], options(offer));

    describe(`port ${service.port}`, () => {
      const name = (what: string): string => `port ${service.port} ${what}`;
      it(name("takes every TLS 1.2 suite of the policy that fits the certificate"), async () => {
        for (const ciphers of suites.filter((suite) => suite.includes("ECDSA"))) {
          assert.equal(await offered({ version: "TLSv1.2", ciphers }), "accepted", ciphers);
        }
      });

      it(name("takes no other TLS 1.2 suite, such as CBC, static RSA, DHE or anonymous"), async () => {
        const others = ["ALL", "COMPLEMENTOFALL", ...suites.map((suite) => `!${suite}`), "@SECLEVEL=0"].join(":");
        assert.equal(await offered({ version: "TLSv1.2", ciphers: others }), "refused");
        assert.equal(await offered({ version: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0" }), "refused");
        assert.equal(await offered({ version: "TLSv1.2", ciphers: "ADH-AES128-GCM-SHA256:@SECLEVEL=0" }), "refused");
      });

      it(name("signs no handshake with SHA-1 or SHA-224"), async () => {
        for (const signatures of ["ECDSA+SHA1", "ECDSA+SHA224"]) {
          const offer = {
            version: "TLSv1.2",
            ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0",
            signatures,
          } as const;
          assert.equal(await offered(offer), "refused", signatures);
          assert.equal(await offered({ ...offer, signatures: `${signatures}:ECDSA+SHA256` }), "accepted");
        }
      });

      it(name("takes the groups of the policy and no finite field"), async () => {
        for (const groups of ["X25519MLKEM768", "X25519", "P-256", "P-384"]) {
          const seen = await handshake(target.endpoints[service.key], options({ version: "TLSv1.3", groups }));
          assert.equal(seen.group, groups.replace(/^P-(\d+)$/, "secp$1r1"));
        }
        for (const groups of ["ffdhe2048", "ffdhe3072", "X448"]) {
          assert.equal(await offered({ version: "TLSv1.3", groups }), "refused", groups);
        }
      });
    });
  }
});
