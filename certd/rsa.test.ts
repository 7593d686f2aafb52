// certd with an RSA certificate beside the first one: a CA's directory here, and a stand-in for acme.sh that makes both.
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { renewalId } from "./ca.ts";
import type { Certd } from "./certd.ts";
import { createServer as createTls, type Server as TlsServer } from "node:tls";
import type { Settings } from "./settings.ts";
import type { Status } from "./status.ts";
import { acmeSource, runCertd, type RunningCertd } from "./test-certd.ts";
import { TestPki, until, type Issued } from "./test-pki.ts";
import { leafFacts } from "./validate.ts";

const HOST = "mail.vectis.test";
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true, by: root });
const web = pki.issue({ subject: "/CN=localhost", names: ["localhost"], by: root });
const issue = (key: string): Issued => pki.issue({ subject: "/", names: [HOST], by: issuer, usage: "serverAuth", key });
const ecdsa = [0, 1].map(() => issue("prime256v1"));
const rsa = [0, 1].map(() => issue("rsa:2048"));
const pick = (from: readonly Issued[], index: number): Issued => from[index] ?? web;
const chain = ({ pem }: Issued): string => pem + issuer.pem;

/** Renewal information by path. */
let suggestion: (path: string) => object = () => ({});
const ca = createServer({ cert: web.pem, key: web.key }, (request, response) => {
  const { port } = ca.address() as AddressInfo;
  response.setHeader("date", new Date(Date.now() + skew).toUTCString());
  const directory = { newOrder: "x", renewalInfo: `https://localhost:${port}/ari` };
  response.end(JSON.stringify(request.url === "/dir" ? directory : suggestion(request.url ?? "")));
});

let top = "";
let log: string[] = [];
let skew = 60_000;
let running: RunningCertd | undefined;
const at = (...parts: string[]): string => join(top, ...parts);
const runs = (): string[] => (existsSync(at("runs")) ? readFileSync(at("runs"), "utf8").trim().split("\n") : []);
const current = (file: string): string =>
  existsSync(at("certs/current", file)) ? readFileSync(at("certs/current", file), "utf8") : "";
const said = (text: RegExp): boolean => log.some((line) => text.test(line));
const status = (): Status => certd().status();
const certd = (): Certd => running?.certd ?? assert.fail("certd does not run");

/** What the next order of a kind brings; without one it fails. */
function offer(kind: "first" | "rsa", next: Issued | undefined): void {
  rmSync(at(`${kind}.pem`), { force: true });
  if (next === undefined) return;
  writeFileSync(at(`${kind}.key`), next.key);
  writeFileSync(at(`${kind}.pem`), chain(next));
}

function start(alsoRsa: boolean, change: Partial<Settings> = {}): void {
  const { port } = ca.address() as AddressInfo;
  const source = acmeSource(`https://localhost:${port}/dir`, root.pem, alsoRsa ? { rsaKeyType: "rsa-2048" } : {});
  running = runCertd(
    top,
    { names: [HOST], source, ...change },
    () => Date.now() + skew,
    (line) => log.push(line),
  );
}
async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}
/** Both are published (RSA: none, if not given), and the order that brought them is settled. */
const serves = (first: Issued, second: Issued | undefined): Promise<void> =>
  until("the certificates to be published", () => {
    const { order, published } = status();
    return (
      !order.running &&
      published?.source === "acme" &&
      current("fullchain.pem") === chain(first) &&
      current("fullchain-rsa.pem") === (second === undefined ? "" : chain(second))
    );
  });

describe("certd with an RSA certificate beside the first one", () => {
  before(async () => {
    ca.listen(0, "localhost");
    await once(ca, "listening");
  });
  after(() => {
    ca.close();
    ca.closeAllConnections();
    pki.remove();
  });
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), "certd-rsa-"));
    for (const folder of ["certs", "traefik", "acme"]) mkdirSync(at(folder));
    log = [];
    skew = 60_000;
    suggestion = () => ({});
    offer("first", pick(ecdsa, 0));
    offer("rsa", pick(rsa, 0));
    writeFileSync(
      at("acme.sh"),
      `#!/bin/sh
. '${top}/run/acme.conf'
exec 9>"$home/.lock"
flock 9
kind=first folder="$home/${HOST}_ecc"
case $* in *--cert-home*) kind=rsa folder="$home/rsa/${HOST}" ;; esac
echo "$kind" >>'${top}/runs'
[ -e "${top}/$kind.pem" ] || { echo '"detail": "no such luck"'; exit 1; }
cp "${top}/$kind.key" "$folder/${HOST}.key"
cp "${top}/$kind.pem" "$folder/fullchain.cer"
`,
    );
    chmodSync(at("acme.sh"), 0o755);
  });
  afterEach(async () => {
    await stop();
    rmSync(top, { recursive: true });
  });

  it("orders both in one order and publishes them as one generation", async () => {
    start(true);
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    assert.deepEqual(runs(), ["first", "rsa"]);
    assert.equal(status().published?.generation, 1);
    assert.equal(status().publishedRsa?.keyType, "rsa-2048");
    assert.equal(status().order.last?.ok, true);
    assert.ok(said(/Generation 000001 is published: .*, and an RSA one with serial/));
  });

  it("orders the RSA one alone when the option comes, and nothing when it goes or comes again", async () => {
    start(false);
    await serves(pick(ecdsa, 0), undefined);
    await stop();
    start(true);
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    await stop();
    start(false);
    await serves(pick(ecdsa, 0), undefined);
    await stop();
    start(true);
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    assert.deepEqual(runs(), ["first", "rsa"]);
    assert.ok(said(/An RSA certificate is ordered for mail\.vectis\.test: no RSA certificate is stored/));
  });

  it("publishes the first one although the RSA one fails, and then tries for that one alone", async () => {
    offer("rsa", undefined);
    start(true);
    await serves(pick(ecdsa, 0), undefined);
    await until("the failure", () =>
      said(/The order failed: no RSA certificate came: no such luck\. .*Next order in 60 s/),
    );
    assert.equal(status().order.failures, 1);
    assert.deepEqual(status().failing, ["order"]);
    offer("rsa", pick(rsa, 0));
    skew += 61_000;
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    assert.deepEqual(runs(), ["first", "rsa", "rsa"]);
    assert.equal(status().order.failures, 0);
  });

  it("renews both together, and serves the old RSA one beside the new first one if that one's order fails", async () => {
    start(true);
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    offer("first", pick(ecdsa, 1));
    offer("rsa", undefined);
    writeFileSync(at("run/order"), "");
    await serves(pick(ecdsa, 1), pick(rsa, 0));
    await until("the failure", () => status().order.failures === 1);
    offer("rsa", pick(rsa, 1));
    skew += 61_000;
    await serves(pick(ecdsa, 1), pick(rsa, 1));
    assert.deepEqual(runs(), ["first", "rsa", "first", "rsa", "rsa"]);
    assert.ok(said(/An RSA certificate is ordered for .*: the last order brought no RSA certificate/));
  });

  it("renews both when the CA's window for the RSA one alone is in the past", async () => {
    start(true);
    await serves(pick(ecdsa, 0), pick(rsa, 0));
    offer("first", pick(ecdsa, 1));
    offer("rsa", pick(rsa, 1));
    const id = renewalId(leafFacts(pick(rsa, 0).pem) ?? assert.fail());
    const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
    const window = (days: number) => ({ suggestedWindow: { start: day(days), end: day(days + 1) } });
    suggestion = (path) => window(path === `/ari/${id}` ? -2 : 60);
    // Nothing is renewed in its first hours.
    skew += 7 * 3_600_000;
    await serves(pick(ecdsa, 1), pick(rsa, 1));
    assert.ok(said(/A certificate is ordered for .*: the RSA certificate has .* left, and the CA suggests a renewal/));
  });

  it("orders no RSA one when the first one fails", async () => {
    offer("first", undefined);
    start(true);
    await until("the failure", () => said(/The order failed: no such luck/));
    assert.deepEqual(runs(), ["first"]);
  });

  it("refuses a damaged RSA pair by name, and goes on without it", async () => {
    writeFileSync(at("rsa.key"), pick(rsa, 1).key);
    start(true);
    await serves(pick(ecdsa, 0), undefined);
    await until("the refusal", () => said(/is refused: RSA: The private key does not belong to .*stays/));
    assert.ok(said(/The order failed: no RSA certificate came: the result cannot be used: RSA: The private key/));
  });

  describe("looking at a port", () => {
    let server: TlsServer;
    let port = 0;
    const pem = (...pairs: Issued[]) => ({ cert: pairs.map(chain), key: pairs.map(({ key }) => key) });
    beforeEach(async () => {
      server = createTls(pem(pick(ecdsa, 0), pick(rsa, 0))).listen(0, "127.0.0.1");
      await once(server, "listening");
      port = (server.address() as AddressInfo).port;
    });
    afterEach(() => void server.close());

    it("finds a port good that serves each kind of client its own, and not one that has the first one alone", async () => {
      start(true, { probes: [{ host: "127.0.0.1", port, mode: "implicit" }] });
      await serves(pick(ecdsa, 0), pick(rsa, 0));
      await until("good health", () => status().state === "ok");
      assert.equal(status().ports[0]?.servedRsa?.sha256, status().publishedRsa?.sha256);
      await stop();
      server.setSecureContext(pem(pick(ecdsa, 0)));
      start(true, { probes: [{ host: "127.0.0.1", port, mode: "implicit" }] });
      await until("the difference", () => /without ECDSA: .*handshake/i.test(status().ports[0]?.error ?? ""));
      assert.equal(status().state, "not-served");
    });
  });
});
