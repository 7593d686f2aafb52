import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import type { Generation, Origin } from "./generations.ts";
import { HttpsSide } from "./https.ts";
import { Journal } from "./journal.ts";
import { TestPki, type Issued } from "./test-pki.ts";
import { TraefikFolder } from "./traefik.ts";
import { leafFacts } from "./validate.ts";

const HOST = "mail.test";
const pki = new TestPki();
const issuer = pki.issue({ subject: "/CN=Issuer", ca: true });
const own = pki.issue({ subject: "/", names: [HOST], by: issuer });
const custom = pki.issue({ subject: "/", names: [HOST], by: issuer });
const wildcard = pki.issue({ subject: "/", names: ["*.test"], by: issuer });
after(() => pki.remove());

let folder = "";
let now = 0;
let served: Issued = own;
let log: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "certd-https-"));
  now = Date.now();
  served = own;
  log = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function side(certificate: "own" | "shared"): HttpsSide {
  return new HttpsSide({
    settings: {
      names: [HOST],
      https: { host: "traefik", port: 443 },
      traefik: { routes: "http: {}\n", certificate },
    },
    folder: new TraefikFolder(folder),
    look: () => {
      const leaf = leafFacts(served.pem);
      assert.ok(leaf);
      return Promise.resolve({ leaf });
    },
    journal: new Journal(
      (line) => log.push(line),
      () => now,
    ),
    clock: () => now,
  });
}

const CUSTOM: Origin = { source: "custom" };
const ACME: Origin = { source: "acme", directory: "https://ca.test/dir" };
function generation({ pem, key }: Issued, { source }: Origin): Generation {
  const leaf = leafFacts(pem);
  assert.ok(leaf);
  const { sha256, subject, issuer, names, serial, keyType } = leaf;
  const meta = { generation: 7, source, sha256, subject, issuer, names, serial, keyType };
  const times = { notBefore: "", notAfter: "", publishedAt: "" };
  return { number: 7, meta: { ...meta, ...times }, leaf, pair: { fullchain: pem, privkey: key } };
}

/** Passes until every answer was heard; the clock moves on by some milliseconds with each. */
async function pass(https: HttpsSide, published: Generation, origin: Origin, times = 3, step = 1000): Promise<void> {
  for (let count = 0; count < times; count++) {
    https.tick(published, origin, true);
    await turn();
    now += step;
  }
}
const certificate = (): string =>
  existsSync(join(folder, "certificate.yml")) ? readFileSync(join(folder, "certificate.yml"), "utf8") : "";

describe("HttpsSide", () => {
  it("writes the routes, and no certificate where HTTPS has its own", async () => {
    await pass(side("own"), generation(custom, ACME), ACME);
    assert.equal(readFileSync(join(folder, "vectis.yml"), "utf8"), "http: {}\n");
    assert.equal(certificate(), "");
  });

  it("hands the published pair over in one file that only Traefik's group may read", async () => {
    served = custom;
    const https = side("shared");
    await pass(https, generation(custom, CUSTOM), CUSTOM);
    assert.deepEqual(new TraefikFolder(folder).shared(), { fullchain: custom.pem, privkey: custom.key });
    assert.equal(statSync(join(folder, "certificate.yml")).mode & 0o777, 0o640);
    assert.match(certificate(), /"resolver": "none"/);
    assert.equal(https.waits(), false);
  });

  it("does not hand over what another source had published", async () => {
    const https = side("shared");
    await pass(https, generation(custom, ACME), CUSTOM);
    assert.equal(certificate(), "");
    assert.equal(https.waits(), false, "its own certificate is good enough until then");
  });

  it("lets Traefik choose again while it serves its own certificate beside the shared one", async () => {
    const https = side("shared");
    await pass(https, generation(custom, CUSTOM), CUSTOM, 8, 700);
    assert.ok(https.waits());
    assert.match(readFileSync(join(folder, "certd.yml"), "utf8"), /Marker: "[1-3]"/);
    assert.equal(log.length, 1, "and says so once");
    served = custom;
    await pass(https, generation(custom, CUSTOM), CUSTOM, 6, 700);
    assert.equal(https.waits(), false);
    assert.equal(existsSync(join(folder, "ca-epoch")), false);
  });

  it("has Traefik started without its own certificates when no choice helps, once", async () => {
    const https = side("shared");
    await pass(https, generation(wildcard, CUSTOM), CUSTOM, 60, 700);
    assert.match(readFileSync(join(folder, "ca-epoch"), "utf8"), /^[1-9]\d*\n$/);
    assert.doesNotMatch(certificate(), /stores/, "a wildcard is no default certificate for the host");
    assert.match(log.join("\n"), /Traefik is started afresh without the certificates of its own/);
  });

  it("takes the shared certificate away only once HTTPS serves one of its own, and has it ordered until then", async () => {
    served = custom;
    await pass(side("shared"), generation(custom, CUSTOM), CUSTOM);
    const https = side("own");
    await pass(https, generation(wildcard, ACME), ACME, 4, 700);
    assert.match(certificate(), /"resolver": "acme"/);
    assert.deepEqual(new TraefikFolder(folder).shared(), { fullchain: custom.pem, privkey: custom.key });
    assert.ok(https.waits());
    served = own;
    await pass(https, generation(wildcard, ACME), ACME, 6, 700);
    assert.equal(certificate(), "");
    assert.match(log.join("\n"), /HTTPS has a certificate of its own/);
    await pass(https, generation(wildcard, ACME), ACME, 6, 700);
    assert.equal(https.waits(), false);
  });
});
