// An RSA certificate beside the ECDSA one on running containers: switched on, served, renewed, switched off (B12).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RSA_SIGNATURES } from "../certd/probe.ts";
import { handshake, type Handshake } from "../cli/probe.ts";
import { mailServices } from "../cli/verdict.ts";
import { inspect, logs } from "./support/docker.ts";
import { HandshakeLoad } from "./support/load.ts";
import { removeSites, roles, Site } from "./support/site.ts";
import { shell } from "./support/vectis.ts";
import { until } from "./support/wait.ts";

/** What a client offers that takes no other kind of key. */
const offers = { ecdsa: "ECDSA+SHA256:ECDSA+SHA384", rsa: RSA_SIGNATURES } as const;
type Kind = keyof typeof offers;

describe("an RSA certificate beside the ECDSA one", () => {
  let site: Site;
  let withRsa: readonly string[];
  const loads: HandshakeLoad[] = [];

  before(async () => {
    site = await Site.prepare("rsa");
    const tls = site.stack.config["vectis:tls"] as { readonly acme: object };
    withRsa = site.stack.withConfig({ "vectis:tls": { ...tls, acme: { ...tls.acme, alsoKeyType: "rsa-2048" } } });
    await site.up();
    await site.asExpected();
  });
  after(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    await removeSites("rsa");
  });

  /** Serial number of a published certificate. */
  async function serial(kind: Kind): Promise<string> {
    const path = `/etc/ssl/mail/current/fullchain${kind === "rsa" ? "-rsa" : ""}.pem`;
    return (await site.exec("acme", "openssl", "x509", "-noout", "-serial", "-in", path)).replace("serial=", "");
  }
  /** Begins one handshake on every mail port. */
  async function begin(kind: Kind, version?: "TLSv1.2"): Promise<Promise<Handshake>[]> {
    const { hostname, endpoints, ca } = await site.target();
    return mailServices.map((service) => {
      const startTls = "startTls" in service ? service.startTls : undefined;
      return handshake(endpoints[service.key], { hostname, ca, signatures: offers[kind], version, startTls });
    });
  }
  const meet = async (kind: Kind, version?: "TLSv1.2"): Promise<Handshake[]> => Promise.all(await begin(kind, version));
  const startTimes = (): Promise<string[]> =>
    Promise.all(roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt));

  it("is one reviewed change of a running stack, and orders the RSA certificate alone (B12)", async () => {
    const first = await serial("ecdsa");
    const steps = await site.stack.changes(...withRsa);
    const touched = steps.filter(({ type }) => type === "docker:index/container:Container").map(({ name }) => name);
    assert.deepEqual([...new Set(touched)].sort(), [site.containers.acme, site.containers.dovecot]);

    await site.up(...withRsa);
    await site.asExpected();
    assert.equal(await serial("ecdsa"), first);
    // The sidecar is a new container: its log begins here.
    const log = await logs(site.containers.acme);
    assert.match(log, /An RSA certificate is ordered for mail\.vectis\.test: no RSA certificate is stored/);
    assert.doesNotMatch(log, /(?<!RS)A certificate is ordered/);
  });

  it("serves each kind of client its own leaf with a complete chain on every mail port (B12)", async () => {
    for (const kind of ["ecdsa", "rsa"] as const) {
      const expected = await serial(kind);
      for (const version of [undefined, "TLSv1.2"] as const) {
        const seen = await meet(kind, version);
        assert.deepEqual(
          seen.map(({ leaf, distrust }) => [leaf.keyType, leaf.serial, distrust]),
          mailServices.map(() => [kind === "rsa" ? "rsa-2048" : "ec-256", expected, undefined]),
        );
      }
    }
  });

  it("is renewed with the other one, as one generation, without a failed handshake of either kind (B12, B3)", async (t) => {
    const [lives, generation] = [await startTimes(), await site.generation()];
    const target = await site.target();
    const byKind = {
      ecdsa: new HandshakeLoad(target, { pause: 40, signatures: offers.ecdsa }),
      rsa: new HandshakeLoad(target, { pause: 40, signatures: offers.rsa }),
    };
    loads.push(byKind.ecdsa, byKind.rsa);
    const { code, stderr } = await shell(site, "vectis certs renew");
    assert.equal(code, 0, stderr);
    const next = (Number(generation.split("/")[1]) + 1).toString().padStart(6, "0");
    assert.equal(await site.generation(), `generations/${next}`);
    for (const kind of ["ecdsa", "rsa"] as const) {
      const load = byKind[kind];
      const renewed = await serial(kind);
      await until(`every mail port on the renewed ${kind} certificate`, () =>
        Promise.resolve(load.portsServing(renewed).length === mailServices.length),
      );
      await load.stop();
      assert.deepEqual(load.failures, []);
      t.diagnostic(`${kind}: ${load.handshakes} handshakes, none failed, the slowest ${load.slowest} ms`);
    }
    assert.deepEqual(await startTimes(), lives);
  });

  it("leaves the guide's renewal by hand to the ECDSA one (S15)", async () => {
    const before = { ecdsa: await serial("ecdsa"), rsa: await serial("rsa") };
    await site.forceRenewal();
    await until("another ECDSA certificate", async () => (await serial("ecdsa")) !== before.ecdsa);
    assert.equal(await serial("rsa"), before.rsa);
    await until("both on every mail port", async () => {
      const [ecdsa, rsa] = [await serial("ecdsa"), await serial("rsa")];
      const seen = [...(await meet("ecdsa")), ...(await meet("rsa"))].map(({ leaf }) => leaf.serial);
      return new Set(seen).size === 2 && seen.includes(ecdsa) && seen.includes(rsa);
    });
  });

  it("is withdrawn when the option is taken away, and nothing is ordered for that (B12)", async () => {
    const last = await serial("ecdsa");
    await site.up();
    await site.asExpected();
    await until("clients without ECDSA are refused on every mail port", async () => {
      const ends = await Promise.allSettled(await begin("rsa"));
      return ends.every((end) => end.status === "rejected" && /handshake failure/.test(String(end.reason)));
    });
    assert.equal(await serial("ecdsa"), last);
    assert.doesNotMatch(await logs(site.containers.acme), /is ordered/);
  });
});
