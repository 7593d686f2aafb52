// The look-ups against files, sockets and a DNS server of the test's own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { access, tokenFacts } from "./cloudflare.ts";
import { climb, dnsFacts, recordsOf, unansweredQuestions } from "./dns.ts";
import { dockerHost, parseSockets, portFacts } from "./docker.ts";
import { customFacts } from "./files.ts";

const folder = mkdtempSync(join(tmpdir(), "vectis-facts-"));
after(() => rmSync(folder, { recursive: true }));

const types: Readonly<Record<string, number>> = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, CAA: 257 };

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);

const caaData = (flags: number, tag: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([flags, tag.length]), Buffer.from(tag + value)]);

/** A DNS server that knows record data by `TYPE name`; silent for names below `silent.test`. Returns `address:port`. */
async function server(t: TestContext, data: Readonly<Record<string, readonly Buffer[]>>): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join(".").toLowerCase();
    if (name.endsWith("silent.test")) return;
    const question = query.subarray(12, at + 5);
    const type = Object.keys(types).find((known) => types[known] === query.readUInt16BE(at + 1));
    const answers = data[`${type ?? ""} ${name}`] ?? [];
    const head = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, answers.length, 0, 0, 0, 0]);
    const body = answers.map((rdata) => {
      const fixed = Buffer.from([
        0xc0,
        12,
        ...question.subarray(-4),
        0,
        0,
        0,
        0,
        rdata.length >> 8,
        rdata.length & 0xff,
      ]);
      return Buffer.concat([fixed, rdata]);
    });
    socket.send(Buffer.concat([head, question, ...body]), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

describe("dnsFacts", () => {
  it("asks for everything at once and knows what there is and what not", async (t) => {
    const at = await server(t, {
      "A mail.example.com": [Buffer.from([192, 0, 2, 25])],
      "MX example.com": [
        Buffer.concat([Buffer.from([0, 20]), encodeName("MX2.example.com")]),
        Buffer.concat([Buffer.from([0, 10]), encodeName("mail.example.com")]),
      ],
      "CNAME mx2.example.com": [encodeName("vm.example.net")],
      "CNAME _acme-challenge.example.com": [encodeName("x.Example.net")],
      "TXT example.com": [Buffer.from("\x04v=sp\x08f1 -all.")],
      "CAA example.com": [caaData(128, "issue", "letsencrypt.org"), caaData(0, "issuewild", ";")],
    });
    const questions = {
      hosts: ["mail.example.com"],
      certificateNames: ["*.example.com"],
      aliases: ["_acme-challenge.example.com"],
      domains: ["example.com"],
    };
    const facts = await dnsFacts(questions, [at], 2000);
    assert.deepEqual(facts, {
      A: { "mail.example.com": ["192.0.2.25"] },
      AAAA: { "mail.example.com": [] },
      CNAME: {
        "mail.example.com": [],
        "mx2.example.com": ["vm.example.net"],
        "_acme-challenge.example.com": ["x.example.net"],
      },
      CAA: {
        "example.com": [
          { critical: true, tag: "issue", value: "letsencrypt.org" },
          { critical: false, tag: "issuewild", value: ";" },
        ],
        com: [],
      },
      MX: { "example.com": ["mail.example.com", "mx2.example.com"] },
      TXT: { "example.com": ["v=spf1 -all."] },
    });
  });

  it("gives up in time on a server that is silent, and says which question is open", async (t) => {
    const at = await server(t, {});
    const start = performance.now();
    const questions = { hosts: ["mail.silent.test"], certificateNames: [], aliases: [], domains: ["example.com"] };
    const facts = await dnsFacts(questions, [at], 300);
    assert.ok(performance.now() - start < 4000, "not after the resolver's own 5 s and more");
    assert.deepEqual(unansweredQuestions(facts), [
      "A mail.silent.test",
      "AAAA mail.silent.test",
      "CNAME mail.silent.test",
    ]);
    assert.deepEqual(recordsOf(facts.MX["example.com"]), []);
  });
});

describe("climb", () => {
  it("goes from the name, or a wildcard's parent, up to the top-level domain", () => {
    assert.deepEqual(climb("*.mail.example.com"), ["mail.example.com", "example.com", "com"]);
  });
});

describe("dockerHost", () => {
  const cases: readonly [string, Readonly<Record<string, string>>, Readonly<Record<string, string>>, string][] = [
    ["nothing said", {}, {}, "/var/run/docker.sock"],
    ["the environment", {}, { DOCKER_HOST: "unix:///run/user/1000/docker.sock" }, "/run/user/1000/docker.sock"],
    ["the configuration first", { "docker:host": "ssh://mx1" }, { DOCKER_HOST: "unix:///x" }, "ssh://mx1"],
    ["a context", { "docker:context": "mx1" }, {}, "the context mx1"],
  ];
  for (const [title, config, environment, expected] of cases) {
    it(`is told by ${title}`, () => {
      const host = dockerHost(config, environment);
      assert.equal(host.is === "local" ? host.socket : host.address, expected);
    });
  }
});

describe("access", () => {
  it("takes the provider's keys before the environment, and Cloudflare's own address by default", () => {
    const environment = { CLOUDFLARE_API_TOKEN: "from-environment", CLOUDFLARE_BASE_URL: "http://127.0.0.1:8080/v4/" };
    assert.deepEqual(access({ "cloudflare:apiToken": "from-config" }, environment), {
      address: "http://127.0.0.1:8080/v4",
      token: "from-config",
      globalKey: false,
    });
    assert.deepEqual(access({}, { CLOUDFLARE_API_KEY: "key" }), {
      address: "https://api.cloudflare.com/client/v4",
      token: undefined,
      globalKey: true,
    });
  });
});

describe("tokenFacts", () => {
  it("tells what the API grants, what it refuses, and where it is of no help", async (t) => {
    const plain = { name: "example.com", type: "TXT", content: '"x"' };
    const record = (id: number) => ({ ...plain, id: `${id}`, comment: null, created_on: "2026-11-22T12:00:00Z" });
    const full = Array.from({ length: 5000 }, (_, id) => record(id));
    const answers: Readonly<Record<string, readonly [status: number, body: object]>> = {
      "/user/tokens/verify": [401, { success: false, errors: [{ code: 1000, message: "Invalid API Token" }] }],
      "/accounts/a1/tokens/verify": [200, { success: true, result: { id: "1", status: "active" } }],
      "/zones/z1": [200, { success: true, result: { name: "example.com" } }],
      "/zones/z1/dns_records?per_page=5000&page=1": [200, { success: true, result: full }],
      "/zones/z1/dns_records?per_page=5000&page=2": [200, { success: true, result: [record(5000)] }],
      "/zones/z2": [403, { success: false, errors: [] }],
      "/zones/z2/dns_records?per_page=5000&page=1": [503, {}],
      "/accounts/a1/tokens?per_page=5": [200, { success: true, result: [] }],
    };
    const api = createServer((request, response) => {
      const [status, body] = answers[request.url ?? ""] ?? [404, {}];
      assert.equal(request.headers.authorization, "Bearer secret");
      response.writeHead(status).end(JSON.stringify(body));
    }).listen(0, "127.0.0.1");
    t.after(() => api.close());
    await once(api, "listening");
    const address = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    const question = { token: "secret", accountId: "a1", zoneIds: ["z1", "z2"], listing: true, makesToken: true };
    const { zones, ...other } = await tokenFacts(address, question, 2000);
    assert.deepEqual(other, {
      status: { is: "result", result: { id: "1", status: "active" } },
      tokens: { is: "result", result: [] },
    });
    assert.deepEqual(zones["z1"]?.zone, { is: "result", result: { name: "example.com" } });
    const all = zones["z1"].records.is === "result" ? zones["z1"].records.result : [];
    assert.equal(all.length, 5001);
    assert.deepEqual(all.at(-1), { ...plain, id: "5000", zoneId: "z1", createdOn: "2026-11-22T12:00:00Z" });
    assert.deepEqual(zones["z2"], {
      zone: { is: "refused", code: 403, why: "Forbidden" },
      records: { is: "unanswered", why: "it answered 503" },
    });
  });
});

describe("portFacts", () => {
  it("reads the engine's containers and the machine's listening sockets", async (t) => {
    const socket = join(folder, "docker.sock");
    const engine = createServer((request, response) => {
      assert.equal(request.url, "/containers/json?all=true");
      const published = { IP: "127.0.0.1", PrivatePort: 25, PublicPort: 12025, Type: "tcp" };
      const Ports = [published, { PrivatePort: 53, Type: "tcp" }, { ...published, Type: "udp" }];
      response.end(
        JSON.stringify([
          { Names: ["/mx1-postfix"], Labels: { "vectis.stack": "mx1", "vectis.pulumi-stack": "prod" }, Ports },
          { Names: ["/other"], Labels: null, Ports: [] },
        ]),
      );
    }).listen(socket);
    const listener = createTcpServer().listen(0, "127.0.0.1");
    t.after(() => [engine.close(), listener.close()]);
    await Promise.all([once(engine, "listening"), once(listener, "listening")]);
    const facts = await portFacts(socket, 2000);
    assert.deepEqual(facts?.containers, [
      { name: "mx1-postfix", owner: "mx1", pulumiStack: "prod", ports: [{ ip: "127.0.0.1", port: 12025 }] },
      { name: "other", owner: undefined, pulumiStack: undefined, ports: [] },
    ]);
    const { port } = listener.address() as AddressInfo;
    assert.ok(facts.listeners.some((found) => found.ip === "127.0.0.1" && found.port === port));
  });

  it("leaves an engine that does not answer to the provider", async () => {
    assert.equal(await portFacts(join(folder, "nothing.sock"), 2000), undefined);
  });
});

describe("parseSockets", () => {
  it("takes listening sockets only, of both families", () => {
    const table = [
      "  sl  local_address rem_address   st tx_queue rx_queue",
      "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000",
      "   1: 0100007F:8124 0100007F:0019 01 00000000:00000000",
      "   2: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0",
      "   3: B80D0120000000000000000019000000:0050 00000000000000000000000000000000:0000 0A 0:0",
    ].join("\n");
    assert.deepEqual(parseSockets(table), [
      { ip: "127.0.0.1", port: 25 },
      { ip: "::", port: 443 },
      { ip: "2001:db8::19", port: 80 },
    ]);
  });
});

describe("customFacts", () => {
  const file = (name: string) => join(folder, name);

  it("has the text and the mode of a file, and tells an absent file from one that is none", async () => {
    writeFileSync(file("key.pem"), "key");
    chmodSync(file("key.pem"), 0o640);
    mkdirSync(file("folder"));
    assert.deepEqual(await customFacts(file("absent.pem"), file("key.pem")), {
      certificate: { is: "absent" },
      key: { is: "text", text: "key", mode: 0o640 },
    });
    assert.deepEqual((await customFacts(file("folder"), file("key.pem"))).certificate, {
      is: "unreadable",
      why: "EISDIR",
    });
  });

  it("does not wait for the writer of a named pipe", async () => {
    execFileSync("mkfifo", ["-m", "0600", file("pipe")]);
    const { certificate } = await customFacts(file("pipe"), file("key.pem"));
    assert.deepEqual(certificate, { is: "text", text: "", mode: 0o600 });
  });
});
