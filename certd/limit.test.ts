// certd at Let's Encrypt: what its limit on duplicates leaves is counted, and kept for what cannot wait; a person's orders.
// The directory is Let's Encrypt's by name; the name leads to a server here, and a stand-in for acme.sh makes certificates.
import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, mock } from "node:test";
import type { Certd } from "./certd.ts";
import { pin, renew, unpin, type CommandArgs } from "./commands.ts";
import type { AcmeSource } from "./settings.ts";
import { acmeSource, runCertd, type RunningCertd } from "./test-certd.ts";
import { TestPki, until } from "./test-pki.ts";

const HOST = "mail.vectis.test";
const LETS_ENCRYPT = "acme-v02.api.letsencrypt.org";
const HOUR = 3_600_000;
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const issuer = pki.issue({ subject: "/C=US/O=Let's Encrypt/CN=YE1", ca: true, by: root });
const web = pki.issue({ subject: "/", names: [LETS_ENCRYPT], by: root });
const ca = createServer({ cert: web.pem, key: web.key }, (_, response) => {
  response.end(JSON.stringify({ newOrder: "x" }));
});

const top = mkdtempSync(join(tmpdir(), "limit-"));
const at = (...parts: string[]): string => join(top, ...parts);
const log: string[] = [];
let skew = 60_000;
const clock = (): number => Date.now() + skew;
let said: string[] = [];
let running: RunningCertd | undefined;

function start(keyType: AcmeSource["keyType"]): void {
  const { port } = ca.address() as AddressInfo;
  const source = acmeSource(`https://${LETS_ENCRYPT}:${port}/directory`, root.pem, { keyType });
  running = runCertd(top, { names: [HOST], source }, clock, (line) => log.push(line));
}
async function stop(): Promise<void> {
  await running?.stop();
}
const certd = (): Certd => running?.certd ?? assert.fail("certd does not run");
function args(): CommandArgs {
  const { settings, paths } = running ?? assert.fail("certd does not run");
  return { settings, paths, clock, print: (line) => said.push(line) };
}
const remaining = (): number | undefined => certd().status().budget?.remaining;
const orders = (): number => log.filter((line) => line.startsWith("A certificate is ordered")).length;
/** What the next order brings; without one it fails. */
function offer(key: "prime256v1" | "secp384r1" | undefined): void {
  rmSync(at("next.pem"), { force: true });
  if (key === undefined) return;
  const leaf = pki.issue({ subject: "/", names: [HOST], by: issuer, usage: "serverAuth", key });
  writeFileSync(at("next.key"), leaf.key);
  writeFileSync(at("next.pem"), leaf.pem + issuer.pem);
}

describe("Let's Encrypt's limit on duplicate certificates", () => {
  before(async () => {
    ca.listen(0, "127.0.0.1");
    await once(ca, "listening");
    const real = dns.lookup;
    mock.method(dns, "lookup", ((name: string, ...rest: unknown[]) => {
      Reflect.apply(real, dns, [name === LETS_ENCRYPT ? "127.0.0.1" : name, ...rest]);
    }) as typeof dns.lookup);
    for (const folder of ["certs", "traefik", "acme"]) mkdirSync(at(folder));
    writeFileSync(
      at("acme.sh"),
      `#!/bin/sh
. '${at("run")}/acme.conf'
exec 9>"$home/.lock"
flock 9
[ -e '${at("next.pem")}' ] || { echo '"detail": "no such luck"'; exit 1; }
cp '${at("next.key")}' "$home/${HOST}_ecc/${HOST}.key"
cp '${at("next.pem")}' "$home/${HOST}_ecc/fullchain.cer"
`,
    );
    chmodSync(at("acme.sh"), 0o755);
    offer("prime256v1");
    start("ec-256");
    await until("the first certificate", () => certd().status().published?.source === "acme");
  });
  after(async () => {
    await stop();
    mock.restoreAll();
    ca.close();
    ca.closeAllConnections();
    pki.remove();
    rmSync(top, { recursive: true });
  });

  it("is spent by the first order, and by each that a person asks for, who hears how it goes", async () => {
    assert.equal(remaining(), 4);
    for (const left of [3, 2]) {
      said = [];
      offer("prime256v1");
      await renew(args(), false);
      assert.equal(remaining(), left);
      assert.deepEqual([said[0], said.at(-1)], ["An order is asked for.", "Every mail port serves it."]);
      assert.match(said.join(), /The order succeeded\. Generation \d{6} is published: serial \w+, valid until/);
    }
  });

  it("has a person asked once two are left", async () => {
    const before = orders();
    await assert.rejects(renew(args(), false), /limit leaves 2 of 5 orders for exactly mail\.vectis\.test .*--yes/);
    assert.equal(orders(), before);
  });

  it("holds back an order that can wait, over a restart too, and says until when", async () => {
    const before = orders();
    await stop();
    offer("secp384r1");
    start("ec-384");
    await until("the word on it", () =>
      log.some((line) => /changed from ec-256 to ec-384\) and held back until/.test(line)),
    );
    await until("an answer of the CA", () => certd().status().ca?.answers === true);
    assert.equal(remaining(), 2);
    const { budget, order } = certd().status();
    assert.equal(budget?.heldUntil, order.nextAt);
    assert.ok(Math.abs(Date.parse(budget?.heldUntil ?? "") - clock() - 33.6 * HOUR) < HOUR);
    assert.equal(orders(), before);
  });

  it("lets it pass once one more is given back", async () => {
    const before = orders();
    skew += 34 * HOUR;
    await until("the order", () => certd().status().published?.keyType === "ec-384");
    assert.equal(orders(), before + 1);
  });

  it("lets a person spend the last ones, says why an order failed, and does not make a person wait", async () => {
    offer(undefined);
    await assert.rejects(renew(args(), true), /the order failed: no such luck\. What to do: read the lines/);
    assert.equal(certd().status().order.failures, 1);
    offer("secp384r1");
    await renew(args(), true);
    assert.equal(remaining(), 1);
    assert.equal(certd().status().order.failures, 0);
  });

  it("counts an order while a generation is pinned, which is published after that", async () => {
    const { generation } = certd().status().published ?? assert.fail();
    await pin(String(generation - 1), args());
    offer("secp384r1");
    said = [];
    await renew(args(), true);
    assert.match(said.at(-1) ?? "", /The order succeeded\. Generation \d{6} is pinned; `vectis certs unpin` ends that/);
    assert.equal(remaining(), 0);
    assert.equal(certd().status().published?.generation, generation - 1);
    await unpin(args());
    await until(
      "the latest",
      () => readFileSync(at("certs/fullchain.pem"), "utf8") === readFileSync(at("next.pem"), "utf8"),
    );
  });
});
