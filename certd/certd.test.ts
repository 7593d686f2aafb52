import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:https";
import { createServer as createTls } from "node:tls";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import type { Certd } from "./certd.ts";
import { GenerationStore } from "./generations.ts";
import type { Health } from "./health.ts";
import type { Settings } from "./settings.ts";
import type { Status } from "./status.ts";
import { renewalId } from "./ca.ts";
import { acmeSource, runCertd, type RunningCertd } from "./test-certd.ts";
import { TestPki, until, type Issued } from "./test-pki.ts";
import { leafFacts } from "./validate.ts";

const HOST = "mail.vectis.test";
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true, by: root });
const web = pki.issue({ subject: "/CN=localhost", names: ["localhost"], by: root });
const leaves = [0, 1, 2].map(() => pki.issue({ subject: "/", names: [HOST], by: issuer, usage: "serverAuth" }));
const leaf = (index: number): Issued => leaves[index] ?? web;

// A CA's directory that can go away and forget; orders are made by a stand-in for acme.sh.
let forgotten = false;
/** Renewal information by path. */
let suggestion: (path: string) => object = () => ({});
let asked = 0;
let base = "";
const ca: Server = createServer({ cert: web.pem, key: web.key }, (request, response) => {
  response.setHeader("date", new Date(Date.now() + skew - wrong).toUTCString());
  if (request.url === "/dir") return void response.end(JSON.stringify({ newOrder: "x", renewalInfo: `${base}/ari` }));
  asked += 1;
  response.statusCode = forgotten ? 404 : 200;
  response.setHeader("retry-after", "21600");
  response.end(JSON.stringify(suggestion(request.url ?? "")));
});
let port = 0;
const caUp = async (): Promise<void> => {
  ca.listen(port, "localhost");
  await once(ca, "listening");
  port = (ca.address() as AddressInfo).port;
  base = `https://localhost:${port}`;
};
const caDown = async (): Promise<void> => {
  if (!ca.listening) return;
  ca.close();
  ca.closeAllConnections();
  await once(ca, "close");
};
await caUp();
after(async () => {
  await caDown();
  pki.remove();
});

let top = "";
let log: string[] = [];
/** How far the time is ahead of this machine's, and by how much of that only certd's clock is. */
let skew = 0;
let wrong = 0;
let running: RunningCertd | undefined;
const at = (...parts: string[]): string => join(top, ...parts);

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), "certd-"));
  for (const folder of ["certs", "traefik", "acme", "next"]) mkdirSync(at(folder));
  log = [];
  skew = 60_000;
  wrong = 0;
  forgotten = false;
  suggestion = () => ({});
  asked = 0;
  if (!ca.listening) await caUp();
  offer(leaf(0));
  // Takes what lies in next/ for an order; without it the order fails. Registers under the URL in next/account.
  writeFileSync(
    at("acme.sh"),
    `#!/bin/sh
echo "$1" >>'${top}/runs'
. '${top}/run/acme.conf'
exec 9>"$home/.lock"
flock 9
[ ! -e '${top}/slow' ] || { echo slow; sleep 600; }
mkdir -p "$home/ca/localhost/dir"
[ ! -e '${top}/next/account' ] || printf "ACCOUNT_URL='%s'\\n" "$(cat '${top}/next/account')" >"$home/ca/localhost/dir/ca.conf"
[ "$1" != --register-account ] || exit 0
[ -e '${top}/next/pem' ] || { cat '${top}/next/failure' 2>/dev/null || echo '"detail": "no such luck"'; exit 1; }
mkdir -p "$home/${HOST}_ecc"
cp '${top}/next/key' "$home/${HOST}_ecc/${HOST}.key"
cp '${top}/next/pem' "$home/${HOST}_ecc/fullchain.cer"
profile=$(grep Le_Certificate_Profile "$home/${HOST}_ecc/${HOST}.conf" || :)
printf "Le_Domain='${HOST}'\\nLe_Alt='no'\\nLe_API='%s'\\nLe_Keylength='ec-256'\\n" "$server" >"$home/${HOST}_ecc/${HOST}.conf"
echo "$profile" >>"$home/${HOST}_ecc/${HOST}.conf"
`,
  );
  chmodSync(at("acme.sh"), 0o755);
});
afterEach(async () => {
  await stop();
  rmSync(top, { recursive: true, force: true });
});

function offer(next: Issued | undefined, account = "https://ca.test/acct/1"): void {
  writeFileSync(at("next/account"), account);
  if (next === undefined) return rmSync(at("next/pem"), { force: true });
  writeFileSync(at("next/key"), next.key);
  writeFileSync(at("next/.pem"), next.pem + issuer.pem);
  renameSync(at("next/.pem"), at("next/pem"));
}

function start(change: Partial<Settings> = {}): Certd {
  const settings = { names: [HOST], source: acmeSource(`${base}/dir`, root.pem), ...change };
  running = runCertd(
    top,
    settings,
    () => Date.now() + skew,
    (line) => log.push(line),
  );
  return running.certd;
}

async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}

async function freePort(): Promise<number> {
  const holder = createTls().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port: free } = holder.address() as AddressInfo;
  holder.close();
  await once(holder, "close");
  return free;
}

const runs = (): string[] => (existsSync(at("runs")) ? readFileSync(at("runs"), "utf8").trim().split("\n") : []);
const published = (): string =>
  existsSync(at("certs/current")) ? readFileSync(at("certs/fullchain.pem"), "utf8") : "";
const status = (): Status => JSON.parse(readFileSync(at("run/status.json"), "utf8")) as Status;
const health = (): string => readFileSync(at("run/health"), "utf8").split(" ")[0] ?? "";
const said = (text: RegExp): boolean => log.some((line) => text.test(line));
/** Published, and the order that brought it settled: from then on the clock may be moved. */
const serves = (next: Issued): Promise<void> =>
  until(
    "the certificate to be published",
    () => published() === next.pem + issuer.pem && running?.certd.status().order.running === false,
  );

describe("certd", () => {
  it("publishes a placeholder while the CA is down and the real certificate once it answers", async () => {
    await caDown();
    start();
    await until("the CA's silence to be told", () =>
      said(/The CA does not answer .*Services run on the placeholder\. .*tried again.* What to do: let this host/),
    );
    assert.match(readFileSync(at("certs/current/meta.json"), "utf8"), /Vectis placeholder/);
    await until("the health file", () => health() === "placeholder");
    assert.deepEqual(runs(), []);
    await caUp();
    await serves(leaf(0));
    await until("good health", () => health() === "ok");
    assert.deepEqual(runs(), ["--renew"]);
    assert.equal(status().published?.source, "acme");
    assert.equal(status().order.last?.ok, true);
    assert.equal(status().lastError, null);
    assert.ok((status().order.renewal?.at ?? "") > new Date().toISOString());
    assert.ok(said(/The renewal is planned for .*: the CA suggests nothing, so a fraction of the lifetime counts/));
  });

  it("orders nothing when it starts again, even without what was published", async () => {
    start();
    await serves(leaf(0));
    await stop();
    rmSync(at("certs"), { recursive: true });
    mkdirSync(at("certs"));
    start();
    await serves(leaf(0));
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("publishes what a person renewed by hand", async () => {
    start();
    await serves(leaf(0));
    const home = readFileSync(at("run/acme.conf"), "utf8").split("'")[1] ?? "";
    writeFileSync(join(home, `${HOST}_ecc`, `${HOST}.key`), leaf(1).key);
    writeFileSync(join(home, `${HOST}_ecc`, "fullchain.cer"), leaf(1).pem + issuer.pem);
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("refuses a mismatched pair in the store, keeps what is published and says so", async () => {
    start();
    await serves(leaf(0));
    const home = readFileSync(at("run/acme.conf"), "utf8").split("'")[1] ?? "";
    writeFileSync(join(home, `${HOST}_ecc`, "fullchain.cer"), leaf(1).pem + issuer.pem);
    await until("the refusal", () => said(/is refused: The private key does not belong to .* stays/));
    assert.match(status().lastError?.cause ?? "", /is refused: The private key does not belong to/);
    await serves(leaf(0));
  });

  it("backs off after a failed order, across a restart too, and says when the next one is", async () => {
    offer(undefined);
    start();
    await until("the failure", () =>
      said(
        /The order failed: no such luck\. Services run on the placeholder\. Next order in 60 s, .* What to do: read the lines/,
      ),
    );
    await stop();
    offer(leaf(0));
    const certd = start();
    await until("a look at the CA", () => certd.status().ca?.answers === true);
    assert.deepEqual(runs(), ["--renew"]);
    assert.equal(certd.status().order.failures, 1);
    skew += 61_000;
    await serves(leaf(0));
    assert.equal(runs().length, 2);
    assert.equal(certd.status().order.failures, 0);
  });

  it("does not let an earlier wish's failures delay a new one", async () => {
    offer(undefined);
    start();
    await until("the failure", () => said(/The order failed/));
    await stop();
    offer(leaf(0));
    const source = acmeSource(`${base}/dir`, root.pem, { keyType: "ec-384" });
    start({ source });
    await serves(leaf(0));
  });

  it("orders anew when the profile is changed, and only then", async () => {
    start();
    await serves(leaf(0));
    await stop();
    const source = acmeSource(`${base}/dir`, root.pem, { profile: "shortlived" });
    offer(leaf(1));
    start({ source });
    await serves(leaf(1));
    assert.ok(said(/is ordered for .*: the profile changed from none to shortlived/));
    await stop();
    const again = start({ source });
    await until("a look at the CA", () => again.status().ca?.answers === true);
    assert.deepEqual(runs(), ["--renew", "--renew"]);
  });

  it("registers and orders anew when the CA has forgotten everything, and tells HTTPS", async () => {
    start();
    await serves(leaf(0));
    assert.equal(readFileSync(at("traefik/ca-epoch"), "utf8"), "0\n");
    forgotten = true;
    offer(leaf(1), "https://ca.test/acct/2");
    skew += 30_000;
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew", "--register-account", "--renew"]);
    await until("the new epoch", () => Number(readFileSync(at("traefik/ca-epoch"), "utf8")) > 0);
    const [order, told] = [/The order succeeded/, /HTTPS is told/].map((line) =>
      log.findLastIndex((said) => line.test(said)),
    );
    assert.ok(
      order !== undefined && told !== undefined && order < told,
      "HTTPS restarts only once its port 80 is not needed",
    );
  });

  it("leaves everything as it is when the CA still knows the account", async () => {
    start();
    await serves(leaf(0));
    forgotten = true;
    skew += 30_000;
    await until("the answer", () => said(/The CA knows the account, so the certificate stays/));
    skew += 30_000;
    await until("a pass", () => typeof status().ca?.checkedAt === "string");
    assert.deepEqual(runs(), ["--renew", "--register-account"]);
    assert.equal(readFileSync(at("traefik/ca-epoch"), "utf8"), "0\n");
  });

  it("renews when a third of the lifetime is left, and keeps the old one in service until then", async () => {
    start();
    await serves(leaf(0));
    offer(leaf(1));
    skew += 61 * 86_400_000;
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew", "--renew"]);
  });

  it("renews at once when the CA moves the window to the past, and only once", async () => {
    start();
    await serves(leaf(0));
    offer(leaf(1));
    const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
    // The certificate was made for 90 days: nothing is due for a long time.
    skew += 86_400_000;
    const day50 = day(50);
    const old = leafFacts(leaf(0).pem);
    assert.ok(old);
    suggestion = (path) => ({
      suggestedWindow: path.endsWith(renewalId(old) ?? "-")
        ? { start: day(-2), end: day(-1) }
        : { start: day50, end: day(51) },
      explanationURL: "https://ca.test/incident",
    });
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew", "--renew"]);
    assert.ok(
      said(/days left, and the CA suggests a renewal between .* \(it explains why at https:\/\/ca\.test\/incident\)/),
    );
    const before = asked;
    skew += 30_000;
    await until("the window of the new one", () => asked > before && status().order.renewal?.window?.start === day50);
    assert.deepEqual(runs(), ["--renew", "--renew"]);
  });

  it("keeps the CA's window while the CA is away, also over a restart", async () => {
    suggestion = () => ({ suggestedWindow: { start: "2026-01-01T00:00:00Z", end: "2126-01-02T00:00:00Z" } });
    start();
    await serves(leaf(0));
    skew += 30_000;
    await until("the window", () => status().order.renewal?.basis === "ari");
    const { renewal } = status().order;
    await stop();
    await caDown();
    const certd = start();
    await until("the CA's silence", () => certd.status().ca?.answers === false);
    assert.deepEqual(certd.status().order.renewal, renewal);
    assert.ok(said(/The CA does not answer .*The published certificate stays in service until/));
    assert.match(status().lastError?.advice ?? "", /TCP port 443/);
  });

  it("waits as long as a rate limit says, and says until when", async () => {
    writeFileSync(
      at("next/failure"),
      `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates, retry after ${new Date(
        Date.now() + skew + 34 * 3_600_000,
      )
        .toISOString()
        .slice(0, 19)
        .replace("T", " ")} UTC"}`,
    );
    offer(undefined);
    const certd = start();
    await until("the failure", () =>
      said(/The order failed: the CA's rate limit is reached .* Next order in 34 hours/),
    );
    assert.equal(certd.status().order.last?.ok, false);
    assert.match(certd.status().order.last?.advice ?? "", /vectis:tls\.acme\.directory set to staging/);
    await stop();
    skew += 120_000;
    const again = start();
    await until("a look at the CA", () => again.status().ca?.answers === true);
    assert.ok(Date.parse(again.status().order.nextAt ?? "") - Date.now() > 33 * 3_600_000, "a restart does not forget");
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("says that the clock is wrong, once, and which way", async () => {
    wrong = 3 * 86_400_000;
    skew += wrong;
    const certd = start();
    await until("the clock", () =>
      said(/This machine's clock is ahead of the CA's by more than 5 minutes.*timedatectl/),
    );
    wrong += 30_000;
    skew += 30_000;
    await until("another look", () => log.filter((line) => /order succeeded/.test(line)).length > 0);
    assert.equal(log.filter((line) => /This machine's clock/.test(line)).length, 1);
    assert.match(certd.status().lastError?.cause ?? "", /clock is 3 days ahead of the CA's/);
  });

  it("asks the CA for the time when the clock was set, back by less than a day too", async () => {
    const certd = start();
    await serves(leaf(0));
    for (const hours of [-23, 23]) {
      wrong += hours * 3_600_000;
      skew += hours * 3_600_000;
      await until("the clock", () => certd.status().failing.includes("clock") === wrong < 0);
    }
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("orders nothing that only a wrong clock calls due, and when the clock is right again all is well", async () => {
    const certd = start();
    await serves(leaf(0));
    offer(leaf(1));
    wrong = 61 * 86_400_000;
    skew += wrong;
    await until("the clock", () => certd.status().failing.includes("clock"));
    await until("no wish", () => certd.status().order.reason === null);
    assert.deepEqual(runs(), ["--renew"]);
    skew -= wrong;
    wrong = 0;
    await until("the clock again", () => {
      // Time passes: the CA is asked every 20 s.
      skew += 1_000;
      return certd.status().failing.length === 0;
    });
    assert.deepEqual(runs(), ["--renew"]);
    await serves(leaf(0));
  });

  it("does not order again when a clock that is behind calls the new certificate not valid yet", async () => {
    const certd = start();
    await serves(leaf(0));
    offer(leaf(1));
    wrong = -5 * 3_600_000;
    skew += wrong;
    writeFileSync(at("run/order"), "");
    await until("the order", () =>
      said(/The order succeeded; by this machine's clock the certificate is not valid yet/),
    );
    // Days of back-off go by.
    for (const hours of [1, 2, 30, 50]) {
      skew = wrong + hours * 60_000;
      const seen = certd.status().at;
      await until("another look", () => certd.status().at > seen || certd.status().at < seen);
      assert.equal(certd.status().order.reason, null);
    }
    assert.deepEqual(runs(), ["--renew", "--renew"]);
    assert.equal(certd.status().order.failures, 0);
    skew = 60_000;
    wrong = 0;
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew", "--renew"]);
  });

  it("waits for somebody else's order without a pause for its other work, and orders then", async () => {
    const certd = start();
    await serves(leaf(0));
    const [home = ""] = readdirSync(at("acme"));
    const holder = spawn("flock", [at("acme", home, ".lock"), "sh", "-c", "echo held; read line"]);
    await once(holder.stdout, "data");
    offer(leaf(1));
    writeFileSync(at("run/order"), "");
    await until("the wish", () => certd.status().order.reason !== null);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await until("a report", () => {
      const { nextAt } = certd.status().order;
      return turns > 20 && nextAt !== null && Date.parse(nextAt) > Date.now() + skew;
    });
    clearInterval(timer);
    assert.deepEqual(runs(), ["--renew"]);
    holder.stdin.end("\n");
    await serves(leaf(1));
    assert.deepEqual(runs(), ["--renew", "--renew"]);
  });

  it("puts an order off for seconds while challenges do not arrive, and leaves the CA alone", async () => {
    const closed = { host: "127.0.0.1", port: await freePort() };
    const source = { ...acmeSource(`${base}/dir`, root.pem), challengeRoute: closed, httpPort: await freePort() };
    const certd = start({ source });
    await until("the way to be seen closed", () => said(/Challenges would not arrive/));
    await until("another try", () => {
      const { nextAt } = certd.status().order;
      return nextAt !== null && Date.parse(nextAt) - Date.now() - skew > 2_000;
    });
    assert.ok(Date.parse(certd.status().order.nextAt ?? "") - Date.now() - skew <= 10_000);
    assert.deepEqual(runs(), []);
    assert.ok(certd.status().failing.includes("route"));
  });

  it("starts where nothing can be written, tells so, knows what is published, and goes on when it can", async () => {
    start();
    await serves(leaf(0));
    await stop();
    renameSync(at("acme"), at("kept"));
    writeFileSync(at("acme"), "");
    const certd = start();
    await until("the failure", () => certd.status().failing.includes("fault"));
    assert.equal(certd.status().published?.generation, 1);
    await until("the file of the health check", () => health() === "ok");
    rmSync(at("acme"));
    renameSync(at("kept"), at("acme"));
    await until("its end", () => certd.status().failing.length === 0);
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("goes on when its volumes are emptied, even both, and orders nothing", async () => {
    start();
    await serves(leaf(0));
    for (const home of readdirSync(at("acme"))) rmSync(at("acme", home), { recursive: true });
    await until("its home made again", () => readdirSync(at("acme")).length === 1);
    await serves(leaf(0));
    assert.deepEqual(runs(), ["--renew"]);
    offer(leaf(1));
    for (const name of readdirSync(at("certs"))) rmSync(at("certs", name), { recursive: true });
    // Nothing is stored and nothing published any more, but it is remembered.
    await until("an older number", () => existsSync(at("certs/generations/000000")));
    await serves(leaf(0));
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("publishes what it finds among the generations rather than a placeholder", async () => {
    start();
    await serves(leaf(0));
    await stop();
    for (const home of readdirSync(at("acme"))) rmSync(at("acme", home), { recursive: true });
    rmSync(at("certs/current"));
    start();
    await serves(leaf(0));
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("answers the health API with what it knows, to whoever has the token", async () => {
    const token = "a-token-of-some-length";
    mkdirSync(at("secrets"));
    writeFileSync(at("secrets/health-token.sha256"), createHash("sha256").update(token).digest("hex"));
    const api = { port: await freePort() };
    start({ api, mtaSts: { policy: "version: STSv1\n", routes: {} } });
    await serves(leaf(0));
    const get = (path: string, authorization: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${api.port}${path}`, { headers: { authorization } });
    assert.equal((await get("/api/v1/health", "Bearer wrong")).status, 401);
    const answer = await get("/api/v1/health", `Bearer ${token}`);
    assert.equal(answer.status, 200);
    const report = (await answer.json()) as Health;
    assert.equal(report.certificates.mail?.generation, 1);
    assert.equal(report.order.last?.ok, true);
    assert.equal(await (await get("/.well-known/mta-sts.txt", "")).text(), "version: STSv1\n");
  });

  it("does not take the old certificate for the success of a renewal that failed", async () => {
    const certd = start();
    await serves(leaf(0));
    offer(undefined);
    skew += 61 * 86_400_000;
    await until("the failure", () =>
      said(/The order failed: no such luck\. The published certificate stays in service/),
    );
    assert.equal(certd.status().order.failures, 1);
    assert.equal(log.filter((line) => /The order succeeded/.test(line)).length, 1);
    await serves(leaf(0));
  });

  it("repairs published files that were damaged", async () => {
    start();
    await serves(leaf(0));
    writeFileSync(at("certs/current/privkey.pem"), "rubbish");
    await until("the repair", () => existsSync(at("certs/generations/000002")));
    await serves(leaf(0));
    assert.deepEqual(runs(), ["--renew"]);
  });

  it("stops within a moment, also in the middle of an order, and counts that as no failure", async () => {
    writeFileSync(at("slow"), "");
    start();
    await until("the order", () => said(/acme\.sh: slow/));
    const before = performance.now();
    await stop();
    assert.ok(performance.now() - before < 10_000, "not after the 600 s that the order takes");
    rmSync(at("slow"));
    start();
    await serves(leaf(0));
  });

  it("sees a port that serves something else, and its repair", async () => {
    const served = { current: leaf(1) };
    const daemon = createTls({ SNICallback: undefined, cert: served.current.pem, key: served.current.key });
    daemon.listen(0, "127.0.0.1");
    await once(daemon, "listening");
    const target = { host: "127.0.0.1", port: (daemon.address() as AddressInfo).port, mode: "implicit" as const };
    start({ probes: [target] });
    await serves(leaf(0));
    await until("poor health", () => health() === "not-served");
    skew += 10_000;
    await until("the difference to be told", () =>
      said(/serves the certificate with serial .* instead of generation 000001/),
    );
    daemon.setSecureContext({ cert: leaf(0).pem, key: leaf(0).key });
    await until("good health", () => health() === "ok");
    assert.ok(said(/serves what is published again/));
    assert.ok(said(/Generation 000001 is served on every port/));
    daemon.close();
  });

  it("asks Traefik to look again while HTTPS has only a default certificate, less and less often", async () => {
    const own = pki.issue({ subject: "/CN=TRAEFIK DEFAULT CERT", names: ["x.traefik.default"] });
    const daemon = createTls({ cert: own.pem, key: own.key });
    daemon.listen(0, "127.0.0.1");
    await once(daemon, "listening");
    const certd = start({ https: { host: "127.0.0.1", port: (daemon.address() as AddressInfo).port } });
    await serves(leaf(0));
    await until("a look at 443", () => certd.status().https?.served?.subject === "CN=TRAEFIK DEFAULT CERT");
    assert.equal(existsSync(at("traefik/certd.yml")), false);
    skew += 10_000;
    await until("the first reminder", () => said(/asked to look again \(marker 1\), next in 30 s/));
    skew += 30_000;
    await until("the second reminder", () => said(/marker 2\), next in 60 s/));
    daemon.setSecureContext({ cert: leaf(2).pem, key: leaf(2).key });
    skew += 10_000;
    await until("the certificate on 443", () => said(/HTTPS on port .* has its certificate from CN=Issuer/));
    assert.equal(health(), "ok");
    daemon.close();
  });

  it("leaves its volume such that another reader finds one whole generation", async () => {
    start();
    await serves(leaf(0));
    assert.equal(new GenerationStore(at("certs"), 3, Date.now).current()?.meta.source, "acme");
  });
});
