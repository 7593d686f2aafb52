// The lab's stand-in for the Cloudflare API, in use: what it publishes resolves and validates, acme.sh's own dns_cf runs
// against it, and tokens open what they say and nothing else.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { written, type Bag } from "../lab/providers/protocol/value.ts";
import { BareAcme } from "./support/bare-acme.ts";
import type { CloudflareApi } from "./support/cloudflare.ts";
import { docker, inspect } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import type { Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

/** Beside whatever the stack has in its own zone. */
const zone = "vectis-two.test";
const mail = "mail.vectis-two.test";

let site: Site;
let api: CloudflareApi;
/** In each suite: a hook outside of them would run before the first suite of every file, beside that one's own. */
async function ready(): Promise<void> {
  site = await sharedSite();
  api = site.lab.cloudflare;
}

/** Runs `work` with a record that is gone afterwards. */
async function withRecord(record: Bag, work: (id: string) => Promise<void>): Promise<void> {
  const { id } = await api.addRecord(zone, { ttl: 60, ...record });
  try {
    await work(id);
  } finally {
    await api.ask("DELETE", `/zones/${api.zoneId(zone)}/dns_records/${id}`);
  }
}

async function withToken(
  [groups, more]: readonly [groups: readonly string[], more?: Bag],
  work: (value: string) => Promise<void>,
): Promise<void> {
  const { id, value } = await api.createToken(groups, [zone], more);
  try {
    await work(value);
  } finally {
    await api.removeToken(id);
  }
}

async function restart(container: string): Promise<void> {
  await docker("restart", container);
  await until(`${container} healthy`, async () => (await inspect(container)).State.Health?.Status === "healthy");
}

describe("What the API is told", () => {
  before(ready);

  const hex = "0123456789abcdef".repeat(4);
  const table: readonly [record: Bag, answer: string][] = [
    [{ type: "A", name: mail, content: "192.0.2.25" }, "192.0.2.25"],
    [{ type: "AAAA", name: mail, content: "2001:db8::25" }, "2001:db8::25"],
    [{ type: "CNAME", name: `mta-sts.${zone}`, content: mail }, `${mail}.`],
    [{ type: "MX", name: zone, content: mail, priority: 10 }, `10 ${mail}.`],
    [{ type: "TXT", name: zone, content: '"v=spf1 mx -all"' }, '"v=spf1 mx -all"'],
    [
      { type: "TXT", name: `k._domainkey.${zone}`, content: `"${"a".repeat(300)}"` },
      `"${"a".repeat(255)}" "${"a".repeat(45)}"`,
    ],
    [{ type: "CAA", name: zone, data: { flags: 0, tag: "issue", value: "ca.test" } }, '0 issue "ca.test"'],
    [
      { type: "SRV", name: `_imaps._tcp.${zone}`, data: { priority: 0, weight: 1, port: 993, target: mail } },
      `0 1 993 ${mail}.`,
    ],
    [
      { type: "TLSA", name: `_25._tcp.${mail}`, data: { usage: 3, selector: 1, matching_type: 1, certificate: hex } },
      `3 1 1 ${hex.toUpperCase()}`,
    ],
  ];
  for (const [record, expected] of table) {
    const [type, name] = [written(record["type"]), written(record["name"])];
    test(`is answered by the zone's server, signed, and validated by the resolver: ${type} ${name}`, async () => {
      await withRecord(record, async () => {
        const [answer, signature] = await site.lab.dig(name, type, "+dnssec", "+norec");
        assert.equal(answer?.trim(), expected);
        assert.match(signature ?? "", new RegExp(`^${type} 13 .* ${zone.replace(".", "\\.")}\\. `));
        assert.match(await whole(name, type, `@${site.lab.resolver}`), /Flags: [a-z ]*\bad\b/);
      });
      assert.deepEqual(await site.lab.dig(name, type), []);
    });
  }

  /** The whole answer as kdig prints it. */
  const whole = (name: string, type: string, server: string): Promise<string> =>
    docker("exec", `${site.lab.name}-dns`, "kdig", server, "+dnssec", name, type);

  test("may be a delegation", async () => {
    await withRecord({ type: "NS", name: `sub.${zone}`, content: `ns.${zone}` }, async () => {
      const answer = await whole(`mail.sub.${zone}`, "A", "@127.0.0.1");
      assert.match(answer, /AUTHORITY SECTION:\nsub\.vectis-two\.test\.\s+60\s+IN\s+NS\s+ns\.vectis-two\.test\./);
    });
  });

  test("that a name does not exist is validated too", async () => {
    const answer = await whole(`nothing.${zone}`, "A", `@${site.lab.resolver}`);
    assert.match(answer, /status: NXDOMAIN/);
    assert.match(answer, /Flags: [a-z ]*\bad\b/);
  });

  test("survives a restart of the API, and one of the server", async () => {
    await withRecord({ type: "TXT", name: `kept.${zone}`, content: '"kept"' }, async (id) => {
      for (const container of [api.container, `${site.lab.name}-dns`]) {
        await restart(container);
        const { content } = (await api.must("GET", `/zones/${api.zoneId(zone)}/dns_records/${id}`)) as Bag;
        assert.equal(content, '"kept"');
        assert.deepEqual(await site.lab.dig(`kept.${zone}`, "TXT"), ['"kept"']);
      }
    });
    assert.deepEqual(await site.lab.dig(`kept.${zone}`, "TXT"), []);
  });

  test("reaches the server once it is back, when it was away", async () => {
    const server = `${site.lab.name}-dns`;
    await docker("stop", server);
    let made: { id: string } | undefined;
    try {
      made = await api.addRecord(zone, { type: "TXT", name: `late.${zone}`, content: '"late"', ttl: 60 });
    } finally {
      await docker("start", server);
    }
    await until("the record in DNS", async () => (await site.lab.dig(`late.${zone}`, "TXT")).includes('"late"'));
    await api.removeRecord(zone, made.id);
  });
});

describe("acme.sh's own dns_cf", () => {
  before(ready);

  async function order(token: string, ...names: readonly string[]): Promise<string> {
    const acme = new BareAcme(site, token, api.zoneId(zone));
    try {
      return await acme.order(...names);
    } finally {
      await acme.remove();
    }
  }

  const challenge = `_acme-challenge.${mail}`;
  const calls = async () =>
    (await api.requests()).filter(({ via }) => via === "https").map(({ method, status }) => `${method} ${status}`);

  test("gets a certificate for a name and its wildcard with a token for that zone, and leaves no record", async () => {
    await withToken([["DNS Write", "Zone Read"]], async (token) => {
      await api.forget();
      const output = await order(token, mail, `*.${mail}`);
      assert.match(output, /Cert success/);
      assert.match(output, /^code 0$/m);
    });
    assert.deepEqual(await site.lab.dig(challenge, "TXT"), []);
    const made = ["GET 200", "GET 200", "POST 200"];
    const removed = ["GET 200", "GET 200", "DELETE 200"];
    assert.deepEqual(await calls(), [...made, ...made, ...removed, ...removed]);
  });

  const refusals: readonly [what: string, groups: readonly string[], zone: string, more: Bag, call: string][] = [
    ["for another zone", ["DNS Write", "Zone Read"], "vectis.test", {}, "GET 403"],
    ["that may not read the zone", ["DNS Write"], zone, {}, "GET 403"],
    [
      "for another address",
      ["DNS Write", "Zone Read"],
      zone,
      { condition: { request_ip: { in: ["192.0.2.1/32"] } } },
      "GET 403",
    ],
  ];
  for (const [what, groups, granted, more, call] of refusals) {
    test(`gets nothing with a token ${what}`, async () => {
      const { id, value } = await api.createToken(groups, [granted], more);
      try {
        await api.forget();
        const output = await order(value, mail);
        assert.match(output, /invalid domain/);
        assert.match(output, /^code 1$/m);
        assert.ok((await calls()).every((made) => made === call));
      } finally {
        await api.removeToken(id);
      }
      assert.deepEqual(await api.records(zone), []);
    });
  }
});

describe("The API, when a test wants it to fail", () => {
  before(ready);

  const path = () => `/zones/${api.zoneId(zone)}/dns_records`;

  test("asks to wait, so many times", async () => {
    await api.fault({ status: 429, retryAfter: "5", count: 2, path: "/dns_records$" });
    for (let time = 0; time < 2; time++) {
      const { status, errors, retryAfter } = await api.ask("GET", path());
      assert.deepEqual([status, errors[0]?.code, retryAfter], [429, 971, "5"]);
    }
    assert.equal((await api.ask("GET", path())).status, 200);
  });

  test("closes connections, is slow, or is late in DNS", async () => {
    try {
      await api.fault({ down: true });
      await assert.rejects(api.ask("GET", path()), /fetch failed/);
      await api.fault({ delay: 700 });
      const start = performance.now();
      await api.ask("GET", path());
      assert.ok(performance.now() - start >= 700);
      await api.fault({ publishAfter: 700 });
      await withRecord({ type: "TXT", name: `late.${zone}`, content: '"late"' }, async () => {
        assert.deepEqual(await site.lab.dig(`late.${zone}`, "TXT"), []);
        await until("the record in DNS", async () => (await site.lab.dig(`late.${zone}`, "TXT")).includes('"late"'));
      });
    } finally {
      await api.heal();
    }
    await until("the zone empty", async () => (await site.lab.dig(`late.${zone}`, "TXT")).length === 0);
  });
});
