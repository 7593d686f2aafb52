// Checks before a change: what is wrong with ports, DNS, tokens and files stops a preview and an update with one list (B8).
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestPki } from "../certd/test-pki.ts";
import { docker, inspect } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { freeOffset, roles, type Site } from "./support/site.ts";

let site: Site;

async function identities(): Promise<string> {
  const details = await Promise.all(roles.map((role) => inspect(site.containers[role])));
  return JSON.stringify(details.map(({ Id, State }) => [Id, State.StartedAt]));
}

/** What preview and update say alike when they refuse a configuration; nothing may have changed then. */
async function refused(changes: Readonly<Record<string, unknown>>): Promise<string> {
  const before = await identities();
  const variant = site.stack.withConfig(changes);
  const said: string[] = [];
  for (const command of [["preview"], ["up", "--yes", "--skip-preview"]]) {
    const { code, stdout, stderr } = await site.stack.run(...command, ...variant);
    assert.notEqual(code, 0, stdout);
    assert.doesNotMatch(stdout + stderr, /at .*\.ts:\d+/, "no stack trace");
    said.push(stdout + stderr);
  }
  assert.equal(await identities(), before, "nothing has changed");
  const [preview = "", update] = said.map((text) => (text.match(/^ *- .*$/gm) ?? []).join("\n"));
  assert.equal(update, preview);
  return preview;
}

function says(list: string, ...lines: readonly RegExp[]): void {
  for (const line of lines) assert.match(list, line);
}

describe("checks before a change", () => {
  before(async () => {
    site = await sharedSite();
  });

  it("refuse a port that another process holds (B8)", async (t) => {
    const server = createServer();
    t.after(() => server.close());
    const portOffset = await freeOffset();
    await once(server.listen(portOffset + 25, "127.0.0.1"), "listening");
    const publish = { ...(site.stack.config["vectis:publish"] as object), portOffset };
    says(
      await refused({ "vectis:publish": publish }),
      new RegExp(
        `vectis:publish\\.portOffset ${portOffset} puts smtp on 127\\.0\\.0\\.1:${portOffset + 25}, but a process of this machine`,
      ),
    );
  });

  it("refuse a port that another stack holds (B8)", async () => {
    says(
      await refused({ "vectis:name": `${site.name}-2` }),
      new RegExp(
        `puts smtp on \\S+, which the container ${site.containers.postfix} of the stack with vectis:name ${site.name} holds`,
      ),
      new RegExp(`puts imaps on \\S+, which the container ${site.containers.dovecot} of the stack`),
    );
  });

  describe("on the operator's own certificate", () => {
    const pki = new TestPki();
    const folder = mkdtempSync(join(tmpdir(), "vectis-custom-"));
    const [certPath, keyPath] = [join(folder, "fullchain.pem"), join(folder, "privkey.pem")];
    const root = pki.issue({ subject: "/CN=Root", ca: true });
    const middle = pki.issue({ subject: "/CN=Middle", ca: true, by: root });
    const stranger = pki.issue({ subject: "/CN=Stranger", ca: true });
    const leafOf = { subject: "/", by: middle, names: ["mail.vectis.test"], usage: "serverAuth" };
    const [leaf, other, elsewhere, client, expired] = [
      pki.issue(leafOf),
      pki.issue(leafOf),
      pki.issue({ ...leafOf, names: ["mail.example.com"] }),
      pki.issue({ ...leafOf, usage: "clientAuth" }),
      pki.issue({ ...leafOf, days: -1 }),
    ];
    after(() => {
      pki.remove();
      rmSync(folder, { recursive: true });
    });

    /** What is said about a pair, without the files' paths. */
    async function judged(fullchain: string | undefined, privkey: string): Promise<string> {
      rmSync(certPath, { force: true });
      if (fullchain !== undefined) writeFileSync(certPath, fullchain);
      writeFileSync(keyPath, privkey, { mode: 0o600 });
      const tls = { ...(site.stack.config["vectis:tls"] as object), provider: "custom", certPath, keyPath };
      return (await refused({ "vectis:tls": tls })).replaceAll(`${folder}/`, "");
    }

    it("name everything that is wrong with it, in one list (S20, B8)", async () => {
      says(
        await judged(elsewhere.pem + stranger.pem, other.key),
        /vectis:tls\.keyPath \(privkey\.pem\): The private key does not belong to mail\.example\.com\./,
        /vectis:tls\.certPath \(fullchain\.pem\): The certificate does not cover mail\.vectis\.test; it covers mail\.example\.com\./,
        /vectis:tls\.certPath \(fullchain\.pem\): The certificate CN=Stranger does not belong to the chain/,
        /vectis:tls\.certPath \(fullchain\.pem\): The intermediate certificate "CN=Middle" .* is missing from the chain\./,
      );
    });

    it("tell each kind of bad certificate from the others (S20)", async () => {
      says(await judged(undefined, leaf.key), /tls\.certPath names fullchain\.pem, which does not exist on this host/);
      says(
        await judged(leaf.pem + middle.pem, "no key"),
        /tls\.keyPath \(privkey\.pem\): The private key cannot be read/,
      );
      says(
        await judged(middle.pem + leaf.pem, leaf.key),
        /The chain is in the wrong order; it must be: mail\.vectis\.test \| CN=Middle/,
      );
      says(await judged(client.pem + middle.pem, client.key), /may not be used by servers \(EKU lacks serverAuth\)/);
      says(await judged(expired.pem + middle.pem, expired.key), /The certificate mail\.vectis\.test expired on 20/);
    });
  });

  describe("where somebody else makes the records", () => {
    const zone = "vectis-two.test";
    const host = `mail.${zone}`;
    const foreign = [
      { type: "A", name: host, content: "192.0.2.99", ttl: 60 },
      { type: "AAAA", name: host, content: "2001:db8::99", ttl: 60 },
      { type: "MX", name: zone, content: `mx.${zone}`, priority: 10, ttl: 60 },
      { type: "CNAME", name: `mx.${zone}`, content: host, ttl: 60 },
      { type: "TXT", name: zone, content: '"v=spf1 mx -all"', ttl: 60 },
      { type: "TXT", name: zone, content: '"v=spf1 -all"', ttl: 60 },
      { type: "CAA", name: zone, data: { flags: 0, tag: "issue", value: "digicert.com" }, ttl: 60 },
    ] as const;
    const ids: string[] = [];

    before(async () => {
      for (const record of foreign) ids.push((await site.lab.cloudflare.addRecord(zone, record)).id);
    });
    after(async () => {
      for (const id of ids) await site.lab.cloudflare.removeRecord(zone, id);
    });

    it("name every contradiction between them and the configuration in one list (B8)", async () => {
      const tls = site.stack.config["vectis:tls"] as { acme: object };
      const list = await refused({
        "vectis:hostname": host,
        "vectis:domains": [zone],
        "vectis:mailboxes": [],
        "vectis:addresses": ["192.0.2.25", "2001:db8::99"],
        "vectis:dns": { provider: "none" },
        "vectis:tls": { ...tls, acme: { ...tls.acme, caaIdentity: "ca.vectis.test" } },
      });
      says(
        list,
        /vectis:addresses does not list 192\.0\.2\.99, to which mail\.vectis-two\.test leads/,
        /vectis:tls\.acme\.directory belongs to ca\.vectis\.test, but the CAA records of vectis-two\.test let only digicert\.com issue/,
        /\(warning\) vectis:addresses lists 192\.0\.2\.25, to which mail\.vectis-two\.test does not lead/,
        /\(warning\) vectis:domains has vectis-two\.test, whose MX names mx\.vectis-two\.test: its mail does not come here/,
        /\(warning\) vectis:domains has vectis-two\.test, whose MX record names mx\.vectis-two\.test, a CNAME/,
        /\(warning\) vectis:domains has vectis-two\.test, which has 2 SPF records/,
      );
      assert.doesNotMatch(list, /2001:db8::99/, "what is right is not mentioned");
    });
  });

  it("refuse to hold senders to a certificate that they would not find (B6, B8)", async () => {
    const { stack } = site;
    const dns = { ...(stack.config["vectis:dns"] as object), mtaSts: "enforce" };
    const tls = { ...(stack.config["vectis:tls"] as object), provider: "internal" };
    says(
      await refused({ "vectis:dns": dns, "vectis:tls": tls }),
      /vectis:dns\.mtaSts is enforce, and no sender trusts the CA that the stack makes for itself/,
    );
    await stack.pulumi("preview", ...stack.withConfig({ "vectis:dns": dns }));
    await docker("stop", site.containers.postfix);
    try {
      says(
        await refused({ "vectis:dns": dns }),
        /vectis:dns\.mtaSts is enforce, and senders would find no certificate \(.*\) on port 25; first set it to testing/,
      );
    } finally {
      await docker("start", site.containers.postfix);
      await site.asExpected();
    }
  });

  it("ask Cloudflare three times for one zone, whose records one answer lists (B8)", async () => {
    await site.lab.cloudflare.forget();
    await site.stack.pulumi("preview", "--expect-no-changes");
    const asked = (await site.lab.cloudflare.requests()).map(({ method, path }) => `${method} ${path}`);
    const zone = `/zones/${site.lab.cloudflare.zoneId("vectis.test")}`;
    assert.deepEqual(asked.sort(), ["GET /user/tokens/verify", `GET ${zone}`, `GET ${zone}/dns_records`]);
  });

  it("do not wait for an API that is slow or down, and say what was left out (B8)", async () => {
    try {
      for (const fault of [{ delay: 60_000 }, { down: true }, { status: 429, retryAfter: "60" }]) {
        await site.lab.cloudflare.fault(fault);
        const { code, stdout } = await site.stack.run("preview", "--expect-no-changes");
        assert.equal(code, 0, stdout);
        assert.match(stdout, /cloudflare:apiToken was not checked: Cloudflare's API did not answer \(.+\)/);
      }
    } finally {
      await site.lab.cloudflare.heal();
    }
  });

  it("refuse a token that does not see its zone (B7, B8)", async () => {
    const token = await site.lab.cloudflare.createToken(["DNS Write", "Zone Read"], ["vectis-two.test"]);
    try {
      const list = await refused({
        "vectis:dns": { provider: "cloudflare", zoneId: site.lab.cloudflare.zoneId("vectis.test") },
        "cloudflare:baseUrl": site.lab.cloudflare.baseUrl,
        "cloudflare:apiToken": token.value,
      });
      says(
        list,
        /cloudflare:apiToken has no access to the zone 3f2a7c1e9b8d4065a1c2d3e4f5061728 \(.*\); give it Zone > DNS > Edit/,
      );
      assert.ok(!list.includes(token.value), "the token is not repeated");
    } finally {
      await site.lab.cloudflare.removeToken(token.id);
    }
  });
});
