import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { tryRoute } from "./route.ts";

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close().closeAllConnections();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

/** A proxy that forwards challenges of these hosts to a port and redirects everything else. */
function proxy(hosts: readonly string[], port: number): Server {
  return createServer((incoming, response) => {
    if (!hosts.includes(incoming.headers.host ?? ""))
      return void response.writeHead(301, { location: "https://x/" }).end();
    const onward = request({ port, path: incoming.url, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502);
      answer.pipe(response);
    });
    onward.once("error", () => response.writeHead(502).end());
    onward.end();
  });
}

describe("tryRoute", () => {
  it("finds the way open when every name is forwarded, and frees the port", async () => {
    const challengePort = await freePort();
    const port = await listen(proxy(["mail.test", "imap.test"], challengePort));
    const route = { host: "127.0.0.1", port };
    assert.deepEqual(await tryRoute(route, ["mail.test", "imap.test", "*.test"], challengePort), { kind: "open" });
    assert.deepEqual(await tryRoute(route, ["mail.test"], challengePort), { kind: "open" });
  });

  it("names the host that the proxy does not forward", async () => {
    const challengePort = await freePort();
    const port = await listen(proxy(["mail.test"], challengePort));
    const answer = await tryRoute({ host: "127.0.0.1", port }, ["mail.test", "imap.test"], challengePort);
    assert.ok(answer.kind === "closed" && /imap\.test it answers 301/.test(answer.cause));
  });

  it("says so when there is no proxy, or the challenge port is in use", async () => {
    const challengePort = await freePort();
    const nobody = await tryRoute({ host: "127.0.0.1", port: await freePort() }, ["mail.test"], challengePort);
    assert.ok(nobody.kind === "closed" && /ECONNREFUSED/.test(nobody.cause));
    const taken = await listen(createServer());
    assert.deepEqual(await tryRoute({ host: "127.0.0.1", port: 1 }, ["mail.test"], taken), { kind: "busy" });
  });
});
