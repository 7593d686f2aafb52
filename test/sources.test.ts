// Where certificates come from: an ACME CA, the operator's files, a CA of the stack's own; and from one to the other on a
// running stack, without an interruption (S7, S8, S20, B11).
import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestPki, type Issued } from "../certd/test-pki.ts";
import { listens } from "../cli/probe.ts";
import { tlsServices } from "../cli/verdict.ts";
import { docker, inspect, logs } from "./support/docker.ts";
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
const first = issue();

let site: Site;
let folder = "";
let load: HandshakeLoad | undefined;

const chain = (leaf: Issued, ...others: readonly Issued[]): string => [leaf, ...others].map(({ pem }) => pem).join("");
/** The sidecar is root without any privilege: a key that only another user may read is closed to it. */
const keyMode = process.getuid?.() === 0 ? 0o600 : 0o644;
/** Replaces a file as an operator does: a new one under its name. */
function put(
  name: "fullchain.pem" | "privkey.pem",
  text: string,
  mode = name === "privkey.pem" ? keyMode : 0o644,
): void {
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
type Served = Readonly<Record<"issuer" | "serial", string>>;
const letsencrypt = (): Tls => site.stack.config["vectis:tls"] as Tls;
const internal = (): Tls => ({ ...letsencrypt(), provider: "internal" });
const custom = (): Tls => ({
  ...letsencrypt(),
  provider: "custom",
  certPath: join(folder, "fullchain.pem"),
  keyPath: join(folder, "privkey.pem"),
});
const isCustom = ({ issuer }: Served): boolean => issuer.includes("Intermediate of somebody else");

/** When each container was made and started: the same as before means neither replaced nor restarted. */
async function lives(): Promise<Record<Role, string>> {
  const entries = roles.map(async (role) => {
    const { Id, State } = await inspect(site.containers[role]);
    return [role, `${Id} ${State.StartedAt}`] as const;
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<Role, string>;
}

/** Waits until all six ports are as expected, and returns the one issuer and serial number that they share. */
async function shared(): Promise<Served> {
  const { rows } = await site.asExpected();
  const seen = rows.filter(({ port }) => port !== 80);
  assert.equal(seen.length, 6);
  const [one] = seen;
  assert.ok(one);
  for (const { port, serial } of seen) assert.equal(serial, one.serial, `port ${port}`);
  return { issuer: one.issuer, serial: one.serial };
}

/**
 * Previews a switch, makes it under handshakes on six ports until all of them serve what `arrived` accepts, and checks that
 * only what was named was touched. What was served before is valid, too, and stays for a moment after the update.
 */
async function switchTo(tls: Tls, containers: readonly Role[], arrived: (served: Served) => boolean): Promise<void> {
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
  await until("six ports on what was switched to", async () => {
    const rows = (await site.asExpected()).rows.filter(({ port }) => port !== 80);
    return rows.length === 6 && rows.every(arrived);
  });
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

/** Waits until the sidecar has said something after a moment; what it said before does not count. */
async function says(what: RegExp, since: number): Promise<void> {
  await until(`the sidecar to say ${what.source}`, async () => {
    const lines = (await logs(site.containers.acme)).split("\n");
    return lines.some((line) => Date.parse(line.split(" ")[0] ?? "") >= since && what.test(line));
  });
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

  it("switch from the CA to the stack's own: six ports on it, the sidecar alone replaced, no failed handshake (B11)", async () => {
    await switchTo(internal(), ["acme"], ({ issuer }) => issuer.includes("Internal CA of mail.vectis.test"));
    await shared();
    await site.healthy();
  });

  it("renew the stack's own by an update: six ports on the successor, under the same root (B11)", async () => {
    const [before, { internalCa }] = [await shared(), site.outputs];
    await switchTo({ ...internal(), lifetimeDays: 90 }, ["acme"], ({ serial }) => serial !== before.serial);
    await shared();
    assert.equal(site.outputs.internalCa, internalCa);
  });

  it("switch from there to the operator's files: six ports on their chain, no failed handshake (S7)", async () => {
    await switchTo(custom(), ["acme"], isCustom);
    await shared();
    await site.healthy();
  });

  it("take files that were replaced: six ports on them, nothing restarted, no failed handshake (S8)", async () => {
    const [before, old] = [await lives(), await shared()];
    load = startLoad(await site.target());
    putPair(issue());
    const fresh = await until("six ports on the new files", async () => {
      const now = await shared();
      return now.serial !== old.serial && now;
    });
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.equal(load.portsServing(fresh.serial).length, 6);
    // What the guide runs after the files were replaced finds nothing left to do.
    await site.up("--expect-no-changes", ...site.stack.withConfig({ "vectis:tls": custom() }));
    assert.deepEqual(await lives(), before);
  });

  it("go back to an earlier pair where that is pinned: six ports on it, 443 too, and forth again (B2)", async () => {
    const [before, latest] = [await lives(), await shared()];
    load = startLoad(await site.target());
    const earlier = Number((await site.generation()).split("/")[1]) - 1;
    assert.match(await site.exec("acme", "certd", "pin", String(earlier)), /is published and pinned, until/);
    await until("six ports on the earlier pair", async () => (await shared()).serial !== latest.serial);
    await site.exec("acme", "certd", "unpin");
    await until("six ports on the files", async () => (await shared()).serial === latest.serial);
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual(await lives(), before);
  });

  describe("a bad pair of files is refused in its own words, and six ports stay as they were (S20):", () => {
    // Made when it is needed: an older one than is published would be refused.
    let good = first;
    const cases: readonly { readonly what: string; readonly put: () => void; readonly says: RegExp }[] = [
      {
        what: "no PEM",
        put: () => put("fullchain.pem", "nonsense\n"),
        says: /chain cannot be read: there is no PEM certificate in it\. Put a PEM file there.*fullchain\.pem\)/,
      },
      {
        what: "a chain that is cut off",
        put: () => put("fullchain.pem", `${good.pem.slice(0, 200)}\n-----END CERTIFICATE-----\n`),
        says: /chain cannot be read: the PEM text is damaged\./,
      },
      {
        what: "somebody else's key",
        put: () => put("privkey.pem", issue().key),
        says: /key does not belong to .* Put the key there that the certificate was ordered with\. \(.*privkey\.pem\)/,
      },
      {
        what: "a key with a passphrase",
        put: () =>
          put(
            "privkey.pem",
            String(
              createPrivateKey(good.key).export({
                type: "pkcs8",
                format: "pem",
                cipher: "aes-256-cbc",
                passphrase: "secret",
              }),
            ),
          ),
        says: /private key cannot be read: it is encrypted; store it without a passphrase/,
      },
      {
        what: "no key",
        put: () => rmSync(join(folder, "privkey.pem")),
        says: /private key .*privkey\.pem does not exist; put it there as PEM/,
      },
      {
        what: "a key that the sidecar may not read",
        put: () => {
          put("privkey.pem", good.key, 0o600);
          if (process.getuid?.() === 0) chownSync(join(folder, "privkey.pem"), 1000, 1000);
        },
        says: /privkey\.pem may not be read \(it belongs to user \d+, mode 0600\); run chown root:root .* && chmod 0600/,
      },
      {
        what: "another host's name",
        put: () => putPair(issue({ names: ["www.vectis.test"] })),
        says: /does not cover mail\.vectis\.test; it covers www\.vectis\.test\. Order a certificate with that name too/,
      },
      {
        what: "no intermediate",
        put: () => put("fullchain.pem", chain(good)),
        says: /intermediate certificate "CN=Intermediate of somebody else" .* is missing from the chain\. Append it/,
      },
      {
        what: "the intermediate first",
        put: () => put("fullchain.pem", chain(intermediate, good)),
        says: /chain is in the wrong order; it must be: CN=mail\.vectis\.test \| CN=Intermediate/,
      },
      {
        what: "a stranger in the chain",
        put: () => put("fullchain.pem", chain(good, intermediate, stranger)),
        says: /CN=A stranger does not belong to the chain .* Remove it from the file/,
      },
      {
        what: "an expired certificate",
        put: () => putPair(issue({ days: 0 })),
        says: /CN=mail\.vectis\.test expired on .* Renew it and replace the file/,
      },
      {
        what: "a self-signed certificate",
        put: () => {
          const own = pki.issue({ subject: `/CN=${host}`, names: [host], usage: "serverAuth" });
          put("fullchain.pem", chain(own));
          put("privkey.pem", own.key);
        },
        says: /is self-signed: no client will trust it\. .*vectis:tls\.provider to internal/,
      },
      {
        what: "a client's certificate",
        put: () => putPair(issue({ usage: "clientAuth" })),
        says: /may not be used by servers \(EKU lacks serverAuth\)/,
      },
      {
        what: "a short key",
        put: () => putPair(issue({ key: "rsa:1024" })),
        says: /key is rsa-1024; at least rsa-2048 is needed/,
      },
      {
        what: "an older certificate",
        put: () => putPair(first),
        says: /is refused: It is older than the published certificate/,
      },
    ];
    let served = "";
    let before: unknown;

    it("a good one first", async () => {
      good = issue();
      putPair(good);
      served = await until("six ports on it", async () => {
        const { serial } = await shared();
        return BigInt(`0x${serial}`) === BigInt(`0x${good.serial}`) && serial;
      });
      before = await lives();
    });

    for (const { what, put: replace, says: sentence } of cases) {
      it(what, async () => {
        putPair(good);
        const since = Date.now();
        replace();
        await says(sentence, since);
        await says(/What is published stays/, since);
        assert.equal((await shared()).serial, served);
      });
    }

    it("and a good one again is served, without a restart in all that time", async () => {
      const next = issue();
      putPair(next);
      await until("six ports on it", async () => BigInt(`0x${(await shared()).serial}`) === BigInt(`0x${next.serial}`));
      assert.deepEqual(await lives(), before);
    });
  });

  it("switch back to the CA: both certificates from before, nothing ordered, no failed handshake (B11)", async () => {
    const { orders } = await site.lab.ledger();
    await switchTo(letsencrypt(), ["acme"], (served) => !isCustom(served));
    assert.equal((await site.lab.ledger()).orders, orders);
    await site.healthy();
    await until("the shared certificate withdrawn from Traefik", async () => {
      return (await site.exec("traefik", "ls", "/etc/traefik/dynamic/certificate.yml").catch(() => "")) === "";
    });
  });

  it("have HTTPS take a certificate for a wildcard too, which costs one start of Traefik (S7)", async () => {
    putPair(issue({ names: ["*.vectis.test"] }));
    await site.up(...site.stack.withConfig({ "vectis:tls": custom() }));
    await until("six ports on the wildcard", async () => isCustom(await shared()));
    assert.match(await logs(site.containers.acme), /Traefik is started afresh without the certificates of its own/);
  });

  it("have HTTPS come back to a certificate of its own after that, without a failed handshake (B11)", async () => {
    await switchTo(letsencrypt(), ["acme"], (served) => !isCustom(served));
  });

  it("do without port 80: Traefik proves the host name on 443, the sidecar in the DNS (S6)", async () => {
    const publish = site.stack.config["vectis:publish"] as object;
    const { http } = (await site.target()).endpoints;
    assert.ok(http !== undefined && (await listens(http)));
    const changes = {
      "vectis:tls": { ...letsencrypt(), challenge: "dns-01" },
      "vectis:publish": { ...publish, port80: "closed" },
    };
    await site.up(...site.stack.withConfig(changes));
    const old = await site.serials();
    assert.equal(site.outputs.endpoints.http, undefined);
    assert.ok(!(await listens(http)));
    const store = "/etc/traefik/acme/acme.json";
    await site.exec("traefik", "mv", store, `${store}.aside`);
    await Promise.all([docker("restart", "--time", "30", site.containers.traefik), site.forceRenewal()]);
    await until("both certificates replaced", async () => {
      const serials = await site.serials();
      return serials[443] !== old[443] && serials[993] !== old[993];
    });
    assert.equal((await site.lab.ledger()).failedAuthorisations, 0);
  });
});
