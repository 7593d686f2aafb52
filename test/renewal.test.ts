// A whole lifetime without anybody's help: certificates that live five minutes, from the lab's CA (S14, B10).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { mailServices } from "../cli/verdict.ts";
import { inspect, logs } from "./support/docker.ts";
import { HandshakeLoad } from "./support/load.ts";
import { removeSites, roles, Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

/** Seconds. */
const lifetime = 300;

describe("a certificate that lives five minutes", () => {
  let site: Site;
  let load: HandshakeLoad | undefined;

  before(async () => {
    site = await Site.prepare("renewal", { "vectis-lab:certificateSeconds": lifetime });
    const tls = site.stack.config["vectis:tls"] as { readonly acme: object };
    // Five minutes are 0.003 days; the shortest that can be said is more than an hour, which is 1 h for Traefik.
    const acme = { ...tls.acme, lifetimeDays: 0.05 };
    await site.up(...site.stack.withConfig({ "vectis:tls": { ...tls, acme } }));
    await site.asExpected();
  });
  after(async () => {
    await load?.stop();
    await removeSites("renewal");
  });

  it("is renewed by itself inside the CA's window, and reaches every mail port in time (S14, B10)", async (t) => {
    const started = await Promise.all(
      roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt),
    );
    const first = await site.publishedSerial();
    load = new HandshakeLoad(await site.target(), { pause: 100 });
    const serial = await until(
      "a renewal that nobody asked for",
      async () => {
        const published = await site.publishedSerial();
        return published !== first && published;
      },
      { deadline: lifetime, interval: 500 },
    );
    await until("every mail port on it", () =>
      Promise.resolve(load?.portsServing(serial).length === mailServices.length),
    );
    await load.stop();
    // Every handshake verified the chain, its dates included: none met an expired certificate.
    assert.deepEqual(load.failures, []);
    const log = await logs(site.containers.acme);
    assert.match(
      log,
      /A certificate is ordered for mail\.vectis\.test: the certificate has \d+ (s|minutes) left, and the CA suggests/,
    );
    const restarted = await Promise.all(
      roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt),
    );
    assert.deepEqual(restarted, started);
    const left = /: the certificate has (\S+ \S+) left/.exec(log)?.[1] ?? "?";
    t.diagnostic(`renewed with ${left} of ${lifetime} s left, ${load.handshakes} handshakes, none failed`);
  });

  it("is renewed on 443 by Traefik too, which looks once a minute at this lifetime (S14)", async () => {
    const { host, port } = (await site.target()).endpoints.https;
    const served = async (): Promise<string> => (await site.serials())[443] ?? "";
    const first = await served();
    await until(`another certificate on ${host}:${port}`, async () => (await served()) !== first, {
      deadline: lifetime,
      interval: 1_000,
    });
  });
});
