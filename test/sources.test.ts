// Where certificates come from: an ACME CA, the operator's files, a CA of the stack's own; and from one to the other on a
// running stack, without an interruption (S7, S8, S20, B11).
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestPki, type Issued } from "../certd/test-pki.ts";
import { tlsServices } from "../cli/verdict.ts";
import { inspect, logs } from "./support/docker.ts";
import { HandshakeLoad } from "./support/load.ts";
import { removeSites, roles, Site, type Role } from "./support/site.ts";
import { until } from "./support/wait.ts";

const host = "mail.vectis.test";
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root of somebody else", ca: true });
const intermediate = pki.issue({ subject: "/CN=Intermediate of somebody else", ca: true, by: root });
const stranger = pki.issue({ subject: "/CN=A stranger", ca: true });
const issue = (change: Partial<Parameters<TestPki["issue"]>[0]> = {}): Issued =>
  pki.issue({ subject: `/CN=${host}`, names: [host], by: intermediate, usage: "serverAuth", ...change });
const [first, second] = [issue(), issue()];

const good = { fullchain: first.pem + intermediate.pem, privkey: first.key };
const badPairs = [
  { what: "another key", pair: { ...good, privkey: stranger.key }, says: /refused: .*does not belong to/ },
  { what: "a chain without its intermediate", pair: { ...good, fullchain: first.pem }, says: /refused: .*is missing/ },
  { what: "a text", pair: { ...good, fullchain: "no certificate" }, says: /refused: .*chain cannot be read/ },
  { what: "a key in no form", pair: { ...good, privkey: "no key" }, says: /refused: .*private key cannot be read/ },
  {
    what: "a chain with a stranger",
    pair: { ...good, fullchain: good.fullchain + stranger.pem },
    says: /refused: .*A stranger/,
  },
  ...[
    {
      what: "a certificate for another name",
      leaf: issue({ names: ["other.test"] }),
      says: /refused: .*does not cover/,
    },
    { what: "a certificate for clients", leaf: issue({ usage: "clientAuth" }), says: /refused: .*serverAuth/ },
    { what: "a small key", leaf: issue({ key: "rsa:1024" }), says: /refused: .*rsa-1024; at least/ },
  ].map(({ what, leaf, says }) => ({
    what,
    pair: { fullchain: leaf.pem + intermediate.pem, privkey: leaf.key },
    says,
  })),
];

let site: Site;
let folder = "";
let load: HandshakeLoad | undefined;

const chain = (leaf: Issued, ...others: readonly Issued[]): string => [leaf, ...others].map(({ pem }) => pem).join("");
/** Replaces a file as an operator does: a new one under its name. */
function put(name: "fullchain.pem" | "privkey.pem", text: string, mode = name === "privkey.pem" ? 0o600 : 0o644): void {
  writeFileSync(join(folder, `.${name}`), text);
  chmodSync(join(folder, `.${name}`), mode);
  rmSync(join(folder, name), { recursive: true, force: true });
  renameSync(join(folder, `.${name}`), join(folder, name));
}
function putPair(leaf: Issued): void {
  put("fullchain.pem", chain(leaf, intermediate));
  put("privkey.pem", leaf.key);
}

type Tls = Readonly<Record<string, unknown>>;
const letsencrypt = (): Tls => site.stack.config["vectis:tls"] as Tls;
const internal = (): Tls => ({ ...letsencrypt(), provider: "internal" });
const custom = (): Tls => ({
  ...letsencrypt(),
  provider: "custom",
  certPath: join(folder, "fullchain.pem"),
  keyPath: join(folder, "privkey.pem"),
});

/** When each container was made and started: the same as before means neither replaced nor restarted. */
async function lives(): Promise<Record<Role, string>> {
  const entries = roles.map(async (role) => {
    const { Id, State } = await inspect(site.containers[role]);
    return [role, `${Id} ${State.StartedAt}`] as const;
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<Role, string>;
}

/** Waits until all six ports are as expected, and returns the one issuer and serial number that they share. */
async function shared(): Promise<{ issuer: string; serial: string }> {
  const { rows } = await site.asExpected();
  const seen = rows.filter(({ port }) => port !== 80);
  assert.equal(seen.length, 6);
  const [one] = seen;
  assert.ok(one);
  for (const { port, serial } of seen) assert.equal(serial, one.serial, `port ${port}`);
  return { issuer: one.issuer, serial: one.serial };
}

/** Previews a switch, makes it under handshakes on six ports, and checks that only what was named was touched. */
async function switchTo(tls: Tls, containers: readonly Role[]): Promise<void> {
  const options = site.stack.withConfig({ "vectis:tls": tls });
  const steps = (await site.stack.changes(...options)).filter(({ type }) => type.startsWith("docker:"));
  assert.deepEqual(
    [...new Set(steps.map(({ name }) => name))],
    containers.map((role) => site.containers[role]),
    "what the preview names",
  );
  const before = await lives();
  load = startLoad(await site.target());
  await site.up(...options);
  const { internalCa } = site.outputs;
  if (internalCa !== undefined) site.roots += internalCa;
  await site.asExpected();
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.handshakes > 100, `${load.handshakes} handshakes`);
  const now = await lives();
  for (const role of roles) {
    if (containers.includes(role)) assert.notEqual(now[role], before[role], `${role} is replaced`);
    else assert.equal(now[role], before[role], `${role} is neither replaced nor restarted`);
  }
}

/** The root of the stack's own CA is known only after the update that makes it; what it issued is verified then. */
function startLoad(target: ConstructorParameters<typeof HandshakeLoad>[0]): HandshakeLoad {
  const accepts = ({ issuer }: { readonly issuer: string }): boolean => issuer.includes(`Internal CA of ${host}`);
  return new HandshakeLoad(target, { services: tlsServices, pause: 20, accepts });
}

describe("sources of certificates", () => {
  before(async () => {
    site = await Site.start("sources");
    site.roots = root.pem;
    folder = join(site.stack.folder, "certs");
    mkdirSync(folder);
    putPair(first);
  });
  after(async () => {
    await load?.stop();
    pki.remove();
    await removeSites("sources");
  });

  describe("a switch on a running stack", () => {
    it("from the CA to the stack's own: six ports on it, the sidecar alone replaced, no failed handshake (B11)", async () => {
      await switchTo(internal(), ["acme"]);
      assert.match((await shared()).issuer, /Internal CA of mail\.vectis\.test/);
    });

    it("from there to the operator's files: six ports on their chain, no failed handshake (S7)", async () => {
      await switchTo(custom(), ["acme"]);
      assert.match((await shared()).issuer, /Intermediate of somebody else/);
    });

    it("within the files: six ports on the new certificate, nothing restarted, no failed handshake (S8)", async () => {
      const [before, old] = [await lives(), await shared()];
      load = startLoad(await site.target());
      putPair(second);
      const { serial } = await until("six ports on the new certificate", async () => {
        const now = await shared();
        return now.serial !== old.serial && now;
      });
      await load.stop();
      assert.deepEqual(load.failures, []);
      assert.equal(serial, new X509Certificate(second.pem).serialNumber);
      assert.deepEqual(await lives(), before);
    });

    for (const { what, pair, says } of badPairs) {
      it(`within the files to ${what}: refused by name, and six ports stay as they were (S20)`, async () => {
        const [before, { serial }] = [await lives(), await shared()];
        const { length } = await logs(site.containers.acme);
        put("fullchain.pem", pair.fullchain);
        put("privkey.pem", pair.privkey);
        await until("the refusal", async () => says.test((await logs(site.containers.acme)).slice(length)));
        assert.equal((await shared()).serial, serial);
        assert.deepEqual(await lives(), before);
      });
    }

    it("from the files back to the CA: what was ordered before is served again, nothing ordered, no failed handshake", async () => {
      putPair(second);
      const { issued } = await site.lab.ledger();
      await switchTo(letsencrypt(), ["acme"]);
      assert.equal((await site.lab.ledger()).issued.length, issued.length);
    });
  });
});
