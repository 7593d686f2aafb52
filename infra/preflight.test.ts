// The checks before a change as the program runs them: one list, before the first resource.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import type { Finding } from "./checks/finding.ts";
import { parseSettings, type Settings } from "./config.ts";
import { dnsPlan } from "./dns-plan.ts";
import type { Access } from "./facts/cloudflare.ts";
import type { DockerHost } from "./facts/docker.ts";
import { gather, judge, recordsToMake, subject, type Facts, type Subject } from "./preflight.ts";
import { topology } from "./topology.ts";

const config = {
  "vectis:name": "mx1",
  "vectis:hostname": "mail.example.com",
  "vectis:domains": '["example.com","example.org"]',
  "vectis:tls": '{"provider":"letsencrypt"}',
  "vectis:publish": '{"address":"192.0.2.25","portOffset":1000}',
  "vectis:resolvers": '["127.0.0.1"]',
};

const settings = parseSettings(config);
const noAccess: Access = { address: "http://127.0.0.1:1", token: undefined, globalKey: false };
const local: DockerHost = { is: "local", socket: "/var/run/docker.sock" };
function subjectOf(of: Settings, access = noAccess): Subject {
  const plan = topology(of);
  return subject(of, plan, dnsPlan(of, plan.certificateNames), undefined, local, access, "prod");
}
const about = subjectOf(settings);
const nothing: Facts = {
  docker: local,
  ports: undefined,
  custom: undefined,
  dns: { A: {}, AAAA: {}, CNAME: {}, CAA: {}, MX: {}, TXT: {} },
  dane: undefined,
  served: undefined,
  tokens: {},
  now: Date.now(),
};
const keys = (findings: readonly Finding[]) => findings.map(({ severity, key }) => `${severity} ${key}`);

describe("subject", () => {
  it("is checked for each port that is published, at the address and with the offset of the configuration", () => {
    assert.deepEqual(
      about.ports.map(({ name, ip, port }) => `${name} ${ip} ${port}`),
      ["smtp", "http", "https", "submissions", "submission", "imaps", "pop3s"].map(
        (name, index) => `${name} 192.0.2.25 ${([25, 80, 443, 465, 587, 993, 995][index] ?? 0) + 1000}`,
      ),
    );
  });

  it("has both ACME clients' orders and Let's Encrypt's issuer name", () => {
    assert.deepEqual(about.acme?.issuer, { identity: "letsencrypt.org", accountUris: [] });
    assert.deepEqual(
      about.acme.orders.map(({ client, names, challenge }) => `${client} ${names.join()} ${challenge}`),
      ["Traefik mail.example.com http-01", "acme.sh mail.example.com http-01"],
    );
  });

  it("does not know the issuer name of a private CA, whose CAA records are not judged then", () => {
    const tls = '{"provider":"letsencrypt","acme":{"directory":"https://ca.example.com/dir"}}';
    const own = parseSettings({ ...config, "vectis:tls": tls });
    assert.equal(subjectOf(own).acme?.issuer, undefined);
  });
});

describe("a stack with zones at Cloudflare", () => {
  const zoneId = "023e105f4ecef8ad9ca31a8372d0c353";
  const rawOwn = {
    ...config,
    "vectis:domains": '["example.com"]',
    "vectis:dns": JSON.stringify({ provider: "cloudflare", zoneId }),
    "vectis:addresses": '["192.0.2.25"]',
  };
  const own = parseSettings({
    ...rawOwn,
    "vectis:tls": '{"provider":"letsencrypt","challenge":"dns-01","names":["*.example.com"]}',
    "vectis:challengeToken": "a-token-of-twenty-characters",
  });

  it("is not judged by DNS, where its own records are not yet before the first update", async () => {
    const found = { ...noAccess, globalKey: true };
    const checked = subjectOf({ ...own, challengeToken: undefined }, found);
    const facts = await gather(checked, { is: "local", socket: "/nothing.sock" }, found);
    assert.deepEqual(facts.dns, nothing.dns);
    assert.deepEqual(keys(judge(checked, facts)), ["note cloudflare:apiKey"]);
  });

  it("needs a token, unless it has an account's key", () => {
    const missing = (found: Access) => keys(judge(subjectOf(own, found), nothing));
    assert.deepEqual(missing(noAccess), ["error cloudflare:apiToken"]);
    assert.deepEqual(missing({ ...noAccess, globalKey: true }), ["note cloudflare:apiKey"]);
    assert.deepEqual(missing({ ...noAccess, token: "t" }), []);
  });

  it("has each token looked at for the names that it is needed for", () => {
    const { tokens } = subjectOf(own, { ...noAccess, token: "t" });
    assert.deepEqual(
      tokens.map(({ key, names, listing, makesToken }) => [key, Object.keys(names), listing, makesToken]),
      [
        ["cloudflare:apiToken", [zoneId], true, false],
        ["vectis:challengeToken", [zoneId], false, false],
      ],
    );
    assert.deepEqual(tokens[0]?.names[zoneId]?.slice(0, 2), ["mail.example.com", "example.com"]);
    assert.deepEqual(tokens[1]?.names[zoneId], ["mail.example.com", "*.example.com"]);
  });

  it("has the operator's token looked at for the zone for challenges where there is one", () => {
    const zone = { name: "example.net", zoneId: "9a7806061c88ada191ed06f989cc3dac" };
    const found = { ...noAccess, token: "t" };
    const names = (dns: Settings["dns"]) =>
      subjectOf({ ...own, dns: { ...dns, challengeZone: zone } }, found).tokens.map((use) => [use.key, use.names]);
    const target = "_acme-challenge.mail.example.com.example.net";
    assert.deepEqual(names(own.dns).at(-1), ["vectis:challengeToken", { [zone.zoneId]: [target] }]);
    const { ttl, mtaSts, dmarc, dane, spf } = own.dns;
    const elsewhere = names({ provider: "none", ttl, mtaSts, dmarc, dane, spf });
    assert.deepEqual(elsewhere, [["vectis:challengeToken", { [zone.zoneId]: [target] }]]);
  });

  it("needs a token that makes another where the operator has brought none", () => {
    const { tokens } = subjectOf({ ...own, challengeToken: undefined }, { ...noAccess, token: "t" });
    assert.deepEqual(
      tokens.map(({ key, makesToken }) => [key, makesToken]),
      [["cloudflare:apiToken", true]],
    );
  });

  it("has others' records judged that its token lists", () => {
    const found = { ...noAccess, token: "t" };
    const checked = subjectOf(own, found);
    const spf = { zoneId, id: "1", name: "example.com", type: "TXT", content: '"v=spf1 -all"' };
    const zone = { is: "result", result: { name: "example.com" } } as const;
    const status = { is: "result", result: { status: "active" } } as const;
    const listed = { status, zones: { [zoneId]: { zone, records: { is: "result", result: [spf] } } } } as const;
    const facts: Facts = { ...nothing, tokens: { "cloudflare:apiToken": listed } };
    assert.deepEqual(keys(judge(checked, facts)), ["error vectis:dns.spf"]);
  });

  it("has CAA made only where the zone's records show that the name is no alias", () => {
    const tls = JSON.stringify({ provider: "letsencrypt", names: ["imap.example.com"] });
    const checked = subjectOf(parseSettings({ ...rawOwn, "vectis:tls": tls }), { ...noAccess, token: "t" });
    const made = (facts: Partial<Facts>): boolean => {
      assert.ok(checked.zones);
      return recordsToMake(checked.zones, { ...nothing, ...facts }).some(({ name }) => name === "imap.example.com");
    };
    const alias = { zoneId, id: "1", name: "imap.example.com", type: "CNAME", content: "mail.example.com" };
    const listing = (...result: (typeof alias)[]): Facts["tokens"] => {
      const zone = { is: "result", result: { name: "example.com" } } as const;
      const status = { is: "result", result: { status: "active" } } as const;
      return { "cloudflare:apiToken": { status, zones: { [zoneId]: { zone, records: { is: "result", result } } } } };
    };
    assert.ok(made({ tokens: listing() }));
    assert.ok(!made({ tokens: listing(alias) }));
    assert.ok(!made({}), "nothing is known: with the account's key, zones are not listed");
    const { "cloudflare:apiToken": answered } = listing();
    assert.ok(answered);
    const records = { is: "unanswered", why: "it answered 503" } as const;
    const zone = answered.zones[zoneId]?.zone;
    assert.ok(zone);
    const silent = { "cloudflare:apiToken": { ...answered, zones: { [zoneId]: { zone, records } } } };
    const found = judge(checked, { ...nothing, tokens: silent });
    assert.ok(
      found.some(
        ({ severity, problem }) => severity === "error" && /whether imap\.example\.com may have/.test(problem),
      ),
      "an update that does not know would be undone by the next one",
    );
    assert.deepEqual(keys(judge(checked, { ...nothing, tokens: listing(alias) })), []);
  });

  it("hears of an API that does not answer, once for each token", async () => {
    const found = { ...noAccess, token: "t" };
    const checked = subjectOf(own, found);
    const facts = await gather(checked, { is: "local", socket: "/nothing.sock" }, found);
    assert.deepEqual(keys(judge(checked, facts)), ["warning cloudflare:apiToken", "warning vectis:challengeToken"]);
  });
});

describe("a stack that enforces its MTA-STS policy", () => {
  const enforcing = (tls: object) =>
    subjectOf(parseSettings({ ...config, "vectis:dns": '{"mtaSts":"enforce"}', "vectis:tls": JSON.stringify(tls) }));

  it("has what port 25 serves looked at, and its CA judged by what the configuration tells", async () => {
    const directory = (url: string) => ({ provider: "letsencrypt", acme: { directory: url } });
    const signers = [
      { provider: "letsencrypt" },
      directory("https://acme-staging-v02.api.letsencrypt.org/directory"),
      directory("https://ca.example.com/dir"),
      { provider: "internal" },
    ].map((tls) => enforcing(tls).enforce?.signer);
    assert.deepEqual(signers, ["public", "staging", "unknown", "stack"]);
    const checked = { ...enforcing({ provider: "letsencrypt" }), smtp: { mailHost: "", host: "127.0.0.1", port: 1 } };
    const facts = await gather({ ...checked, resolvers: [] }, { is: "local", socket: "/nothing.sock" }, noAccess);
    assert.ok(facts.served && "unanswered" in facts.served);
    assert.ok(keys(judge(checked, facts)).includes("warning vectis:dns.mtaSts"));
  });
});

describe("a stack with the operator's own certificate", () => {
  const tls =
    '{"provider":"custom","certPath":"/c/fullchain.pem","keyPath":"/c/privkey.pem","names":["imap.example.com"]}';

  it("has its files checked for all names, and orders nothing", () => {
    const { custom, acme } = subjectOf(parseSettings({ ...config, "vectis:tls": tls }));
    assert.deepEqual(custom, {
      certPath: "/c/fullchain.pem",
      keyPath: "/c/privkey.pem",
      names: ["mail.example.com", "imap.example.com"],
      policyHosts: [],
    });
    assert.equal(acme, undefined);
  });

  it("has them checked for the hosts of the MTA-STS policy too where the stack announces one", () => {
    const dns = '{"provider":"cloudflare","zones":{"example.com":"023e105f4ecef8ad9ca31a8372d0c353"}}';
    const own = { ...config, "vectis:domains": '["example.com"]', "vectis:dns": dns, "vectis:tls": tls };
    assert.deepEqual(subjectOf(parseSettings(own)).custom?.policyHosts, ["mta-sts.example.com"]);
  });
});

describe("judge", () => {
  it("finds nothing where nothing is known to be wrong", () => {
    assert.deepEqual(judge(about, nothing), []);
  });

  it("puts the findings of all checks into one list", () => {
    const wrong: Subject = {
      ...about,
      extraNames: ["*.example.com", "imap.example.com"],
      addresses: ["192.0.2.25"],
      custom: { certPath: "/c/fullchain.pem", keyPath: "/c/privkey.pem", names: ["mail.example.com"], policyHosts: [] },
    };
    const facts: Facts = {
      ...nothing,
      ports: { containers: [], listeners: [{ ip: "0.0.0.0", port: 1993 }] },
      custom: { certificate: { is: "absent" }, key: { is: "denied" } },
      dns: {
        A: { "mail.example.com": ["192.0.2.99"], "imap.example.com": [] },
        AAAA: { "mail.example.com": [], "imap.example.com": [] },
        CNAME: { "mail.example.com": ["vm.example.net"] },
        CAA: { "example.com": [{ critical: false, tag: "issue", value: "digicert.com" }] },
        MX: { "example.com": ["mail.example.com"], "example.org": [] },
        TXT: { "example.com": ["v=spf1 -all", "v=spf1 mx -all"], "example.org": { unanswered: "ETIMEOUT" } },
      },
    };
    assert.deepEqual(keys(judge(wrong, facts)), [
      "error vectis:tls.certPath",
      "warning vectis:tls.keyPath",
      "error vectis:tls.names",
      "error vectis:tls.names",
      "error vectis:publish.portOffset",
      "error vectis:tls.acme.directory",
      "error vectis:tls.acme.directory",
      "error vectis:addresses",
      "warning vectis:addresses",
      "warning vectis:tls.names",
      "error vectis:hostname",
      "warning vectis:domains",
      "warning vectis:domains",
      "warning vectis:resolvers",
    ]);
  });

  it("says what cannot be seen on a remote Docker host", () => {
    const facts: Facts = { ...nothing, docker: { is: "remote", address: "ssh://mx1" } };
    const custom = { certPath: "/c/fullchain.pem", keyPath: "/c/privkey.pem", names: [], policyHosts: [] };
    assert.deepEqual(
      [judge(about, facts), judge({ ...about, custom }, facts)].map(([finding]) => finding?.problem),
      [
        "is ssh://mx1: ports in use there are not checked from here",
        "is ssh://mx1: ports in use there are not checked from here, and the sidecar checks the certificate's files there " +
          "before it publishes them",
      ],
    );
  });
});

describe("the program", () => {
  it("ends with the list before it declares any resource", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "vectis-preflight-"));
    const socket = join(folder, "docker.sock");
    const Ports = [1025, 1993].map((PublicPort) => ({ IP: "0.0.0.0", PublicPort, Type: "tcp" }));
    const engine = createServer((_, response) =>
      response.end(JSON.stringify([{ Names: ["/old-mail"], Labels: {}, Ports }])),
    );
    t.after(() => (engine.close(), rmSync(folder, { recursive: true })));
    await once(engine.listen(socket), "listening");
    const declared: string[] = [];
    await pulumi.runtime.setMocks(
      {
        newResource: ({ type, name, inputs }) => {
          declared.push(type);
          return { id: name, state: inputs as Record<string, unknown> };
        },
        call: () => ({}),
      },
      "vectis",
      "test",
    );
    pulumi.runtime.setAllConfig({ ...config, "docker:host": `unix://${socket}` });
    await assert.rejects(import("./index.ts"), (thrown: Error) => {
      assert.ok(pulumi.RunError.isInstance(thrown), "printed without a stack trace");
      assert.match(thrown.message, /^the checks before the update found \d problems:\n/);
      assert.match(
        thrown.message,
        /vectis:publish\.portOffset 1000 puts smtp on 192\.0\.2\.25:1025, which the container old-mail/,
      );
      assert.match(
        thrown.message,
        /vectis:publish\.portOffset 1000 puts imaps on 192\.0\.2\.25:1993, which the container old-mail/,
      );
      return true;
    });
    assert.deepEqual(declared, []);
  });
});
