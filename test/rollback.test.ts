// Back to an earlier generation on running containers, and forth again, under handshakes (B2).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Listing } from "../certd/commands.ts";
import type { Status } from "../certd/status.ts";
import { mailServices } from "../cli/verdict.ts";
import { inspect, logs } from "./support/docker.ts";
import { HandshakeLoad } from "./support/load.ts";
import { sharedSite } from "./support/shared.ts";
import { roles, type Site } from "./support/site.ts";
import { shell } from "./support/vectis.ts";
import { until } from "./support/wait.ts";

let site: Site;
let load: HandshakeLoad | undefined;

const startTimes = (): Promise<string[]> =>
  Promise.all(roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt));

async function vectis(words: string): Promise<string> {
  const { code, stdout, stderr } = await shell(site, `vectis ${words}`);
  assert.equal(code, 0, `vectis ${words}:\n${stdout}\n${stderr}`);
  return stdout;
}
const list = async (): Promise<Listing> => JSON.parse(await vectis("certs list --json")) as Listing;
const status = async (): Promise<Status> =>
  JSON.parse(await site.exec("acme", "cat", "/run/certd/status.json")) as Status;
/** Serial number of what acme.sh has stored. */
async function storedSerial(): Promise<string> {
  const script = 'openssl x509 -noout -serial -in /acme.sh/*/"$1"_ecc/fullchain.cer';
  const text = await site.exec("acme", "sh", "-c", script, "sh", site.outputs.hostname);
  return text.replace("serial=", "");
}
/** Waits until the latest handshake on every mail port met this certificate. */
function everyPortOn(serial: string): Promise<unknown> {
  const since = Date.now();
  const latest = (port: number) => [...(load?.serialsOn(port) ?? [])].sort(([, a], [, b]) => b.last - a.last)[0];
  return until(`every mail port on ${serial}`, () => {
    const seen = mailServices.map(({ port }) => latest(port));
    return Promise.resolve(seen.every((one) => one?.[0] === serial && one[1].last > since));
  });
}

describe("vectis certs", () => {
  let [older, newer] = ["", ""];
  let started: string[] = [];

  before(async () => {
    site = await sharedSite();
    older = await site.publishedSerial();
    started = await startTimes();
    load = new HandshakeLoad(await site.target(), { pause: 100 });
  });
  after(async () => {
    await load?.stop();
    await shell(site, "vectis certs unpin");
  });

  it("renew orders through the running sidecar, and ends when every mail port serves the certificate", async () => {
    const { orders } = await site.lab.ledger();
    assert.match(await vectis("certs renew"), /^\d{6} +current /m);
    newer = await site.publishedSerial();
    assert.notEqual(newer, older);
    assert.equal((await site.lab.ledger()).orders, orders + 1);
    await everyPortOn(newer);
    assert.match(await logs(site.containers.acme), /A certificate is ordered for .*: a person has asked for it\./);
  });

  it("show names what differs between the last two: serial and dates, not names or key", async () => {
    const { differs } = JSON.parse(await vectis("certs show --json")) as { differs: string[] };
    assert.deepEqual(
      differs.filter((field) => field !== "issuer" && field !== "chain"),
      ["not before", "not after", "serial", "published"],
    );
  });

  it("rollback has every mail port serve the earlier generation, and says that it is pinned (B2)", async (t) => {
    const since = new Date().toISOString();
    assert.match(await vectis("certs rollback"), /^Generation \d{6} is pinned since .*`vectis certs unpin`/m);
    assert.equal(await site.publishedSerial(), older);
    await everyPortOn(older);
    const { current, pinned } = await list();
    assert.equal(pinned?.generation, current);
    await vectis("verify --wait 30");
    // As certd's own probes saw it, which look four times a second.
    const times = await until("certd's word on it", async () => {
      const lines = (await logs(site.containers.acme)).split("\n").filter((line) => line > since);
      const [, after = ""] = lines.map((line) => /is served on every port: (.*)\.$/.exec(line)).find(Boolean) ?? [];
      return after !== "" && after.split(", ").map((port) => Number(/after ([\d.]+) s/.exec(port)?.[1]));
    });
    assert.equal(times.length, mailServices.length);
    assert.ok(Math.max(...times) <= 2, `seconds: ${times.join(", ")}`);
    t.diagnostic(`seen by certd after ${times.join(", ")} s`);
  });

  it("a renewal meanwhile does not undo it, neither one by hand nor one through certd", async () => {
    await site.forceRenewal();
    const stored = await storedSerial();
    assert.notEqual(stored, newer);
    const { at } = await status();
    await until("another report", async () => Date.parse((await status()).at) > Date.parse(at) + 2_000);
    assert.equal(await site.publishedSerial(), older);
    assert.match(await vectis("certs renew"), /is pinned/);
    assert.notEqual(await storedSerial(), stored);
    assert.equal(await site.publishedSerial(), older);
    await everyPortOn(older);
  });

  it("unpin has every mail port serve the latest certificate, without another order", async () => {
    const [stored, { orders }] = [await storedSerial(), await site.lab.ledger()];
    await vectis("certs unpin");
    await until("the latest published", async () => (await site.publishedSerial()) === stored);
    await everyPortOn(stored);
    assert.equal((await site.lab.ledger()).orders, orders);
    assert.equal((await list()).pinned, null);
  });

  it("refuses a generation that is not there, in one sentence", async () => {
    const { code, stderr } = await shell(site, "vectis certs rollback 999999");
    assert.equal(code, 2);
    assert.match(stderr, /error: there is no generation 999999; there are: \d{6}/);
  });

  it("all of that without a failed handshake, and without a restart (B3)", async (t) => {
    await load?.stop();
    assert.deepEqual(load?.failures, []);
    assert.deepEqual(await startTimes(), started);
    t.diagnostic(`${load.handshakes} handshakes on five ports, none failed`);
  });
});
