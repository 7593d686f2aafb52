// DNS-01 at Cloudflare through acme.sh's own dns_cf: host names, wildcards, nothing left behind, faults of the API (S6, B7).
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import { mailZone as zone, secondZone } from "../lab/addresses.ts";
import { docker, inspect, logs } from "./support/docker.ts";
import { removeSites, Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;

/** The site's configuration with DNS-01, port 80 closed, and these further names. */
function withNames(...names: readonly string[]): string[] {
  return site.stack.withConfig(naming(names));
}

function naming(names: readonly string[]): Record<string, unknown> {
  const tls = { ...(site.stack.config["vectis:tls"] as object), challenge: "dns-01", names };
  const publish = { ...(site.stack.config["vectis:publish"] as object), port80: "closed" };
  return { "vectis:tls": tls, "vectis:publish": publish };
}

/** Where challenges are answered when they are delegated to the second zone. */
const delegated = `_acme-challenge.mail.${zone}.${secondZone}`;

/** TXT records of challenges, as the API and the DNS have them. */
async function challenges(): Promise<string[]> {
  const records = (await Promise.all([zone, secondZone].map((one) => site.lab.cloudflare.records(one))))
    .flat()
    .filter(({ name, type }) => type === "TXT" && name.startsWith("_acme-challenge"));
  const names = ["_acme-challenge.mail.vectis.test", "_acme-challenge.vectis.test", delegated];
  const served = (await Promise.all(names.map((name) => site.lab.dig(name, "TXT")))).flat();
  return [
    ...records.map(({ name, content }) => `${name} ${content}`),
    ...served.filter((answer) => answer.startsWith('"')),
  ];
}

async function nothingLeft(): Promise<void> {
  await until("no TXT record and no note left", async () => {
    const notes = await site.exec("acme", "sh", "-c", "ls -A /acme.sh/dns-01 2>/dev/null || :");
    return (await challenges()).length === 0 && notes === "";
  });
}

async function names(): Promise<string> {
  return site.exec("acme", "openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", "/etc/ssl/mail/fullchain.pem");
}

async function publicKey(): Promise<string> {
  return site.exec("acme", "openssl", "x509", "-noout", "-pubkey", "-in", "/etc/ssl/mail/fullchain.pem");
}

const logged = async (what: RegExp): Promise<boolean> => what.test(await logs(site.containers.acme));

describe("DNS-01", () => {
  before(async () => {
    site = await Site.prepare("dns01");
  });
  after(() => removeSites("dns01"));

  it("orders for the host name, from an empty zone, in one update, with port 80 closed (S6)", async () => {
    await site.up(...withNames());
    await site.asExpected();
    assert.equal(site.outputs.endpoints["http"], undefined);
    const { Ports } = (await inspect(site.containers.traefik)).NetworkSettings;
    assert.equal(Ports["80/tcp"] ?? null, null, "port 80 is not published");
    assert.doesNotMatch(await logs(site.lab.ca), /validate w\/ HTTP/, "no challenge went over it");
    assert.match(await names(), /DNS:mail\.vectis\.test$/m);
    const made = (await site.lab.cloudflare.requests()).filter(
      ({ via, method, body }) =>
        via === "https" && method === "POST" && JSON.stringify(body).includes("_acme-challenge"),
    );
    assert.equal(made.length, 1, "acme.sh made one TXT record");
    await nothingLeft();
  });

  it("orders a wildcard, which covers the host name, with the same key (S6)", async () => {
    const key = await publicKey();
    await site.up(...withNames("*.vectis.test", "vectis.test"));
    await until("the wildcard published", async () => /\*\.vectis\.test/.test(await names()));
    assert.match(await names(), /DNS:\*\.vectis\.test, DNS:vectis\.test$/m);
    assert.equal(await publicKey(), key);
    await site.asExpected();
    await nothingLeft();
    assert.equal((await site.lab.ledger()).failedAuthorisations, 0);
  });

  it("renews with the guide's command, by the host name (S15)", async () => {
    const old = await site.publishedSerial();
    await site.forceRenewal();
    await until("a new certificate published", async () => (await site.publishedSerial()) !== old);
    await nothingLeft();
  });

  it("keeps no token in acme.sh's files", async () => {
    const found = await site.exec("acme", "sh", "-c", "grep -rlE 'CF_(Token|Key|Zone_ID)' /acme.sh || :");
    assert.equal(found, "");
  });

  it("lets the CA look only when the zone's name servers have the value", async () => {
    await site.lab.cloudflare.fault({ publishAfter: 4_000 });
    try {
      const output = await site.forceRenewal();
      assert.match(output, /dns_vectis: _acme-challenge\.vectis\.test is at all 1 name servers, after [345]/);
    } finally {
      await site.lab.cloudflare.heal();
    }
    assert.equal((await site.lab.ledger()).failedAuthorisations, 0);
    await nothingLeft();
  });

  it("sits out a short overload in the middle of an order", async () => {
    await site.lab.cloudflare.fault({ status: 429, retryAfter: "2", count: 2, method: "POST" });
    const output = await site.forceRenewal();
    assert.match(output, /dns_vectis: Cloudflare answers 429 \(971: Please wait.*\); it is asked again in 3 s/);
    await nothingLeft();
  });

  it("does its work with a slow API", async () => {
    await site.lab.cloudflare.fault({ delay: 1_000 });
    try {
      await site.forceRenewal();
    } finally {
      await site.lab.cloudflare.heal();
    }
    await nothingLeft();
  });

  describe("nothing is left behind (S6)", () => {
    it("by an order that fails when its first record is made already", async () => {
      const { cloudflare } = site.lab;
      await cloudflare.fault({ publishAfter: 2_000 });
      const failed = assert.rejects(site.forceRenewal(), ({ stdout }: { stdout?: string }) =>
        /dns_vectis: gave up: Cloudflare answers 403/.test(stdout ?? ""),
      );
      await until("a TXT record made", async () => (await challenges()).length > 0, { interval: 50 });
      await cloudflare.fault({ status: 403, method: "POST" });
      await failed;
      await cloudflare.heal();
      await nothingLeft();
    });

    it("by an order whose removal is refused: certd does it", async () => {
      await site.lab.cloudflare.fault({ status: 403, method: "DELETE", count: 2 });
      await site.forceRenewal();
      await nothingLeft();
      assert.ok(await logged(/TXT records that an order had left behind are removed: _acme-challenge\.vectis\.test\./));
    });

    for (const pause of [0, 1_500]) {
      it(`by an order that is killed with all that runs, ${pause} ms after its record was made`, async () => {
        await site.lab.cloudflare.fault({ publishAfter: 3_000 });
        const order = site.forceRenewal().catch(() => undefined);
        await until("a TXT record made", async () => (await challenges()).length > 0, { interval: 50 });
        await delay(pause);
        await docker("kill", "--signal", "KILL", site.containers.acme);
        await order;
        assert.notDeepEqual(await challenges(), [], "the kill came in time");
        await site.lab.cloudflare.heal();
        await docker("start", site.containers.acme);
        await nothingLeft();
      });
    }

    it("by orders that are killed at random moments, certd living on", async () => {
      for (let round = 0; round < 4; round++) {
        const order = site.forceRenewal().catch(() => undefined);
        await delay(1_000 + Math.random() * 4_000);
        const kill =
          "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in *acme.s[h]*--renew*) kill -9 ${p#/proc/};; esac; done";
        await site.exec("acme", "sh", "-c", `{ ${kill}; } 2>/dev/null || :`);
        await order;
        await nothingLeft();
      }
    });
  });

  describe("an API that fails when an order is due", () => {
    it("is waited for; the log says what is wrong, and what is published is served on (B7)", async () => {
      const { cloudflare } = site.lab;
      await site.asExpected();
      const served = await site.publishedSerial();
      await cloudflare.fault({ down: true });
      // A CA that has forgotten everything: certd wants another certificate, without any hurry.
      await docker("restart", "--time", "10", site.lab.ca);
      await until("the missing API told", () => logged(/No order is placed, .*: Cloudflare does not answer/));
      await cloudflare.fault({ status: 429, retryAfter: "3" });
      await until("the overload told", () => logged(/No order is placed, .*: Cloudflare answers 429 \(971/));
      await cloudflare.heal();
      assert.equal(await site.publishedSerial(), served);
      await until("an order placed", async () => (await site.publishedSerial()) !== served);
      await site.asExpected({ deadline: 240 });
      await nothingLeft();
    });

    it("refuses a revoked token: certd says so, and takes another one at once (B7)", async () => {
      const { cloudflare } = site.lab;
      const tokens = (await cloudflare.must("GET", "/user/tokens")) as unknown as { id: string; name: string }[];
      const own = tokens.find(({ name }) => name === `vectis ${site.name} dns-01`);
      assert.ok(own, JSON.stringify(tokens));
      await cloudflare.removeToken(own.id);
      const served = await site.publishedSerial();
      await docker("restart", "--time", "10", site.lab.ca);
      await until("the refusal told", () =>
        logged(/No order is placed, .*403 \(9109: .*the token is not valid \(any more\)/),
      );
      assert.equal(await site.publishedSerial(), served);
      await site.up("--refresh", ...withNames("*.vectis.test", "vectis.test"));
      await until("an order placed", async () => (await site.publishedSerial()) !== served);
      await site.asExpected({ deadline: 240 });
      await nothingLeft();
    });
  });

  describe("a zone for challenges alone (B7)", () => {
    const names = ["*.vectis.test", "vectis.test"];
    const alias = `_acme-challenge.${zone}`;
    const own = (name: string): string => `/zones/${site.lab.cloudflare.zoneId(name)}`;
    const config = (): string[] => {
      const challengeZone = { name: secondZone, zoneId: site.lab.cloudflare.zoneId(secondZone) };
      const dns = { provider: "cloudflare", zoneId: site.lab.cloudflare.zoneId(zone), challengeZone };
      return site.stack.withConfig({ ...naming(names), "vectis:dns": dns });
    };
    const posts = async (): Promise<string[]> =>
      (await site.lab.cloudflare.requests())
        .filter(({ via, method }) => via === "https" && method === "POST")
        .map(({ path }) => path.replace(/^\/client\/v4/, ""));

    it("is one change: an alias, and another token for the sidecar", async () => {
      const changes = (await site.stack.changes(...config())).filter(({ op }) => op === "create" || op === "replace");
      assert.deepEqual(changes.map(({ op, urn }) => `${op} ${urn.slice(urn.lastIndexOf("::") + 2)}`).sort(), [
        `create records-cname-${alias}`,
        "replace acme",
        "replace challenge-token",
      ]);
      const served = await site.serials();
      await site.up(...config());
      assert.deepEqual(await site.serials(), served, "nothing is ordered because of it");
      await site.stack.pulumi("preview", "--refresh", "--expect-no-changes", ...config());
    });

    it("has the token see nothing of the mail zone, and every challenge answered", async () => {
      const { cloudflare } = site.lab;
      const { failedAuthorisations } = await site.lab.ledger();
      const token = await site.exec("acme", "cat", "/etc/vectis/secrets/cloudflare-token");
      for (const path of [own(zone), `${own(zone)}/dns_records`])
        assert.equal((await cloudflare.ask("GET", path, { token })).status, 403, path);
      assert.equal((await cloudflare.ask("GET", own(secondZone), { token })).status, 200);
      const old = await site.publishedSerial();
      await cloudflare.forget();
      await site.forceRenewal();
      await until("a new certificate published", async () => (await site.publishedSerial()) !== old);
      assert.deepEqual(await posts(), Array(2).fill(`${own(secondZone)}/dns_records`), "one record for each name");
      await site.asExpected();
      await nothingLeft();
      assert.equal((await site.lab.ledger()).failedAuthorisations, failedAuthorisations);
    });

    it("places no order while a name is not led there, says which and why, and orders when it is", async () => {
      const { cloudflare } = site.lab;
      const cname = (await cloudflare.records(zone)).find(({ name, type }) => name === alias && type === "CNAME");
      assert.equal(cname?.content, delegated);
      await cloudflare.removeRecord(zone, cname.id);
      const served = await site.publishedSerial();
      const { failedAuthorisations } = await site.lab.ledger();
      await docker("restart", "--time", "10", site.lab.ca);
      await until("the missing alias told", () =>
        logged(/No order is placed, .*: _acme-challenge\.vectis\.test is no alias of \S+ yet: .*`pulumi up`/),
      );
      assert.equal(await site.publishedSerial(), served);
      await site.up("--refresh", ...config());
      await until("an order placed", async () => (await site.publishedSerial()) !== served);
      await site.asExpected({ deadline: 240 });
      await nothingLeft();
      assert.equal((await site.lab.ledger()).failedAuthorisations, failedAuthorisations);
    });

    it("serves a mail zone that the stack does not hold, with aliases and a token made by hand", async () => {
      const { cloudflare } = site.lab;
      const challengeZone = { name: secondZone, zoneId: cloudflare.zoneId(secondZone) };
      const { value } = await cloudflare.createToken(["DNS Write", "Zone Read"], [secondZone]);
      const elsewhere = site.stack.withConfig({
        ...naming(names),
        "vectis:dns": { challengeZone },
        "vectis:challengeToken": value,
        "vectis:addresses": [],
      });
      await site.up(...elsewhere);
      const { stdout, stderr } = await site.stack.run("preview", ...elsewhere);
      assert.match(
        stdout + stderr,
        /vectis:dns\.challengeZone is not led to: _acme-challenge\.vectis\.test is no alias, so that /,
      );
      const { dnsZone } = (await site.stack.outputs()) as { readonly dnsZone: string };
      assert.match(dnsZone, new RegExp(`^${alias}\\. 300 IN CNAME ${delegated}\\.$`, "m"));
      const { id } = await cloudflare.addRecord(zone, { type: "CNAME", name: alias, content: delegated, ttl: 300 });
      try {
        const old = await site.publishedSerial();
        await site.forceRenewal();
        await until("a new certificate published", async () => (await site.publishedSerial()) !== old);
        await site.asExpected();
        await nothingLeft();
        const now = await site.stack.run("preview", "--expect-no-changes", ...elsewhere);
        assert.doesNotMatch(now.stdout + now.stderr, /is not led to/);
      } finally {
        await cloudflare.removeRecord(zone, id);
      }
    });
  });
});
