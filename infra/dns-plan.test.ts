import assert from "node:assert/strict";
import { test } from "node:test";
import { printed } from "../components/zone-file.ts";
import { parseSettings } from "./config.ts";
import { besideAliases, type DnsPlan, dnsPlan } from "./dns-plan.ts";

const [one, two] = ["023e105f4ecef8ad9ca31a8372d0c353", "9a7806061c88ada191ed06f989cc3dac"];

function plan(config: Record<string, unknown> = {}, names: readonly string[] = ["mail.example.com"]): DnsPlan {
  const values: Record<string, unknown> = {
    domains: ["example.com"],
    tls: { provider: "letsencrypt" },
    dns: { provider: "cloudflare", zoneId: one },
    ...config,
  };
  const texts = Object.entries(values).map(
    ([key, value]) => [`vectis:${key}`, typeof value === "string" ? value : JSON.stringify(value)] as const,
  );
  return dnsPlan(parseSettings({ "vectis:hostname": "mail.example.com", ...Object.fromEntries(texts) }), names);
}
const text = (of: DnsPlan, name: string): string | undefined =>
  printed(of.records).find((record) => record.name === name)?.value;

test("reports go to the configured mailbox, else to the ACME account's, else to the domain's postmaster", () => {
  const cases: readonly [Record<string, unknown>, string][] = [
    [{}, "postmaster@example.com"],
    [{ tls: { provider: "letsencrypt", email: "admin@example.com" } }, "admin@example.com"],
    [{ dns: { reports: "reports@example.com" } }, "reports@example.com"],
  ];
  for (const [config, mailbox] of cases) {
    assert.equal(text(plan(config), "_smtp._tls.example.com"), `"v=TLSRPTv1; rua=mailto:${mailbox}"`);
    const iodef = printed(plan(config).records).find(({ value }) => value.startsWith("0 iodef"));
    assert.equal(iodef?.value, `0 iodef "mailto:${mailbox}"`);
  }
});

test("CAA names Let's Encrypt by its directory, another CA as configured, and none that is unknown", () => {
  const issue = (acme: Record<string, unknown>): (string | undefined)[] =>
    printed(plan({ tls: { provider: "letsencrypt", acme } }).records)
      .filter(({ value }) => value.startsWith("0 issue "))
      .map(({ value }) => value);
  assert.deepEqual(issue({}), ['0 issue "letsencrypt.org; validationmethods=http-01"']);
  assert.deepEqual(issue({ directory: "staging" }), issue({}));
  const directory = "https://ca.example/dir";
  assert.deepEqual(issue({ directory }), []);
  assert.deepEqual(issue({ directory, caaIdentity: "ca.example" }), [
    '0 issue "ca.example; validationmethods=http-01"',
  ]);
});

test("the records are the same with any DNS host; only zones say where the stack writes them itself", () => {
  const [elsewhere, written] = [plan({ dns: {} }), plan()];
  assert.deepEqual(elsewhere.records, written.records);
  assert.equal(elsewhere.zones, undefined);
  assert.deepEqual(written.zones?.ids, [one]);
});

test("every record goes to the zone that holds its name", () => {
  const { zones, records } = plan({
    domains: ["example.com", "example.net"],
    dns: { provider: "cloudflare", zones: { "example.com": one, "example.net": two } },
  });
  assert.ok(zones);
  assert.deepEqual([...zones.ids].sort(), [one, two]);
  for (const { name } of records) assert.equal(zones.idOf(name), name.endsWith("example.net") ? two : one);
});

test("switched off, MTA-STS leaves neither records nor hosts nor a policy", () => {
  const on = plan();
  assert.deepEqual(on.mtaStsHosts, ["mta-sts.example.com"]);
  assert.match(on.mtaStsPolicy ?? "", /^version: STSv1\nmode: testing\nmx: mail\.example\.com\n/);
  const off = plan({ dns: { mtaSts: "off" } });
  assert.deepEqual([off.mtaStsHosts, off.mtaStsPolicy], [[], undefined]);
  assert.ok(!off.records.some(({ name }) => name.includes("mta-sts")));
});

test("the challenge token is made for the zones of the ordered names alone, or brought by the operator", () => {
  const tls = { provider: "letsencrypt", challenge: "dns-01", names: ["*.example.net"] };
  const domains = ["example.com", "example.net", "example.org"];
  const zones = { "example.com": one, "example.net": two, "example.org": one.replace("0", "1") };
  const token = { allowedAddresses: ["192.0.2.25/32"], expiresOn: "2100-01-01T00:00:00Z" };
  const dns = { provider: "cloudflare", zones, token };
  const names = ["mail.example.com", "*.example.net"];
  assert.deepEqual(plan({ tls, domains, dns }, names).challengeToken, {
    from: "stack",
    tokenName: "vectis vectis dns-01",
    zoneIds: [one, two],
    accountId: undefined,
    ...token,
  });
  const accountId = "01a7362d577a6c3019a474fd6f485823";
  const owned = plan({ tls, domains, dns: { ...dns, accountId } }, names).challengeToken;
  assert.ok(owned?.from === "stack");
  assert.equal(owned.accountId, accountId);
  const own = "a".repeat(40);
  assert.deepEqual(plan({ tls, domains, dns, challengeToken: own }, names).challengeToken, {
    from: "operator",
    value: own,
  });
});

test("delegated challenges: aliases in the names' zones, and a token for the zone for challenges alone", () => {
  const tls = { provider: "letsencrypt", challenge: "dns-01", names: ["*.example.com", "example.com"] };
  const names = ["mail.example.com", "*.example.com", "example.com"];
  const challengeZone = { name: "example.net", zoneId: two };
  const dns = { provider: "cloudflare", zoneId: one, challengeZone };
  const delegated = plan({ tls, dns }, names);
  const target = "_acme-challenge.mail.example.com.example.net";
  assert.deepEqual(delegated.challenges, { names: ["_acme-challenge.example.com"], target }, "covered by the wildcard");
  assert.equal(text(delegated, "_acme-challenge.example.com"), `${target}.`);
  assert.deepEqual(delegated.zones?.ids, [one]);
  assert.ok(delegated.challengeToken?.from === "stack");
  assert.deepEqual(delegated.challengeToken.zoneIds, [two]);

  const elsewhere = { dns: { challengeZone }, tls: { ...tls, names: [] }, challengeToken: "a".repeat(40) };
  assert.equal(text(plan(elsewhere), "_acme-challenge.mail.example.com"), `${target}.`, "for any other DNS host");
  const waiting = plan({ dns });
  assert.deepEqual([waiting.challenges, text(waiting, "_acme-challenge.mail.example.com")], [undefined, undefined]);
});

test("without a challenge in DNS there is no token for one", () => {
  assert.equal(plan().challengeToken, undefined);
  assert.equal(plan({ challengeToken: "a".repeat(40) }).challengeToken, undefined);
});

const caaNames = ({ records }: Pick<DnsPlan, "records">): string[] => [
  ...new Set(records.flatMap(({ type, name }) => (type === "CAA" ? [name] : []))),
];

test("CAA stands at ordered names in the stack's zones, and at none of somebody else's", () => {
  const names = ["mail.example.com", "imap.example.com", "mail.customer.net", "mta-sts.example.com"];
  const tls = { provider: "letsencrypt", names: names.slice(1) };
  const zones = plan({ tls, dns: { provider: "cloudflare", zones: { "example.com": one } } }, names);
  assert.deepEqual(caaNames(zones), ["mail.example.com", "imap.example.com"], "mta-sts is an alias of the stack's");
  assert.deepEqual(zones.zones?.ids, [one]);
  assert.deepEqual(caaNames(plan({ tls }, names)), ["mail.example.com", "imap.example.com"]);
});

test("CAA for any other DNS host stands at the mail host and the domains: other names may be aliases there", () => {
  const names = ["mail.example.com", "imap.example.com", "example.com"];
  const of = plan({ tls: { provider: "letsencrypt", names: names.slice(1) }, dns: {} }, names);
  assert.deepEqual(caaNames(of), ["mail.example.com", "example.com"]);
});

test("an alias gets no CAA, unless other records are wanted at its name, which is an error", () => {
  const names = ["mail.example.com", "imap.example.com", "pop.example.com", "example.com"];
  const { records } = plan({ tls: { provider: "letsencrypt", names: names.slice(1) } }, names);
  const aliases = new Set(["imap.example.com", "example.com"]);
  const left = besideAliases(records, (name) => aliases.has(name));
  assert.deepEqual(caaNames({ records: left }), ["mail.example.com", "pop.example.com", "example.com"]);
  assert.deepEqual(
    besideAliases(records, () => false),
    records,
  );
});
