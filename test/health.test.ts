// The health API as an operator uses it: over 443, with the token and without, while all is well and while it is not.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request } from "node:https";
import { before, describe, it } from "node:test";
import type { Health } from "../certd/health.ts";
import { handshake } from "../cli/probe.ts";
import { tlsServices, type Target } from "../cli/verdict.ts";
import { mtaStsId } from "../components/mail-records.ts";
import { docker } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { roles, type Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

/** As Pulumi.dev.yaml has it. */
const token = "dev-health-token";

let site: Site;
let target: Target;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** The guide's curl line, with the chain verified. */
function ask(path: string, authorization?: string): Promise<Answer> {
  const { host, port } = target.endpoints.https;
  const headers = { host: target.hostname, ...(authorization === undefined ? {} : { authorization }) };
  const options = { host, port, path, headers, servername: target.hostname, ca: target.ca, agent: false };
  return new Promise((resolve, reject) => {
    request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on("error", reject);
    })
      .on("error", reject)
      .end();
  });
}

/** An answer that the rate limit let through. */
function answered(path: string, authorization?: string): Promise<Answer> {
  return until("an answer within the rate limit", async () => {
    const answer = await ask(path, authorization);
    return answer.status !== 429 && answer;
  });
}

async function report(): Promise<Health> {
  return JSON.parse((await answered("/api/v1/health", `Bearer ${token}`)).text) as Health;
}

describe("the health API", () => {
  before(async () => {
    site = await sharedSite();
    target = await site.target();
    await site.healthy();
  });

  it("reports both certificates and what every port serves, and 200 while all is well (S17)", async () => {
    const { status, text } = await answered("/api/v1/health", `Bearer ${token}`);
    assert.equal(status, 200, text);
    const { state, certificates, ports, order, renewal, hostname } = JSON.parse(text) as Health;
    assert.deepEqual([state, hostname], ["ok", target.hostname]);
    const serials = await site.serials();
    const upper = (serial: string | null | undefined): string | undefined => serial?.toUpperCase();
    assert.equal(upper(certificates.mail?.serial), serials[993]);
    assert.equal(upper(certificates.https?.serial), serials[443]);
    assert.equal(certificates.https?.source, "traefik");
    assert.equal(`generations/${String(certificates.mail?.generation).padStart(6, "0")}`, await site.generation());
    assert.deepEqual(
      ports.map(({ port, ok, serial }) => [port, ok, upper(serial)]),
      tlsServices.map(({ port }) => [port, true, serials[port]]),
    );
    assert.equal(order.last?.ok, true);
    assert.ok(Date.parse(renewal?.at ?? "") > Date.now());
  });

  it("follows the window that the CA suggests (B10)", async () => {
    const { renewal } = await until("the CA's window", async () => {
      const found = await report();
      return found.renewal?.basis === "ari" && found;
    });
    const [start, at, end] = [renewal?.window?.start, renewal?.at, renewal?.window?.end].map((time) =>
      Date.parse(time ?? ""),
    );
    assert.ok(start !== undefined && at !== undefined && end !== undefined && start <= at && at <= end);
  });

  it("answers 401 without the token and with a wrong one, and tells nothing (S17)", async () => {
    for (const header of [undefined, "Bearer wrong", `Bearer ${token}x`, `Basic ${token}`]) {
      for (const path of ["/api/v1/health", "/metrics"]) {
        const { status, headers, text } = await answered(path, header);
        assert.equal(status, 401, `${path} with ${header}`);
        assert.match(String(headers["www-authenticate"]), /^Bearer/);
        assert.doesNotMatch(text, /serial|generation/);
      }
    }
  });

  it("gives Prometheus the same facts (B14)", async () => {
    const { status, text } = await answered("/metrics", `Bearer ${token}`);
    assert.equal(status, 200);
    for (const { port } of tlsServices)
      assert.match(text, new RegExp(`^vectis_port_ok\\{port="${port}",.*\\} 1$`, "m"));
    assert.match(text, /^vectis_state\{state="ok"\} 1$/m);
  });

  it("shows people the same facts as a page, for the token as password (B14)", async () => {
    const basic = (password: string): string => `Basic ${Buffer.from(`anybody:${password}`).toString("base64")}`;
    for (const header of [undefined, basic("wrong"), `Bearer ${token}`]) {
      const { status, headers, text } = await answered("/status", header);
      assert.equal(status, 401);
      assert.match(String(headers["www-authenticate"]), /^Basic/);
      assert.ok(!text.includes(target.hostname));
    }
    const { status, headers, text } = await answered("/status", basic(token));
    assert.equal(status, 200);
    assert.match(String(headers["content-security-policy"]), /^default-src 'none'/);
    assert.match(text, />All is well</);
    const { certificates, ports } = await report();
    for (const { serial, port } of ports) {
      assert.ok(text.includes(`<th scope="row">${port}</th>`), `port ${port}`);
      assert.ok(serial !== null && text.includes(`<td>${serial}</td>`), `what ${port} serves`);
    }
    assert.ok(text.includes(`generation ${certificates.mail?.generation},`));
  });

  it("limits the rate before a token is looked at, so that none can be guessed (S17)", async () => {
    const start = performance.now();
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask("/api/v1/health", "Bearer guess")));
    const seconds = (performance.now() - start) / 1000;
    const through = answers.filter(({ status }) => status === 401).length;
    assert.ok(answers.every(({ status }) => status === 401 || status === 429));
    assert.ok(through <= 10 + Math.ceil(seconds) + 1, `${through} of 60 came through in ${seconds.toFixed(1)} s`);
    assert.equal((await answered("/api/v1/health", `Bearer ${token}`)).status, 200);
  });

  it("is reached on 443 alone, and has the token's hash instead of the token", async () => {
    for (const role of roles) {
      const { stdout } = { stdout: await docker("container", "inspect", site.containers[role]) };
      assert.ok(!stdout.includes(token), role);
      assert.ok(!stdout.includes('"8081/tcp"'), role);
    }
    const file = "/etc/vectis/secrets/health-token.sha256";
    assert.equal(await site.exec("acme", "cat", file), createHash("sha256").update(token).digest("hex"));
    assert.equal(await site.exec("acme", "stat", "-c", "%a %u", file), "600 0");
  });

  it("answers 503 and names the ports when a service is gone, and 200 again when it is back (B4)", async () => {
    await docker("stop", "--time", "10", site.containers.dovecot);
    try {
      const broken = await until("503", async () => {
        const answer = await ask("/api/v1/health", `Bearer ${token}`);
        return answer.status === 503 && (JSON.parse(answer.text) as Health);
      });
      assert.equal(broken.state, "not-served");
      const failing = broken.ports.filter(({ ok }) => !ok);
      assert.ok(failing.length > 0 && failing.every(({ service, error }) => service === "dovecot" && error !== null));
    } finally {
      await docker("start", site.containers.dovecot);
    }
    await until("200", async () => (await ask("/api/v1/health", `Bearer ${token}`)).status === 200);
    await site.asExpected();
  });
});

describe("the MTA-STS policy", () => {
  it("is served at the policy host, under a certificate of its own, and is the one that DNS announces (B6)", async () => {
    const policy = await site.policy();
    assert.match(policy, /^version: STSv1\nmode: testing\nmx: mail\.vectis\.test\nmax_age: \d+\n$/);
    const [record = ""] = await site.lab.dig("_mta-sts.vectis.test", "TXT");
    assert.ok(record.includes(`id=${mtaStsId(policy)};`), record);
    const { leaf, distrust } = await handshake(target.endpoints.https, {
      hostname: "mta-sts.vectis.test",
      ca: target.ca ?? "",
    });
    assert.equal(distrust, undefined);
    assert.deepEqual(leaf.names, ["mta-sts.vectis.test"]);
  });
});
