// One site whose mind is changed: certificates of 90, 64, 45 and 6 days from the same CA, then other names, another key
// type, another profile, another directory and back. certd and Traefik order anew by themselves, and only when needed.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Status } from "../certd/status.ts";
import { docker, logs } from "./support/docker.ts";
import { removeSites, Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

const DAY = 86_400_000;

/** Days: lifetime, and the middle of the window that the CA suggests, a day wide to either side; Traefik is told hours. */
const table = [
  { days: 90, left: 30, hours: 2160 },
  { days: 64, left: 21.33, hours: 1536 },
  { days: 45, left: 15, hours: 1080 },
  { days: 6.67, left: 2.22, hours: 160 },
] as const;

let site: Site;
/** `vectis:tls` as it is in use. */
let tls: { readonly acme: Readonly<Record<string, unknown>>; readonly names?: readonly string[] };

const status = async (): Promise<Status> =>
  JSON.parse(await site.exec("acme", "cat", "/run/certd/status.json")) as Status;
const published = async (): Promise<X509Certificate> =>
  new X509Certificate(await site.exec("acme", "cat", "/etc/ssl/mail/fullchain.pem"));
/** A directory of its own for whoever looks at its URL; the CA answers the same at all of them. */
const directory = (name: string): string => `${site.lab.directory}?${name}`;

async function change(acme: Readonly<Record<string, unknown>>, more: object = {}): Promise<void> {
  tls = { ...tls, ...more, acme: { ...tls.acme, ...acme } };
  await site.up(...site.stack.withConfig({ "vectis:tls": tls }));
}

/** Waits until no mail port shows the certificate from before, and all are as expected. */
async function renewed(before: string): Promise<void> {
  await until("a new certificate", async () => (await site.publishedSerial()) !== before);
  await site.asExpected();
}

describe("the lifetime of the CA's certificates", () => {
  before(async () => {
    site = await Site.prepare("lifetimes");
    tls = site.stack.config["vectis:tls"] as typeof tls;
  });

  for (const { days, left, hours } of table) {
    it(`${days} days: certd plans with about ${left} days left, Traefik is told ${hours} hours (S14, B10)`, async (t) => {
      await site.lab.project.up("--config", `vectis-lab:certificateSeconds=${Math.round(days * 86_400)}`);
      await change({ directory: directory(`days=${days}`), lifetimeDays: days });
      await site.asExpected();
      const { validFromDate, validToDate } = await published();
      const lifetime = validToDate.getTime() - validFromDate.getTime();
      assert.ok(Math.abs(lifetime / DAY - days) < 0.05, `${lifetime / DAY} days`);
      const renewal = await until("the CA's window", async () => {
        const { renewal } = (await status()).order;
        return renewal?.basis === "ari" && renewal;
      });
      const planned = (validToDate.getTime() - Date.parse(renewal.at)) / DAY;
      assert.ok(Math.abs(planned - left) < 1.1, `planned with ${planned} days left`);
      assert.ok(renewal.window !== null && renewal.window.start <= renewal.at && renewal.at <= renewal.window.end);
      const config = await site.exec("traefik", "cat", "/etc/traefik/traefik.yml");
      assert.match(config, new RegExp(`certificatesDuration: ${hours}\n`));
      t.diagnostic(`${days} days: planned with ${planned.toFixed(2)} days left`);
    });
  }

  it("nothing is ordered when Traefik and the sidecar start again with a certificate of 6 days", async () => {
    await site.policy();
    const [serials, { orders }] = [await site.serials(), await site.lab.ledger()];
    await Promise.all([docker("restart", site.containers.traefik), docker("restart", site.containers.acme)]);
    assert.deepEqual(await site.serials(), serials);
    await site.healthy();
    assert.equal((await site.lab.ledger()).orders, orders);
  });
});

describe("a change of mind", () => {
  after(() => removeSites("lifetimes"));

  it("another name: a certificate with it, for the same key", async () => {
    const before = await published();
    await change({}, { names: ["imap.vectis.test"] });
    await renewed(before.serialNumber);
    const now = await published();
    assert.match(now.subjectAltName ?? "", /DNS:imap\.vectis\.test/);
    assert.deepEqual(now.publicKey.export({ format: "jwk" }), before.publicKey.export({ format: "jwk" }));
  });

  it("another profile: it is in the order that acme.sh sends", async () => {
    const before = await site.publishedSerial();
    await change({ profile: "shortlived" });
    await renewed(before);
    assert.match(await logs(site.containers.acme), /is ordered for .*: the profile changed from none to shortlived/);
    const script =
      'LOG_FILE=/tmp/log LOG_LEVEL=2 acme.sh --renew --force --domain "$1" >&2; grep -h \'"identifiers"\' /tmp/log; rm /tmp/log';
    const ordered = await site.publishedSerial();
    const sent = await site.exec("acme", "sh", "-c", script, "sh", site.outputs.hostname);
    await renewed(ordered);
    assert.match(sent, /"profile": "shortlived"/);
    assert.match(await site.exec("traefik", "cat", "/etc/traefik/traefik.yml"), /profile: shortlived\n/);
  });

  it("another key type: a key of that type", async () => {
    const before = await site.publishedSerial();
    await change({ keyType: "ec-384" });
    await renewed(before);
    assert.equal((await published()).publicKey.asymmetricKeyDetails?.namedCurve, "secp384r1");
  });

  it("another directory: new certificates on the mail ports and on 443; back: both from before, and no order (B11)", async () => {
    const [first, { directory: home }] = [await site.serials(), tls.acme];
    await change({ directory: directory("another") });
    await until("new certificates on 443 and 993", async () => {
      const now = await site.serials();
      return now[443] !== first[443] && now[993] !== first[993];
    });
    await site.policy();
    const { orders } = await site.lab.ledger();
    await change({ directory: home });
    assert.deepEqual(await site.serials(), first);
    await site.policy();
    assert.equal((await site.lab.ledger()).orders, orders);
    assert.deepEqual(await site.serials(), first);
  });
});
