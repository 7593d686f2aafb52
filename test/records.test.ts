// DNS records as resources of the stack: published, reviewed, imported, and never at the expense of other records
// (S22, B6); and a token that can do no more than it is for (B7).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { PrintedRecord } from "../components/zone-file.ts";
import type { Fault } from "../lab/cloudflare/faults.ts";
import type { ApiRecord } from "./support/cloudflare.ts";
import type { Bag } from "../lab/providers/protocol/value.ts";
import { inspect } from "./support/docker.ts";
import { removeSites, type Role, roles, Site } from "./support/site.ts";

const zone = "vectis.test";
let site: Site;

/** What others have in the zone: at the stack's own names where that is allowed, and elsewhere. */
const foreignRecords = [
  { type: "A", name: zone, content: "192.0.2.80", ttl: 1, proxied: true },
  { type: "CNAME", name: `www.${zone}`, content: zone, ttl: 1, proxied: true, comment: "the web team's" },
  { type: "TXT", name: zone, content: '"google-site-verification=0123456789"', ttl: 3600 },
  { type: "TXT", name: `_acme-challenge.www.${zone}`, content: '"not this stack\'s order"', ttl: 120 },
  { type: "CAA", name: `shop.${zone}`, data: { flags: 0, tag: "issue", value: "digicert.com" }, ttl: 300 },
  {
    type: "SRV",
    name: `_xmpp-server._tcp.${zone}`,
    data: { priority: 5, weight: 0, port: 5269, target: `chat.${zone}` },
    ttl: 300,
  },
  { type: "MX", name: `lists.${zone}`, content: "mx.example.net", priority: 10, ttl: 300 },
] as const;
let foreign: string;

const records = (): Promise<readonly ApiRecord[]> => site.lab.cloudflare.records(zone);

/** Everything that the API says of the records of others, times of modification included. */
async function others(): Promise<string> {
  const theirs = (await records()).filter(({ comment }) => !comment?.startsWith("vectis:"));
  return JSON.stringify(theirs, undefined, 1);
}

async function wanted(): Promise<readonly PrintedRecord[]> {
  const { dnsRecords } = (await site.stack.outputs()) as { readonly dnsRecords: readonly PrintedRecord[] };
  return dnsRecords;
}

/** Compares what DNS answers for each wanted name and type with what the stack says that it wants. */
async function digged(): Promise<void> {
  for (const { name, type, value } of await wanted()) {
    const answer = await site.lab.dig(name, type);
    assert.ok(answer.includes(value), `${name} ${type}: ${value} in ${answer.join(" | ")}`);
  }
}

const lines = (text: string): string[] => text.match(/^ +- (?:.|\n {6})*$/gm) ?? [];

describe("records at Cloudflare", () => {
  before(async () => {
    site = await Site.prepare("records");
    for (const record of foreignRecords) await site.lab.cloudflare.addRecord(zone, record);
    foreign = await others();
  });
  after(() => removeSites("records"));

  it("are refused while another record contradicts them, with what to do about it (B8)", async () => {
    const { cloudflare } = site.lab;
    const rivals = [
      { type: "TXT", name: zone, content: '"v=spf1 include:spf.example.net ~all"', ttl: 300 },
      { type: "TXT", name: `_dmarc.${zone}`, content: '"v=DMARC1; p=none"', ttl: 300 },
      { type: "A", name: `mail.${zone}`, content: "192.0.2.99", ttl: 1, proxied: true },
    ];
    const ids: string[] = [];
    try {
      for (const rival of rivals) ids.push((await cloudflare.addRecord(zone, rival)).id);
      const { code, stdout, stderr } = await site.stack.run("preview");
      assert.notEqual(code, 0);
      const said = lines(stdout + stderr).join("\n");
      for (const expected of [
        /vectis:dns\.spf makes a record beside vectis\.test TXT "v=spf1 include:spf\.example\.net ~all"/,
        /vectis:dns\.dmarc makes a record beside _dmarc\.vectis\.test TXT "v=DMARC1; p=none"/,
        /vectis:addresses cannot be reached through mail\.vectis\.test A 192\.0\.2\.99, which is behind Cloudflare's proxy/,
      ]) {
        assert.match(said, expected);
      }
    } finally {
      for (const id of ids) await cloudflare.removeRecord(zone, id);
    }
    assert.equal(await others(), foreign);
  });

  it("that exist already are imported by the printed command, before the first update (S22)", async () => {
    const { cloudflare } = site.lab;
    const srv = { priority: 0, weight: 1, port: 993, target: `mail.${zone}` };
    const existing = [
      await cloudflare.addRecord(zone, { type: "MX", name: zone, content: `mail.${zone}`, priority: 10, ttl: 3600 }),
      await cloudflare.addRecord(zone, { type: "SRV", name: `_imaps._tcp.${zone}`, data: srv, ttl: 300 }),
      await cloudflare.addRecord(zone, { type: "TXT", name: zone, content: '"v=spf1 mx -all"', ttl: 300 }),
    ];
    const preview = await site.stack.run("preview");
    assert.equal(preview.code, 0, preview.stdout + preview.stderr);
    const commands = (preview.stdout + preview.stderr).match(/pulumi import .*$/gm) ?? [];
    assert.equal(commands.length, existing.length);
    for (const command of commands) await site.stack.pulumi(...command.split(" ").slice(1), "--yes");

    await site.up();
    const now = await records();
    for (const { id } of existing) assert.equal(now.find((record) => record.id === id)?.comment, `vectis:${site.name}`);
    assert.equal(await others(), foreign, "nothing of others has changed");
  });

  it("are in DNS after one update, each as the stack says (S22, B6)", async () => {
    await digged();
    const own = (await records()).filter(({ comment }) => comment === `vectis:${site.name}`);
    assert.equal(own.length, (await wanted()).length, "no more and no fewer");
    assert.ok(own.every(({ proxied }) => !proxied));
  });

  it("are the same as the zone fragment that goes to any other DNS host (B6)", async () => {
    const { dnsZone } = (await site.stack.outputs()) as { readonly dnsZone: string };
    const expected = (await wanted()).map(({ name, ttl, type, value }) => `${name}. ${ttl} IN ${type} ${value}\n`);
    assert.equal(dnsZone, expected.join(""));
  });

  it("leave a second preview empty, and one after a refresh (B1)", async () => {
    await site.stack.pulumi("preview", "--expect-no-changes");
    await site.stack.pulumi("preview", "--refresh", "--expect-no-changes");
  });

  it("follow the configuration in one update, and only those that it changes are touched (S22)", async () => {
    const dns = site.stack.config["vectis:dns"] as object;
    const changed = site.stack.withConfig({
      "vectis:dns": { ...dns, dmarc: "reject", reports: "reports@vectis.test" },
      "vectis:addresses": ["2001:db8::25", "192.0.2.26"],
    });
    const isRecord = (urn: string): boolean => urn.includes("DnsRecord");
    const steps = (await site.stack.changes(...changed)).filter(({ urn }) => isRecord(urn));
    assert.deepEqual(steps.map(({ op, urn }) => `${op} ${urn.slice(urn.lastIndexOf("::records-") + 2)}`).sort(), [
      "create records-a-mail.vectis.test-192.0.2.26",
      "delete records-a-mail.vectis.test-192.0.2.25",
      "update records-caa-mail.vectis.test-iodef",
      "update records-txt-_dmarc.vectis.test",
      "update records-txt-_smtp._tls.vectis.test",
    ]);
    await site.up(...changed);
    await digged();
    assert.deepEqual(await site.lab.dig(`mail.${zone}`, "A"), ["192.0.2.26"]);
    assert.equal(await others(), foreign);
    await site.up();
  });

  it("come back after somebody has changed or removed them, at the next update with a refresh", async () => {
    const { cloudflare } = site.lab;
    const own = await records();
    const find = (type: string, name: string): ApiRecord => {
      const found = own.find((record) => record.type === type && record.name === name);
      assert.ok(found, `${type} ${name}`);
      return found;
    };
    await cloudflare.removeRecord(zone, find("MX", zone).id);
    const path = `/zones/${cloudflare.zoneId(zone)}/dns_records/${find("A", `mail.${zone}`).id}`;
    await cloudflare.must("PATCH", path, { proxied: true, ttl: 1 });
    const preview = await site.stack.run("preview");
    assert.match(preview.stdout + preview.stderr, /`pulumi up --refresh` turns the proxy off/);
    await site.up("--refresh");
    await digged();
    assert.equal(await others(), foreign);
  });

  const failures: readonly [what: string, fault: Fault, says: RegExp][] = [
    ["is down", { down: true }, /PUT "\S+\/dns_records\/\w+": (?!.*\n +at )/],
    ["fails half-way", { status: 500, method: "PUT", path: "/dns_records/" }, /PUT "\S+": 500 /],
    [
      "asks to wait for longer than anybody would",
      { status: 429, retryAfter: "900", method: "PUT" },
      /asks to wait 900 s/,
    ],
    ["refuses the token", { status: 403, method: "PUT" }, /PUT "\S+": 403 /],
  ];
  for (const [what, fault, says] of failures) {
    it(`stay as they were when an update finds an API that ${what}, and follow with the next one`, async () => {
      const dns = site.stack.config["vectis:dns"] as object;
      const changed = site.stack.withConfig({ "vectis:dns": { ...dns, reports: "reports@vectis.test" } });
      const before = await Promise.all((await wanted()).map(({ name, type }) => site.lab.dig(name, type)));
      const theirs = await others();
      await site.lab.cloudflare.fault(fault);
      try {
        const { code, stdout, stderr } = await site.stack.run("up", "--yes", "--skip-preview", ...changed);
        assert.notEqual(code, 0);
        assert.match(stdout + stderr, says);
        assert.doesNotMatch(stdout + stderr, /\n +at /, "no stack trace");
      } finally {
        await site.lab.cloudflare.heal();
      }
      const after = await Promise.all((await wanted()).map(({ name, type }) => site.lab.dig(name, type)));
      assert.deepEqual(after, before);
      await site.up(...changed);
      await digged();
      await site.stack.pulumi("preview", "--refresh", "--expect-no-changes", ...changed);
      assert.equal(await others(), theirs);
      await site.up();
    });
  }

  it("are updated all the same by an API that is slow, and asks to wait in between", async () => {
    const dns = site.stack.config["vectis:dns"] as object;
    const changed = site.stack.withConfig({ "vectis:dns": { ...dns, reports: "reports@vectis.test" } });
    for (const fault of [{ delay: 500 }, { status: 429, retryAfter: "1", count: 3, method: "PUT" }]) {
      await site.lab.cloudflare.fault(fault);
      try {
        await site.up(...changed);
      } finally {
        await site.lab.cloudflare.heal();
      }
      await digged();
      await site.up();
    }
  });

  describe("with a challenge token for DNS-01", () => {
    const path = "/etc/vectis/secrets/cloudflare-token";
    const token = (): Promise<string> => site.exec("acme", "cat", path);
    const config = (limits: object = {}): string[] => {
      const { stack } = site;
      const tls = { ...(stack.config["vectis:tls"] as object), challenge: "dns-01" };
      const dns = { ...(stack.config["vectis:dns"] as object), token: limits };
      return stack.withConfig({ "vectis:tls": tls, "vectis:dns": dns });
    };
    const status = async (method: string, asked: string, value: string, body?: Bag): Promise<number> =>
      (await site.lab.cloudflare.ask(method, asked, { token: value, ...(body === undefined ? {} : { body }) })).status;
    const verify = (value: string): Promise<number> => status("GET", "/user/tokens/verify", value);
    const containers = async (): Promise<Record<Role, string>> => {
      const ids = roles.map(async (role) => [role, (await inspect(site.containers[role])).Id] as const);
      return Object.fromEntries(await Promise.all(ids)) as Record<Role, string>;
    };

    it("give the sidecar a file that only its user reads (B7)", async () => {
      await site.up(...config());
      assert.equal(await site.exec("acme", "stat", "-c", "%a %u", path), "600 0");
      assert.equal(await verify(await token()), 200);
      const { Config } = await inspect(site.containers.acme);
      assert.ok(!JSON.stringify(Config).includes(await token()), "neither in its environment nor in its labels");
      assert.ok(!(await site.stack.pulumi("stack", "export")).includes(await token()), "nor in clear in the state");
      await site.stack.pulumi("preview", "--refresh", "--expect-no-changes", ...config());
    });

    it("let it edit the DNS of the ordered names' zone, and nothing else (B7)", async () => {
      const { cloudflare } = site.lab;
      const [own, other] = [zone, "vectis-two.test"].map((name) => `/zones/${cloudflare.zoneId(name)}`);
      const value = await token();
      const challenge = (name: string): Bag => ({
        type: "TXT",
        name: `_acme-challenge.${name}`,
        content: '"x"',
        ttl: 60,
      });
      const made = await cloudflare.ask("POST", `${own}/dns_records`, {
        token: value,
        body: challenge(`mail.${zone}`),
      });
      assert.equal(made.status, 200);
      const { id } = made.result as { readonly id: string };
      assert.equal(await status("GET", `${own}`, value), 200);
      assert.equal(await status("GET", `${own}/dns_records`, value), 200);
      assert.equal(await status("DELETE", `${own}/dns_records/${id}`, value), 200);
      const refused: readonly [method: string, path: string, body?: Bag][] = [
        ["GET", `${other}`],
        ["GET", `${other}/dns_records`],
        ["POST", `${other}/dns_records`, challenge("vectis-two.test")],
        ["GET", "/user/tokens"],
        ["POST", "/user/tokens", { name: "more", policies: [] }],
        ["GET", `/accounts/${cloudflare.accountId}/tokens`],
      ];
      for (const [method, asked, body] of refused) {
        assert.equal(await status(method, asked, value, body), 403, `${method} ${asked}`);
      }
    });

    it("replace nothing but token and sidecar when its limits change, and the old token ends (B7)", async () => {
      const [old, before] = [await token(), await containers()];
      const limited = config({ allowedAddresses: ["198.51.100.0/24"] });
      const replaced = (await site.stack.changes(...limited)).filter(({ op }) => op === "replace");
      assert.deepEqual(replaced.map(({ type }) => type).sort(), [
        "cloudflare:index/apiToken:ApiToken",
        "docker:index/container:Container",
      ]);
      await site.up(...limited);
      const after = await containers();
      assert.notEqual(after.acme, before.acme);
      assert.deepEqual({ ...after, acme: "" }, { ...before, acme: "" });
      assert.notEqual(await token(), old);
      assert.equal(await verify(old), 401, "the old one is gone");
      assert.equal(
        await status("GET", `/zones/${site.lab.cloudflare.zoneId(zone)}`, await token()),
        403,
        "wrong address",
      );
    });

    it("make another one after a revocation, at the next update with a refresh (B7)", async () => {
      await site.up(...config());
      const { cloudflare } = site.lab;
      const old = await token();
      const { result } = await cloudflare.ask("GET", "/user/tokens/verify", { token: old });
      await cloudflare.removeToken((result as { readonly id: string }).id);
      await site.up("--refresh", ...config());
      assert.notEqual(await token(), old);
      assert.equal(await verify(await token()), 200);
    });

    it("may belong to the account instead of a user (B7)", async () => {
      const { accountId } = site.lab.cloudflare;
      const old = await token();
      const dns = { ...(site.stack.config["vectis:dns"] as object), accountId };
      const tls = { ...(site.stack.config["vectis:tls"] as object), challenge: "dns-01" };
      const accounts = site.stack.withConfig({ "vectis:tls": tls, "vectis:dns": dns });
      await site.up(...accounts);
      assert.notEqual(await token(), old);
      assert.equal(await status("GET", `/accounts/${accountId}/tokens/verify`, await token()), 200);
      assert.equal(await verify(old), 401, "the user's is gone");
      await site.forceRenewal();
      await site.stack.pulumi("preview", "--refresh", "--expect-no-changes", ...accounts);
    });
  });

  it("go with the stack, and the records of others stay as they were, byte for byte (S21, B6)", async () => {
    await site.stack.pulumi("destroy", "--yes", "--skip-preview");
    assert.equal(JSON.stringify(await records(), undefined, 1), foreign);
  });
});
