// The prober against real TLS servers of this process: what it says must be what is served.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createServer, TLSSocket, type TlsOptions } from "node:tls";
import { handshake, listens, reception, type Address } from "./probe.ts";

const hostname = "mail.vectis.test";
const directory = mkdtempSync(join(tmpdir(), "vectis-probe-"));
const servers: Server[] = [];
let pair: { key: Buffer; cert: Buffer };
let ca: string;

before(() => {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /O=Test/CN=${hostname}`;
  const names = ["-addext", `subjectAltName=DNS:${hostname}`];
  execFileSync("openssl", [...request.split(" "), ...names, "-keyout", key, "-out", cert], { stdio: "pipe" });
  pair = { key: readFileSync(key), cert: readFileSync(cert) };
  ca = pair.cert.toString();
});
after(() => {
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

async function listen(server: Server): Promise<Address> {
  servers.push(server.on("tlsClientError", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}
const serve = (options: TlsOptions = {}): Promise<Address> => listen(createServer({ ...pair, ...options }));

describe("a handshake", () => {
  it("reports version, names and a hybrid key exchange", async () => {
    const seen = await handshake(await serve(), { hostname, ca });
    assert.equal(seen.version, "TLSv1.3");
    assert.equal(seen.group, "X25519MLKEM768");
    assert.deepEqual(seen.leaf.names, [hostname]);
    assert.equal(seen.distrust, undefined);
  });

  it("reports the group that a HelloRetryRequest led to", async () => {
    assert.equal((await handshake(await serve({ ecdhCurve: "P-384" }), { hostname, ca })).group, "secp384r1");
  });

  it("reports the group of a TLS 1.2 server", async () => {
    const seen = await handshake(await serve({ maxVersion: "TLSv1.2", ecdhCurve: "P-256" }), { hostname, ca });
    assert.deepEqual([seen.version, seen.group], ["TLSv1.2", "secp256r1"]);
  });

  it("says why a certificate is not trusted and still shows it", async () => {
    const server = await serve();
    assert.match((await handshake(server, { hostname })).distrust ?? "", /self-signed \(O=Test, CN=/);
    assert.match((await handshake(server, { hostname: "other.test", ca })).distrust ?? "", /ALTNAME_INVALID/);
  });

  it("goes through STARTTLS", async () => {
    const script = ["220 ready", "250-mail\r\n250 STARTTLS", "220 go ahead"];
    const server = createTcpServer((socket) => {
      let step = 0;
      socket.write(`${script[step++]}\r\n`);
      socket.on("data", function answer() {
        socket.write(`${script[step++]}\r\n`);
        if (step < script.length) return;
        socket.off("data", answer);
        new TLSSocket(socket, { isServer: true, ...pair }).on("error", () => {});
      });
    });
    assert.equal((await handshake(await listen(server), { hostname, ca, startTls: "smtp" })).distrust, undefined);
  });

  it("fails when STARTTLS is not offered", async () => {
    const server = createTcpServer((socket) => {
      socket.write("220 ready\r\n");
      socket.on("data", () => socket.write("250 mail\r\n"));
    });
    await assert.rejects(handshake(await listen(server), { hostname, startTls: "smtp" }), /STARTTLS is not offered/);
  });
});

describe("an offer", () => {
  it("of TLS 1.1 is seen as refused only when the server refuses it", async () => {
    const old: TlsOptions = { minVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" };
    assert.equal(await reception(await serve(), { hostname, version: "TLSv1.1" }), "refused");
    assert.equal(await reception(await serve(old), { hostname, version: "TLSv1.1" }), "accepted");
  });

  it("is not called refused where nobody listens", async () => {
    const nobody = { host: "127.0.0.1", port: 1 };
    assert.equal(await listens(nobody), false);
    assert.equal(await reception(nobody, { hostname, version: "TLSv1.1" }), "no answer");
  });
});
