// Three TLS stacks, one policy: what Traefik, Postfix and Dovecot accept must be the same, and nothing more (S9, B9).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { relayMinVersion, tlsPolicies } from "../components/tls-policy.ts";
import { handshake, reception, type HandshakeOptions } from "../cli/probe.ts";
import { tlsServices, type Target } from "../cli/verdict.ts";
import { sharedSite } from "./support/shared.ts";
import type { Site } from "./support/site.ts";

let site: Site;
let target: Target;

describe("one TLS policy for three daemons", () => {
  before(async () => {
    site = await sharedSite();
  });
  after(() => site.up());

  // The stack's own policy last: then the site is as it was found.
  for (const policyName of ["modern", "compat", "intermediate"] as const) {
    const policy = tlsPolicies[policyName];
    const suites = policy.cipherSuites.map(({ openssl }) => openssl);

    describe(`the TLS policy ${policyName}`, () => {
      before(async () => {
        const tls = { ...(site.stack.config["vectis:tls"] as object), policy: policyName };
        await site.up(...site.stack.withConfig({ "vectis:tls": tls }));
        await site.asExpected();
        target = await site.target();
      });

      for (const service of tlsServices) {
        const startTls = "startTls" in service ? service.startTls : undefined;
        const options = (offer: Partial<HandshakeOptions>): HandshakeOptions => {
          const { hostname, ca } = target;
          return { hostname, ca, startTls, ...offer };
        };
        const offered = (offer: Partial<HandshakeOptions>) => reception(target.endpoints[service.key], options(offer));
        const floor = service.port === 25 ? relayMinVersion : policy.minVersion;
        const name = (what: string): string => `${policyName}, port ${service.port} ${what}`;

        it(
          name("takes every TLS 1.2 suite of the policy that fits the certificate, or no TLS 1.2 at all"),
          async () => {
            const expected = floor === "1.2" ? "accepted" : "refused";
            for (const ciphers of suites.filter((suite) => suite.includes("ECDSA"))) {
              assert.equal(await offered({ version: "TLSv1.2", ciphers }), expected, ciphers);
            }
          },
        );

        it(name("takes no other TLS 1.2 suite, such as static RSA, DHE or anonymous, and no TLS 1.1"), async () => {
          const others = ["ALL", "COMPLEMENTOFALL", ...suites.map((suite) => `!${suite}`), "@SECLEVEL=0"].join(":");
          assert.equal(await offered({ version: "TLSv1.2", ciphers: others }), "refused");
          if (policyName !== "compat") {
            assert.equal(
              await offered({ version: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0" }),
              "refused",
            );
          }
          assert.equal(await offered({ version: "TLSv1.2", ciphers: "ADH-AES128-GCM-SHA256:@SECLEVEL=0" }), "refused");
          assert.equal(await offered({ version: "TLSv1.1" }), "refused");
        });

        it(name("signs no handshake with SHA-1 or SHA-224"), async () => {
          for (const signatures of ["ECDSA+SHA1", "ECDSA+SHA224"]) {
            const offer = {
              version: "TLSv1.2",
              ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0",
              signatures,
            } as const;
            assert.equal(await offered(offer), "refused", signatures);
            const good = floor === "1.2" ? "accepted" : "refused";
            assert.equal(await offered({ ...offer, signatures: `${signatures}:ECDSA+SHA256` }), good);
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
      }
    });
  }
});
