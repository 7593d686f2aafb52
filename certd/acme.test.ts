import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { AcmeDriver, failureCause, homeName, worthShowing } from "./acme.ts";
import type { AcmeSource } from "./settings.ts";
import { TestPki } from "./test-pki.ts";

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
  const paths = { volume: join(top, "volume"), runtime: join(top, "run"), command: join(top, "acme.sh") };
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

  it("issues first, with every choice spelled out", async () => {
    assert.equal((await driver([HOST, "imap.vectis.test"]).order()).ok, true);
    assert.deepEqual(runs(), [
      "--issue --standalone --httpport 8080 --keylength ec-256 --extended-key-usage serverAuth " +
        `--accountemail admin@vectis.test --domain ${HOST} --domain imap.vectis.test`,
    ]);
  });

  it("renews when names, key type and directory are those of the last order", async () => {
    const made = driver();
    store(made.home, ec256, conf());
    await made.order();
    assert.deepEqual(runs(), [`--renew --domain ${HOST} --force`]);
  });

  it("issues with the same key, and not 'not due', when a name was added", async () => {
    const made = driver([HOST, "imap.vectis.test"]);
    const folder = store(made.home, ec256, conf());
    await made.order();
    assert.match(runs()[0] ?? "", /^--issue (?!.*--force)/);
    assert.equal(readFileSync(join(folder, `${HOST}.key`), "utf8"), ec256.key);
    const left = readFileSync(join(folder, `${HOST}.conf`), "utf8");
    assert.doesNotMatch(left, /Le_NextRenewTime/);
    assert.match(left, /^Le_Keylength='ec-256'$/m);
  });

  it("keeps a key whose order was never finished", async () => {
    const made = driver();
    const folder = store(made.home, ec256, "");
    await made.order();
    assert.match(runs()[0] ?? "", /^--issue/);
    assert.equal(existsSync(join(folder, `${HOST}.key`)), true);
    assert.match(readFileSync(join(folder, `${HOST}.conf`), "utf8"), /^Le_Keylength='ec-256'$/m);
  });

  for (const [what, key] of [
    ["of another type", ec384.key],
    ["damaged", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"],
  ] as const) {
    it(`has a new key made, and no old CSR signed, when the stored one is ${what}`, async () => {
      const made = driver();
      const folder = store(made.home, { pem: ec384.pem, key }, conf("Le_Keylength='ec-384'\n"));
      await made.order();
      assert.match(runs()[0] ?? "", /^--issue .*--keylength ec-256/);
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

  it("finds the account's URL wherever acme.sh keeps it", () => {
    const made = driver();
    assert.equal(made.accountUrl(), "");
    const folder = join(made.home, "ca", "ca.test", "dir");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "ca.conf"), "ACCOUNT_URL='https://ca.test/acct/7'\nCA_KEY_HASH='x'\n");
    assert.equal(made.accountUrl(), "https://ca.test/acct/7");
  });

  it("shows the output without certificates, and sums a failure up", async () => {
    command(
      `cat <<'END'
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
    assert.deepEqual(result, {
      ok: false,
      registeredAnew: true,
      cause: "the CA says rateLimited: too many certificates",
    });
    assert.equal(shown[0], "Cert success.");
    assert.equal(shown[1], "Registered");
    assert.doesNotMatch(shown.join("\n"), /AAAA|--debug/);
  });

  it("ends a run together with everything it started", async () => {
    command('sleep 600 & echo $! >>"$RUNS"; echo started; wait');
    const made = driver();
    const ended = made.order();
    while (!shown.includes("started")) await new Promise((resolve) => setTimeout(resolve, 5));
    made.kill("SIGTERM");
    assert.equal((await ended).ok, false);
    const child = Number(runs()[0]);
    const state = (): string => readFileSync(`/proc/${child}/stat`, "utf8").split(" ")[2] ?? "";
    assert.ok(!existsSync(`/proc/${child}`) || state() === "Z");
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

describe("acme.sh's output", () => {
  it("is summed up by what the CA or acme.sh said last", () => {
    assert.equal(
      failureCause("mail.test: Invalid status. Verification error details: connection refused\n", 1),
      "mail.test: Invalid status. Verification error details: connection refused",
    );
    assert.equal(
      failureCause("Using CA\nCannot init API for: https://ca.\n\nPlease add '--debug' or '--log'\n", 1),
      "acme.sh ended with 1: Cannot init API for: https://ca.",
    );
    assert.equal(failureCause("", null), "acme.sh ended with a signal");
  });

  it("is not shown where it only repeats how to debug", () => {
    assert.equal(worthShowing("See: https://github.com/acmesh-official/acme.sh/wiki/How-to-debug-acme.sh"), false);
    assert.equal(worthShowing("Cert success."), true);
  });
});
