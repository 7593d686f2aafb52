import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTls, TLSSocket, createSecureContext } from "node:tls";
import { after, describe, it } from "node:test";
import { probe } from "./probe.ts";
import { TestPki } from "./test-pki.ts";
import { leafFacts } from "./validate.ts";

const pki = new TestPki();
const { pem: cert, key } = pki.issue({ subject: "/CN=mail.vectis.test", names: ["mail.vectis.test"] });
const expected = leafFacts(cert)?.sha256;
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  pki.remove();
});

async function listen(server: Server): Promise<{ host: string; port: number }> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

/** An SMTP server as far as STARTTLS, with the given replies to greeting, EHLO and STARTTLS. */
function smtp(greeting: string, ehlo: string, startTls: string, handshake: boolean): Server {
  return createTcp((socket: Socket) => {
    socket.on("error", () => undefined);
    socket.write(greeting);
    const onData = (line: Buffer): void => {
      if (line.toString().startsWith("EHLO")) return void socket.write(ehlo);
      socket.write(startTls);
      socket.off("data", onData);
      if (!handshake) return;
      const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ cert, key }) });
      secure.on("error", () => undefined);
    };
    socket.on("data", onData);
  });
}

describe("probe", () => {
  it("reads the leaf behind implicit TLS", async () => {
    const target = await listen(createTls({ cert, key }));
    const result = await probe({ ...target, mode: "implicit" }, "mail.vectis.test");
    assert.equal("leaf" in result && result.leaf.sha256, expected);
  });

  it("reads the leaf after STARTTLS, past replies of several lines", async () => {
    const target = await listen(
      smtp("220-hello\r\n220 there\r\n", "250-mail\r\n250-SIZE 1\r\n250 STARTTLS\r\n", "220 go\r\n", true),
    );
    const result = await probe({ ...target, mode: "starttls-smtp" }, "mail.vectis.test");
    assert.equal("leaf" in result && result.leaf.sha256, expected);
  });

  it("quotes the server that refuses STARTTLS", async () => {
    const target = await listen(smtp("220 hello\r\n", "250 mail\r\n", "454 4.7.0 TLS not available\r\n", false));
    assert.deepEqual(await probe({ ...target, mode: "starttls-smtp" }, "mail.vectis.test"), {
      error: "SMTP answered: 454 4.7.0 TLS not available",
    });
  });

  it("says so when the connection is refused, closed, or never answers", async () => {
    const closing = await listen(createTcp((socket) => socket.destroy()));
    const silent = await listen(createTcp((socket) => void socket.on("error", () => undefined)));
    const gone = createTcp();
    const refused = await listen(gone);
    gone.close();
    const error = async (target: { host: string; port: number }, timeout?: number): Promise<string> => {
      const result = await probe({ ...target, mode: "implicit" }, "mail.vectis.test", { timeoutMs: timeout });
      return "error" in result ? result.error : "no error";
    };
    assert.match(await error(refused), /ECONNREFUSED/);
    assert.match(await error(closing), /closed|ECONNRESET|disconnected/);
    assert.match(await error(silent, 100), /no TLS within 0\.1 s/);
  });
});
