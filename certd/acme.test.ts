import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { AcmeDriver, confValue, homeName } from "./acme.ts";
import type { AcmeSource } from "./settings.ts";
import { TestPki, until } from "./test-pki.ts";

const HOST = "mail.vectis.test";
const source: AcmeSource = {
  kind: "acme",
  directory: "https://ca.test:14000/dir",
  email: "admin@vectis.test",
  challenge: "http-01",
  httpPort: 8080,
  keyType: "ec-256",
};
const pki = new TestPki();
const ec256 = pki.issue({ subject: "/", names: [HOST] });
const ec384 = pki.issue({ subject: "/", names: [HOST], key: "secp384r1" });
const other = pki.issue({ subject: "/", names: [HOST] });
const rsa = pki.issue({ subject: "/", names: [HOST], key: "rsa:2048" });
after(() => pki.remove());

let top = "";
let shown: string[] = [];
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "certd-acme-"));
  mkdirSync(join(top, "volume"));
  shown = [];
  command('echo "$*" >>"$RUNS"');
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function command(body: string): void {
  writeFileSync(join(top, "acme.sh"), `#!/bin/sh\nRUNS=${top}/runs\n${body}\n`);
  chmodSync(join(top, "acme.sh"), 0o755);
}

function driver(names: readonly string[] = [HOST], change: Partial<AcmeSource> = {}): AcmeDriver {
  const paths = {
    volume: join(top, "volume"),
    runtime: join(top, "run"),
    command: join(top, "acme.sh"),
    token: "/token",
  };
  const made = new AcmeDriver({ ...source, ...change }, names, paths, (line) => shown.push(line));
  made.prepare();
  return made;
}

const runs = (): string[] => readFileSync(join(top, "runs"), "utf8").trim().split("\n");

/** Puts into the home what acme.sh leaves there after an order. */
function store(home: string, { pem, key }: { pem: string; key: string }, conf: string): string {
  const folder = join(home, `${HOST}_ecc`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "fullchain.cer"), pem);
  writeFileSync(join(folder, `${HOST}.key`), key);
  writeFileSync(join(folder, `${HOST}.csr`), "old");
  writeFileSync(join(folder, `${HOST}.conf`), conf);
  return folder;
}

const ZONE = "3f2a7c1e9b8d4065a1c2d3e4f5061728";
const ordered = (made: AcmeDriver): string => readFileSync(join(made.home, `${HOST}_ecc`, `${HOST}.conf`), "utf8");

const conf = (change = ""): string =>
  `Le_Domain='${HOST}'\nLe_Alt='no'\nLe_API='${source.directory}'\nLe_Keylength='ec-256'\nLe_NextRenewTime='9999999999'\n${change}`;

describe("AcmeDriver", () => {
  it("keeps everything in a home of its own per directory, closed to others", () => {
    const home = driver().home;
    assert.notEqual(home, driver([HOST], { directory: "https://ca.test:14001/dir" }).home);
    for (const folder of [home, join(top, "volume")]) assert.equal(statSync(folder).mode & 0o777, 0o700);
    const told = readFileSync(join(top, "run", "acme.conf"), "utf8");
    assert.match(told, /^server='https:\/\/ca\.test:14001\/dir'$/m);
    assert.match(told, /^ca_bundle=''$/m);
  });

  it("forgets a bundle that is no longer configured", () => {
    const home = driver([HOST], { caBundle: ec256.pem }).home;
    writeFileSync(join(home, "account.conf"), "USER_PATH='/bin'\nCA_BUNDLE='/run/certd/ca-bundle.pem'\n");
    driver();
    assert.equal(readFileSync(join(home, "account.conf"), "utf8"), "USER_PATH='/bin'\n");
  });

  it("orders with acme.sh's renewal from the first time on, every choice in acme.sh's own configuration", async () => {
    const made = driver([HOST, "imap.vectis.test"]);
    assert.equal((await made.order()).ok, true);
    assert.deepEqual(runs(), [`--renew --domain ${HOST} --force --accountemail admin@vectis.test`]);
    assert.equal(
      ordered(made),
      `Le_Domain='${HOST}'
Le_Alt='imap.vectis.test'
Le_Webroot='no'
Le_API='${source.directory}'
Le_Keylength='ec-256'
Le_ExtKeyUse='serverAuth'
Le_HTTPPort='8080'
Le_DNSSleep='0'
`,
    );
  });

  it("names the CA's profile in acme.sh's configuration, and takes it out again", async () => {
    const made = driver([HOST], { profile: "shortlived" });
    await made.order();
    assert.equal(confValue(ordered(made), "Le_Certificate_Profile"), "shortlived");
    assert.equal(made.profile(), "shortlived");
    await driver().order();
    assert.equal(made.profile(), "");
    assert.doesNotMatch(ordered(made), /Le_Certificate_Profile/);
  });

  it("keeps the key, and what else acme.sh remembers, when a name was added", async () => {
    const made = driver([HOST, "imap.vectis.test"]);
    const folder = store(made.home, ec256, conf("Le_LinkCert='x'\nLe_OrderFinalize='y'\n"));
    await made.order();
    assert.equal(readFileSync(join(folder, `${HOST}.key`), "utf8"), ec256.key);
    assert.equal(confValue(ordered(made), "Le_Alt"), "imap.vectis.test");
    assert.equal(confValue(ordered(made), "Le_LinkCert"), "x");
    assert.doesNotMatch(ordered(made), /Le_NextRenewTime|Le_OrderFinalize|Le_Alt='no'/);
  });

  it("orders for the key that the configuration names, whatever key is stored, and signs no old CSR", async () => {
    const keyFile = join(top, "key.pem");
    writeFileSync(keyFile, ec256.key);
    const made = driver([HOST], { keyFile });
    const folder = store(made.home, { pem: other.pem, key: other.key }, conf());
    await made.order();
    assert.equal(readFileSync(join(folder, `${HOST}.key`), "utf8"), ec256.key);
    assert.equal(statSync(join(folder, `${HOST}.key`)).mode & 0o777, 0o600);
    assert.equal(existsSync(join(folder, `${HOST}.csr`)), false);
  });

  it("has a person's renewal take the challenge that is configured now", () => {
    const folder = store(driver().home, ec256, conf("Le_Webroot='no'\n"));
    driver([HOST], { challenge: "dns-01", dns: { zoneId: ZONE } });
    assert.equal(confValue(readFileSync(join(folder, `${HOST}.conf`), "utf8"), "Le_Webroot"), "dns_vectis");
  });

  it("orders an RSA certificate in a place of its own, where a person's renewal of the first one does not find it", async () => {
    const made = driver([HOST], { rsaKeyType: "rsa-3072", profile: "tlsserver" });
    await made.order();
    await made.orderRsa();
    const home = join(made.home, "rsa");
    const common = `--renew --domain ${HOST} --force --accountemail admin@vectis.test`;
    assert.deepEqual(runs(), [common, `${common} --cert-home ${home}`]);
    const text = readFileSync(join(home, HOST, `${HOST}.conf`), "utf8");
    assert.deepEqual(
      ["Le_Keylength", "Le_Domain", "Le_Certificate_Profile"].map((key) => confValue(text, key)),
      ["3072", HOST, "tlsserver"],
    );
    assert.equal(confValue(ordered(made), "Le_Keylength"), "ec-256");
  });

  it("reads the RSA certificate beside the first one, while one is wanted", () => {
    const made = driver([HOST], { rsaKeyType: "rsa-2048" });
    store(made.home, ec256, conf());
    assert.deepEqual(made.read(), { kind: "stored", pair: { fullchain: ec256.pem, privkey: ec256.key } });
    const folder = join(made.home, "rsa", HOST);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "fullchain.cer"), rsa.pem);
    writeFileSync(join(folder, `${HOST}.key`), rsa.key);
    const pair = { fullchain: ec256.pem, privkey: ec256.key };
    const both = { ...pair, rsa: { fullchain: rsa.pem, privkey: rsa.key } };
    assert.deepEqual(made.read(), { kind: "stored", pair: both });
    assert.deepEqual(driver().read(), { kind: "stored", pair });
  });

  it("keeps an RSA key of the wanted size, and has another made for another size", async () => {
    const key = (made: AcmeDriver): string => join(made.home, "rsa", HOST, `${HOST}.key`);
    const made = driver([HOST], { rsaKeyType: "rsa-2048" });
    mkdirSync(join(made.home, "rsa", HOST), { recursive: true });
    writeFileSync(key(made), rsa.key);
    await made.orderRsa();
    assert.equal(readFileSync(key(made), "utf8"), rsa.key);
    await driver([HOST], { rsaKeyType: "rsa-4096" }).orderRsa();
    assert.equal(existsSync(key(made)), false);
  });

  it("keeps a key whose order was never finished", async () => {
    const made = driver();
    const folder = store(made.home, ec256, "");
    await made.order();
    assert.equal(existsSync(join(folder, `${HOST}.key`)), true);
    assert.equal(confValue(ordered(made), "Le_Keylength"), "ec-256");
  });

  it("orders over DNS-01 with the hook; a name that a wildcard covers is not ordered beside it", async () => {
    const made = driver([HOST, "*.vectis.test", "vectis.test"], { challenge: "dns-01", dns: { zoneId: ZONE } });
    await made.order();
    assert.deepEqual(runs(), [`--renew --domain ${HOST} --force --accountemail admin@vectis.test`]);
    assert.equal(confValue(ordered(made), "Le_Domain"), "*.vectis.test");
    assert.equal(confValue(ordered(made), "Le_Alt"), "vectis.test");
    assert.equal(confValue(ordered(made), "Le_Webroot"), "dns_vectis");
  });

  it("has every challenge answered at the one name in the zone for challenges, and no longer when there is none", async () => {
    const names = [HOST, "other.test"];
    const delegated = { zoneId: ZONE, challengeZone: "challenges.test" };
    const made = driver(names, { challenge: "dns-01", dns: delegated });
    await made.order();
    assert.equal(confValue(ordered(made), "Le_ChallengeAlias"), `=_acme-challenge.${HOST}.challenges.test`);
    driver(names, { challenge: "dns-01", dns: { zoneId: ZONE } });
    assert.doesNotMatch(ordered(made), /Le_ChallengeAlias/, "a person's renewal takes what is configured now");
    driver(names, { challenge: "dns-01", dns: delegated });
    assert.match(ordered(made), /Le_ChallengeAlias/);
    driver(names, { dns: delegated });
    assert.doesNotMatch(ordered(made), /Le_ChallengeAlias/);
  });

  it("tells the hook where token, zones, notes and the API's roots are, and never the token itself", () => {
    const told = (dns: NonNullable<AcmeSource["dns"]>): string => {
      driver([HOST], { challenge: "dns-01", caBundle: ec256.pem, dns });
      return readFileSync(join(top, "run", "acme.conf"), "utf8");
    };
    assert.match(told({ zoneId: ZONE }), new RegExp(`^dns_zones='\\.=${ZONE}'$`, "m"));
    assert.match(
      told({ zones: { "a.test": ZONE, "b.test": "x" } }),
      new RegExp(`^dns_zones='a.test=${ZONE} b.test=x'$`, "m"),
    );
    assert.match(told({ zoneId: ZONE }), /^dns_token='\/token'$/m);
    assert.match(told({ zoneId: ZONE }), new RegExp(`^dns_notes='${join(top, "volume", "dns-01")}'$`, "m"));
    // The private CA's roots alone for the CA, with the system's for the API.
    assert.equal(readFileSync(join(top, "run", "ca-bundle.pem"), "utf8"), ec256.pem);
    const roots = readFileSync(join(top, "run", "dns-roots.pem"), "utf8");
    assert.ok(roots.endsWith(ec256.pem) && roots.split("BEGIN CERTIFICATE").length > 10);
  });

  it("takes tokens out of whatever acme.sh keeps in clear, in every home", () => {
    const other = join(top, "volume", "other");
    mkdirSync(join(other, `${HOST}_ecc`), { recursive: true });
    writeFileSync(join(other, "account.conf"), "SAVED_CF_Token='secret'\nSAVED_CF_Account_ID='a'\nUSER_PATH='/bin'\n");
    const domain = join(other, `${HOST}_ecc`, `${HOST}.conf`);
    writeFileSync(domain, conf("CF_Token='secret'\nCF_Zone_ID='z'\n"), { mode: 0o644 });
    driver();
    assert.equal(readFileSync(join(other, "account.conf"), "utf8"), "USER_PATH='/bin'\n");
    assert.equal(readFileSync(domain, "utf8"), conf());
    assert.equal(statSync(domain).mode & 0o777, 0o600);
  });

  for (const [what, key] of [
    ["of another type", ec384.key],
    ["damaged", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"],
  ] as const) {
    it(`has a new key made, and no old CSR signed, when the stored one is ${what}`, async () => {
      const made = driver();
      const folder = store(made.home, { pem: ec384.pem, key }, conf("Le_Keylength='ec-384'\n"));
      await made.order();
      assert.equal(confValue(ordered(made), "Le_Keylength"), "ec-256");
      assert.equal(existsSync(join(folder, `${HOST}.key`)), false);
      assert.equal(existsSync(join(folder, `${HOST}.csr`)), false);
    });
  }

  it("reads what is stored, again only when it changed", () => {
    const made = driver();
    assert.deepEqual(made.read(), { kind: "empty" });
    const folder = store(made.home, ec256, conf());
    const first = made.read();
    assert.ok(first.kind === "stored");
    assert.deepEqual(first.pair, { fullchain: ec256.pem, privkey: ec256.key });
    assert.equal(made.read(), first);
    writeFileSync(join(folder, "fullchain.cer"), ec384.pem);
    assert.notEqual(made.read(), first);
  });

  it("does not read while an order holds the lock", async () => {
    const made = driver();
    store(made.home, ec256, conf());
    const holder = spawn("flock", [join(made.home, ".lock"), "sh", "-c", "echo held; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.deepEqual(made.read(), { kind: "busy" });
    assert.equal(made.busy(), true);
    holder.stdin.end("\n");
    await once(holder, "exit");
    assert.equal(made.read().kind, "stored");
    assert.equal(made.busy(), false);
  });

  it("lets nobody order while something is done that must not meet an order, and the other way round", async () => {
    const made = driver();
    assert.equal(await made.whileIdle(() => Promise.resolve(made.busy())), true);
    while (made.busy()) await new Promise((resolve) => setTimeout(resolve, 5));
    const holder = spawn("flock", [join(made.home, ".lock"), "sh", "-c", "echo held; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.equal(await made.whileIdle(() => Promise.resolve(true)), undefined);
    holder.stdin.end("\n");
    await once(holder, "exit");
  });

  it("finds the account's URL wherever acme.sh keeps it", () => {
    const made = driver();
    assert.equal(made.accountUrl(), "");
    const folder = join(made.home, "ca", "ca.test", "dir");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "ca.conf"), "ACCOUNT_URL='https://ca.test/acct/7'\nCA_KEY_HASH='x'\n");
    assert.equal(made.accountUrl(), "https://ca.test/acct/7");
    // A person has registered elsewhere from the same home.
    const other = join(made.home, "ca", "a-staging.test", "dir");
    mkdirSync(other, { recursive: true });
    writeFileSync(join(other, "ca.conf"), "ACCOUNT_URL='https://a-staging.test/acct/1'\n");
    assert.equal(made.accountUrl(), "https://ca.test/acct/7");
    assert.equal(driver([HOST], { directory: "https://ca.test:14000/dir?days=6" }).accountUrl(), "");
  });

  it("shows the output without certificates, and hands it over with acme.sh's log, which it removes", async () => {
    command(
      `umask 077; echo "code='429'" >"$LOG_FILE"; cat <<'END'
Cert success.
-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
Registered

Error creating new order. {
  "type": "urn:ietf:params:acme:error:rateLimited",
  "detail": "too many certificates",
  "status": 429
}
Please add '--debug' or '--log' to see more information.
END
exit 1`,
    );
    const result = await driver().order();
    assert.deepEqual([result.ok, result.registeredAnew], [false, true]);
    assert.match(result.output, /"detail": "too many certificates"[\s\S]*^code='429'$/m);
    assert.equal(existsSync(join(top, "run", "acme.log")), false);
    assert.equal(shown[0], "Cert success.");
    assert.equal(shown[1], "Registered");
    assert.doesNotMatch(shown.join("\n"), /AAAA|--debug/);
  });

  it("does not take the log of a run whose reader was killed for its own", async () => {
    mkdirSync(join(top, "run"), { recursive: true });
    writeFileSync(join(top, "run", "acme.log"), "code='429'\n");
    command("echo 'no such luck'; exit 1");
    assert.doesNotMatch((await driver().order()).output, /429/);
  });

  it("ends a run together with everything it started", async () => {
    command('sleep 600 & echo $! >>"$RUNS"; echo started; wait');
    const made = driver();
    const order = made.order();
    while (!shown.includes("started")) await new Promise((resolve) => setTimeout(resolve, 5));
    made.kill("SIGTERM");
    assert.equal((await order).ok, false);
    const child = Number(runs()[0]);
    const ended = (): boolean => {
      try {
        return readFileSync(`/proc/${child}/stat`, "utf8").split(" ")[2] === "Z";
      } catch {
        return true; // and cleared away
      }
    };
    await until("the end of its child", ended);
  });
});

describe("homeName", () => {
  it("is readable and differs for addresses that only punctuation tells apart", () => {
    assert.match(
      homeName("https://acme-v02.api.letsencrypt.org/directory"),
      /^acme-v02\.api\.letsencrypt\.org-directory-[0-9a-f]{8}$/,
    );
    assert.notEqual(homeName("https://ca.test/a/b"), homeName("https://ca.test/a-b"));
  });
});
