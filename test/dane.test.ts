// DANE on a running stack: TLSA records for a key that is served, and a change of the key that no sender notices (B5).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { handshake } from "../cli/probe.ts";
import { secureTlsa, TlsaWatch } from "./support/tlsa.ts";
import { removeSites, Site } from "./support/site.ts";
import { shell } from "./support/vectis.ts";
import { until } from "./support/wait.ts";

/** Seconds; the shortest that the configuration takes. */
const ttl = 60;
const name = "_25._tcp.mail.vectis.test";

let site: Site;
let watch: TlsaWatch | undefined;

/** The stack's configuration with a key generation in use. */
function config(generation: number, dane: "on" | "off" = "on"): string[] {
  const dns = site.stack.config["vectis:dns"] as object;
  return site.stack.withConfig({
    "vectis:resolvers": [site.lab.resolver],
    "vectis:dns": { ...dns, ttl, dane },
    "vectis:keys": { held: "stack", generation },
  });
}

/** SHA-256 of the key that port 25 serves. */
async function servedKey(): Promise<string> {
  const { hostname, endpoints, ca } = await site.target();
  const { leaf } = await handshake(endpoints.smtp, { hostname, ca, startTls: "smtp" });
  return leaf.publicKeySha256;
}

const records = async (): Promise<string[]> =>
  (await site.lab.dig(name, "TLSA")).map((line) => line.replaceAll(" ", "").slice(3)).sort();

describe("DANE", () => {
  before(async () => {
    site = await Site.prepare("dane");
  });
  after(async () => {
    await watch?.stop();
    await removeSites("dane");
  });

  it("is refused before the stack's key is served, and nothing is changed", async () => {
    const { code, stdout, stderr } = await site.stack.run("up", "--yes", "--skip-preview", ...config(1));
    assert.notEqual(code, 0);
    assert.match(
      stdout + stderr,
      /vectis:dns\.dane would publish records that nothing matches: .*vectis:dns\.dane off/,
    );
    assert.deepEqual(await records(), []);
    assert.deepEqual(await site.resources(), []);
  });

  it("publishes the current and the next key's records, signed, once the key is served", async () => {
    // Before that, a certificate for a key of the host's own, which no record will name.
    const dns = site.stack.config["vectis:dns"] as object;
    await site.up(...site.stack.withConfig({ "vectis:dns": { ...dns, ttl }, "vectis:keys": { held: "host" } }));
    await site.asExpected();
    const old = await servedKey();
    await site.up(...config(1, "off"));
    await until("the stack's key on port 25", async () => (await servedKey()) !== old, { deadline: 90 });
    await site.asExpected();
    await site.up(...config(1));
    const published = await records();
    assert.equal(published.length, 2);
    assert.ok(published.includes(await servedKey()), "one of them is the key that is served");
    // Rejects unless a validating resolver calls them secure.
    assert.deepEqual((await secureTlsa(name, site.lab.resolver)).sort(), published);
    await site.stack.pulumi("preview", "--refresh", "--expect-no-changes", ...config(1));
  });

  it("refuses a rollback to a certificate whose key no record names, and changes nothing", async () => {
    const [served, generation] = [await servedKey(), await site.generation()];
    const { code, stderr } = await shell(site, "vectis certs rollback");
    assert.equal(code, 2);
    assert.match(stderr, /no TLSA record names the key of generation \d{6}, so DANE senders would refuse to deliver/);
    assert.deepEqual([await servedKey(), await site.generation()], [served, generation]);
  });

  it("refuses the next key while senders may not know it yet, and says until when", async () => {
    const { code, stdout, stderr } = await site.stack.run("preview", ...config(2));
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /vectis:keys\.generation is 2, whose TLSA record is too young; wait until \d{4}-/);
  });

  it("refuses a generation that nobody knows", async () => {
    const { code, stdout, stderr } = await site.stack.run("preview", ...config(4));
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /vectis:keys\.generation is 4, whose TLSA record was never published/);
  });

  it("changes the key so that at every moment it matches what any sender may have cached (B5)", async (test) => {
    const target = await site.target();
    watch = new TlsaWatch({ name, resolver: site.lab.resolver, target });
    const old = await servedKey();
    const steps = await until(
      "the next key to be old enough",
      async () => {
        const { code } = await site.stack.run("preview", ...config(2));
        return code === 0 && site.stack.changes(...config(2));
      },
      { deadline: 3 * ttl, interval: 2_000 },
    );
    const brief = steps
      .filter(({ type }) => !type.startsWith("vectis:"))
      .map(({ op, urn }) => `${op} ${urn.split("::").at(-1) ?? ""}`);
    assert.deepEqual(
      brief.filter((step) => !/replace/.test(step)).sort(),
      ["create mail-key-3", "create tlsa-3"],
      "one key and one record are made",
    );
    assert.ok(
      brief.every((step) => !/replace/.test(step) || step.endsWith(" acme")),
      "only the sidecar is replaced",
    );
    await site.up(...config(2));
    await until("the next key on port 25", async () => (await servedKey()) !== old, { deadline: 90 });
    await site.asExpected();
    assert.equal((await records()).length, 3, "previous, current and next");
    await watch.stop();
    const { handshakes, keys, unmatched } = watch.judge(ttl);
    test.diagnostic(
      `${handshakes} handshakes with ${keys} keys, each compared with every record set of the last ${ttl} s`,
    );
    assert.equal(keys, 2);
    assert.deepEqual(unmatched, []);
  });
});
