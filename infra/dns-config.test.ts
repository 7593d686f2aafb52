import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, parseSettings, type Settings } from "./config.ts";
import { isInZones, zoneIdOf, zoneNames } from "./dns-config.ts";

const one = "023e105f4ecef8ad9ca31a8372d0c353";
const two = "9a7806061c88ada191ed06f989cc3dac";

const raw = (dns: unknown, more: Record<string, unknown> = {}): Record<string, string> => {
  const values: Record<string, unknown> = { domains: ["example.com"], tls: { provider: "letsencrypt" }, dns, ...more };
  const texts = Object.entries(values).map(([key, value]) => [`vectis:${key}`, JSON.stringify(value)]);
  return { "vectis:hostname": "mail.example.com", ...Object.fromEntries(texts) } as Record<string, string>;
};
const settings = (dns: unknown, more?: Record<string, unknown>): Settings => parseSettings(raw(dns, more));

function problems(dns: unknown, more?: Record<string, unknown>): readonly string[] {
  try {
    settings(dns, more);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test("without a provider the records are still decided, by safe defaults", () => {
  const expected = {
    provider: "none",
    ttl: 300,
    mtaSts: "testing",
    dmarc: "quarantine",
    dane: "off",
    spf: "v=spf1 mx -all",
  };
  assert.deepEqual(settings({}).dns, expected, "the empty default of Pulumi.yaml");
  assert.deepEqual(settings({ provider: "none" }).dns, expected);
  assert.deepEqual(settings({}).addresses, []);
});

test("one zone for all names, or zones by name of which the longest that fits is taken", () => {
  const single = settings({ provider: "cloudflare", zoneId: one }).dns;
  assert.ok(single.provider === "cloudflare");
  assert.equal(zoneIdOf(single, "mail.example.com"), one);
  const zones = { "example.com": one, "mail.example.com": two };
  const several = settings({ provider: "cloudflare", zones }).dns;
  assert.ok(several.provider === "cloudflare");
  assert.equal(zoneIdOf(several, "mail.example.com"), two);
  assert.equal(zoneIdOf(several, "imap.mail.example.com"), two);
  assert.equal(zoneIdOf(several, "webmail.example.com"), one);
  assert.equal(zoneIdOf(several, "myexample.com"), undefined);
});

test("a name is in the stack's zones by their names, or by what all names of the one zone have in common", () => {
  const held = (dns: object, more: Record<string, unknown> = {}): string[] => {
    const own = settings({ provider: "cloudflare", ...dns }, more);
    const { dns: config } = own;
    assert.ok(config.provider === "cloudflare");
    const asked = ["mail.example.com", "imap.example.com", "example.com", "mail.example.net", "imap.corp.example.com"];
    return asked.filter((name) => isInZones(config, zoneNames(own), name));
  };
  const below = ["mail.example.com", "imap.example.com", "example.com", "imap.corp.example.com"];
  assert.deepEqual(held({ zones: { "example.com": one } }), below);
  assert.deepEqual(held({ zoneId: one }), below);
  assert.deepEqual(
    held({ zoneId: one }, { domains: ["mail.example.com"] }),
    ["mail.example.com"],
    "nothing more is sure",
  );
  const tls = { provider: "letsencrypt", challenge: "dns-01", names: ["*.example.com"] };
  assert.deepEqual(held({ zoneId: one }, { domains: ["mail.example.com"], tls }), below, "it is proven in that zone");
});

test("a zone for challenges alone holds no name of the mail host, and its token is somebody's", () => {
  const dnsChallenge = { tls: { provider: "letsencrypt", challenge: "dns-01" } };
  const own = { challengeToken: "a".repeat(40) };
  const zone = { name: "example.net", zoneId: two };
  const cloudflare = { provider: "cloudflare", zoneId: one, challengeZone: zone };
  assert.deepEqual(problems(cloudflare, dnsChallenge), []);
  assert.deepEqual(problems({ challengeZone: zone }, { ...dnsChallenge, ...own }), []);
  const cases: readonly [unknown, Record<string, unknown>, RegExp][] = [
    [
      { challengeZone: zone },
      {},
      /^vectis:challengeToken is needed .* Zone > DNS > Edit on example\.net by `pulumi config/,
    ],
    [
      { challengeZone: { ...zone, name: "example.com" } },
      own,
      /^vectis:dns\.challengeZone is example\.com, which holds mail\./,
    ],
    [
      { ...cloudflare, challengeZone: { ...zone, zoneId: one } },
      {},
      /^vectis:dns\.challengeZone has the id of a zone with mail/,
    ],
    [{ challengeZone: { name: "example.net" } }, own, /^vectis:dns\.challengeZone\.zoneId /],
    [
      {
        challengeZone: { ...zone, name: `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(40)}.net` },
      },
      own,
      /^vectis:dns\.challengeZone\.name makes a name of 2\d\d characters, and 253 is the limit/,
    ],
  ];
  for (const [dns, more, expected] of cases) {
    const [first = "", ...others] = problems(dns, { ...dnsChallenge, ...more });
    assert.match(first, expected);
    assert.deepEqual(others, []);
  }
});

test("a zone has to be named once, and to hold every name", () => {
  const domains = { domains: ["example.com", "example.net"] };
  const cases: readonly [unknown, Record<string, unknown>, RegExp][] = [
    [{ provider: "cloudflare" }, {}, /^vectis:dns needs either zoneId .* or zones .* for example/],
    [{ provider: "cloudflare", zoneId: one, zones: {} }, {}, /^vectis:dns needs either zoneId/],
    [{ provider: "cloudflare", zones: {} }, {}, /^vectis:dns\.zones has no zone for mail\.example\.com; add it, for/],
    [
      { provider: "cloudflare", zoneId: one },
      domains,
      /^vectis:dns\.zoneId is one zone, which cannot hold both mail\.example\.com and example\.net; use vectis:dns\.zones/,
    ],
    [
      { provider: "cloudflare", zones: { "example.com": one } },
      domains,
      /^vectis:dns\.zones has no zone for example\.net; add it, for example/,
    ],
  ];
  for (const [dns, more, expected] of cases) assert.match(problems(dns, more)[0] ?? "none", expected);
});

test("every wrong value is named at once, with a good one", () => {
  const found = problems(
    {
      provider: "cloudflare",
      zoneId: one.toUpperCase(),
      accountId: "me",
      ttl: "30",
      reports: "postmaster",
      mtaSts: "on",
      dmarc: "strict",
      spf: "mx",
      token: { allowedAddresses: ["192.0.2.25", "192.0.2.0/33"], expiresOn: "2020-01-01T00:00:00Z" },
      typo: 1,
    },
    {
      addresses: ["192.0.2.25", "mail"],
      tls: { provider: "letsencrypt", acme: { caaIdentity: "https://ca", accountUris: ["https://ca/acct/1;x"] } },
    },
  );
  for (const expected of [
    /^vectis:dns\.zoneId must be 32 hexadecimal digits in lower case, for example/,
    /^vectis:dns\.accountId must be 32 hexadecimal digits/,
    /^vectis:dns\.ttl must be a whole number from 60 to 86400, for example 300$/,
    /^vectis:dns\.reports must be an e-mail address, for example/,
    /^vectis:dns\.mtaSts must be testing, enforce, none or off$/,
    /^vectis:dns\.dmarc must be none, quarantine or reject$/,
    /^vectis:dns\.spf must be an SPF record/,
    /^vectis:dns\.token\.allowedAddresses\.0 must be an address range in CIDR notation, for example 192\.0\.2\.25\/32$/,
    /^vectis:dns\.token\.allowedAddresses\.1 must be an address range/,
    /^vectis:dns\.token\.expiresOn must be a time to come/,
    /^vectis:dns\.typo is not a key of this stack/,
    /^vectis:addresses\.1 must be an IP address, for example/,
    /^vectis:tls\.acme\.caaIdentity must be a lower-case domain name, for example/,
    /^vectis:tls\.acme\.accountUris\.0 must be the https URL of an ACME account, for example/,
  ]) {
    assert.equal(
      found.filter((problem) => expected.test(problem)).length,
      1,
      `${expected.source} in\n${found.join("\n")}`,
    );
  }
  assert.equal(found.length, 14);
});

test("a provider that this stack does not know is refused by its own key", () => {
  assert.match(problems({ provider: "route53" })[0] ?? "", /^vectis:dns\.provider must be .*none or cloudflare/);
  assert.match(problems({ provider: "none", zoneId: one })[0] ?? "", /^vectis:dns\.zoneId is not a key/);
});

test("an address that is listed twice is refused: it would make one record twice", () => {
  assert.match(
    problems({}, { addresses: ["192.0.2.25", "192.0.2.25"] })[0] ?? "",
    /^vectis:addresses names an address twice/,
  );
  assert.match(
    problems({}, { addresses: ["2001:db8::1", "2001:db8:0::1"] })[0] ?? "",
    /^vectis:addresses names an address twice/,
  );
});

test("a token is one text, and never repeated in a message", () => {
  const given = { ...raw({}), "vectis:challengeToken": "two words and more" };
  assert.throws(
    () => parseSettings(given),
    (error: unknown) =>
      error instanceof ConfigError &&
      /vectis:challengeToken must be one API token/.test(error.message) &&
      !error.message.includes("two words"),
  );
  assert.equal(parseSettings({ ...raw({}), "vectis:challengeToken": "a".repeat(40) }).challengeToken, "a".repeat(40));
});
