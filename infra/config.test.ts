import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { ConfigError, configKeys, parseSettings } from "./config.ts";

const good = {
  "vectis:hostname": "mail.example.com",
  "vectis:domains": '["example.com"]',
  "vectis:tls": '{"provider":"letsencrypt","email":"admin@example.com"}',
};

function problems(raw: Record<string, string>): readonly string[] {
  try {
    parseSettings(raw);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test("the least configuration gives safe defaults", () => {
  const settings = parseSettings(good);
  assert.equal(settings.name, "vectis");
  assert.equal(settings.data, "keep");
  assert.equal(settings.tls.challenge, "http-01");
  assert.equal(settings.tls.acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
  assert.equal(settings.tls.acme.keyType, "ec-256");
  assert.equal(settings.tls.policy, "intermediate");
  assert.deepEqual(settings.publish, { address: "0.0.0.0", portOffset: 0, port80: "open", networks: [] });
});

test("the empty defaults of Pulumi.yaml count as not given", () => {
  const settings = parseSettings({ ...good, "vectis:publish": "{}", "vectis:resolvers": "[]", "vectis:images": "{}" });
  assert.equal(settings.publish.portOffset, 0);
});

test("keys of other packages are not this reader's business", () => {
  assert.equal(parseSettings({ ...good, "docker:host": "unix:///var/run/docker.sock" }).hostname, "mail.example.com");
});

test("a number that was set without a type is a number all the same", () => {
  assert.equal(parseSettings({ ...good, "vectis:publish": '{"portOffset":"10000"}' }).publish.portOffset, 10000);
});

test("every problem is reported at once, each with its key and a good example", () => {
  const found = problems({
    "vectis:hostname": "Mail_Host",
    "vectis:domains": "[]",
    "vectis:tls": '{"provider":"selfsigned","acme":{"directory":"http://ca","caBundle":"no/such/file.pem","typo":1}}',
    "vectis:publish": '{"address":"localhost","portOffset":"99999"}',
    "vectis:mailboxes": '[{"address":"alice"}]',
    "vectis:resolvers": "one",
    "vectis:hostnme": "mail.example.com",
    "vectis:data": "destroy",
  });
  for (const expected of [
    /^vectis:hostname must be a lower-case domain name, for example mail\.example\.com$/,
    /^vectis:domains must name at least one domain, for example/,
    /^vectis:tls\.provider must be letsencrypt/,
    /^vectis:tls\.acme\.directory must be production, staging or the https address/,
    /^vectis:tls\.acme\.caBundle names the file no\/such\/file\.pem, which cannot be read/,
    /^vectis:tls\.acme\.typo is not a key of this stack/,
    /^vectis:publish\.address must be an IP address, for example/,
    /^vectis:publish\.portOffset must be a whole number from 0 to 64540/,
    /^vectis:mailboxes\.0\.address must be an e-mail address/,
    /^vectis:mailboxes\.0\.passwordHash is missing/,
    /^vectis:resolvers must be structured YAML, not the text "one"$/,
    /^vectis:hostnme is not a key of this stack/,
    /^vectis:data must be keep or delete$/,
  ]) {
    assert.equal(
      found.filter((problem) => expected.test(problem)).length,
      1,
      `${expected.source} in ${found.join("\n")}`,
    );
  }
  assert.equal(found.length, 13);
});

test("without any configuration the message names what is required", () => {
  assert.deepEqual(
    problems({}).map((problem) => problem.split(";")[0]),
    ["vectis:hostname is missing", "vectis:domains is missing", "vectis:tls is missing"],
  );
});

test("a mailbox is refused that Dovecot would let nobody log in to", () => {
  const found = (address: string): readonly string[] =>
    problems({ ...good, "vectis:mailboxes": JSON.stringify([{ address, passwordHash: "{SHA512-CRYPT}$6$s$h" }]) });
  for (const address of ["alice@example.com", "a.b-c_d.1@example.com"]) assert.deepEqual(found(address), [], address);
  for (const address of ["Alice@example.com", "alice+spam@example.com", "alice@Example.com"]) {
    const [problem, ...more] = found(address);
    assert.match(problem ?? "", /^vectis:mailboxes\.0\.address must be of a-z in lower case.*for example alice@/);
    assert.deepEqual(more, []);
  }
});

test("a mailbox outside the domains, and one listed twice, are named", () => {
  const passwordHash = "{SHA512-CRYPT}$6$salt$hash";
  const mailboxes = ["a@example.com", "b@example.org", "a@example.com"].map((address) => ({ address, passwordHash }));
  const found = problems({ ...good, "vectis:mailboxes": JSON.stringify(mailboxes) });
  assert.equal(found.length, 2);
  assert.match(
    found[0] ?? "",
    /^vectis:mailboxes\.1\.address is b@example\.org, but example\.org is not among vectis:domains/,
  );
  assert.match(found[1] ?? "", /^vectis:mailboxes\.2\.address is a@example\.com, which an earlier mailbox has already/);
});

test("a password in clear is refused without being repeated", () => {
  const mailboxes = [{ address: "a@example.com", passwordHash: "hunter2" }];
  const found = problems({ ...good, "vectis:mailboxes": JSON.stringify(mailboxes) });
  assert.equal(found.length, 1);
  assert.doesNotMatch(found.join(), /hunter2/);
});

test("a health token that is short or has spaces is refused without being repeated", () => {
  for (const healthToken of ["too-short-token", "a long enough token", "tab\tseparated-token"]) {
    const found = problems({ ...good, "vectis:healthToken": healthToken });
    assert.match(found.join(), /^vectis:healthToken must be 16 to 256 of .*openssl rand -hex 32`$/);
    assert.ok(!found.join().includes(healthToken));
  }
  assert.equal(parseSettings({ ...good, "vectis:healthToken": "dev-health-token" }).healthToken, "dev-health-token");
});

test("the certificates' lifetime is a number of days, 90 unless said otherwise", () => {
  const withLifetime = (lifetimeDays: unknown) => ({
    ...good,
    "vectis:tls": JSON.stringify({ provider: "letsencrypt", acme: { lifetimeDays } }),
  });
  assert.equal(parseSettings(good).tls.acme.lifetimeDays, 90);
  assert.equal(parseSettings(withLifetime(6.67)).tls.acme.lifetimeDays, 6.67);
  assert.equal(parseSettings(withLifetime("45")).tls.acme.lifetimeDays, 45);
  const withProfile = (acme: object) =>
    parseSettings({ ...good, "vectis:tls": JSON.stringify({ provider: "letsencrypt", acme }) }).tls.acme.lifetimeDays;
  assert.equal(withProfile({ profile: "shortlived" }), 6.67);
  assert.equal(withProfile({ profile: "tlsserver" }), 45);
  assert.equal(withProfile({ profile: "tlsserver", lifetimeDays: 30 }), 30);
  assert.equal(withProfile({ profile: "somebody-elses" }), 90);
  for (const wrong of [0, 400, "a week", -1]) {
    assert.deepEqual(problems(withLifetime(wrong)), [
      "vectis:tls.acme.lifetimeDays must be a number of days from 0.05 to 398, for example 45",
    ]);
  }
});

test("a CA bundle is PEM text, or the path of a file with it", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vectis-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  writeFileSync(join(folder, "ca.pem"), pem);
  writeFileSync(join(folder, "notes.txt"), "no certificate here");
  const withBundle = (caBundle: string) => ({
    ...good,
    "vectis:tls": JSON.stringify({
      provider: "letsencrypt",
      acme: { directory: "https://ca.example.com/dir", caBundle },
    }),
  });
  assert.equal(parseSettings(withBundle(pem)).tls.acme.caBundle, pem);
  assert.equal(parseSettings(withBundle(join(folder, "ca.pem"))).tls.acme.caBundle, pem);
  assert.match(
    problems(withBundle(join(folder, "notes.txt"))).join(),
    /^vectis:tls\.acme\.caBundle holds no certificate/,
  );
});

test("Pulumi.yaml declares the keys that are read here, but for the optional secret ones", () => {
  const project = parse(readFileSync("Pulumi.yaml", "utf8")) as { config: Record<string, unknown> };
  // A key with secret values can be neither required nor given a default there.
  const secret = ["mailboxes", "challengeToken", "healthToken"];
  assert.deepEqual(Object.keys(project.config).sort(), configKeys.filter((key) => !secret.includes(key)).sort());
});

test("the stack files in the repository are valid", () => {
  for (const stack of ["dev", "prod"]) {
    const { config } = parse(readFileSync(`Pulumi.${stack}.yaml`, "utf8")) as { config: Record<string, unknown> };
    const raw = Object.fromEntries(
      Object.entries(config).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
    );
    // The lab's bundle exists only once the lab is up.
    const found = problems(raw).filter((problem) => !problem.includes(".vectis/lab/https-ca.pem"));
    assert.deepEqual(found, [], `Pulumi.${stack}.yaml`);
  }
});

test("dns-01 needs somebody who holds the zones of all names, wildcards included", () => {
  const zone = "023e105f4ecef8ad9ca31a8372d0c353";
  const tls = (more: string) => `{"provider":"letsencrypt","challenge":"dns-01",${more}}`;
  const wildcard = tls('"names":["*.example.com","imap.example.net"]');
  const zones = (more = "") => `{"provider":"cloudflare","zones":{"example.com":"${zone}"${more}}}`;
  const [without] = problems({ ...good, "vectis:tls": tls('"names":[]') });
  assert.match(without ?? "", /^vectis:tls\.challenge is dns-01, which needs somebody .* provider: cloudflare/);
  const [outside] = problems({ ...good, "vectis:tls": wildcard, "vectis:dns": zones() });
  assert.match(outside ?? "", /^vectis:dns\.zones has no zone for imap\.example\.net/);
  const settings = parseSettings({
    ...good,
    "vectis:tls": wildcard,
    "vectis:dns": zones(`,"example.net":"${zone.replace("0", "1")}"`),
  });
  assert.deepEqual(settings.tls.names, ["*.example.com", "imap.example.net"]);
});

test("further names are names or wildcards, and not the host name again", () => {
  const tls = '{"provider":"letsencrypt","names":["*","mail.*.com","Imap.example.com","mail.example.com"]}';
  const found = problems({ ...good, "vectis:tls": tls });
  assert.equal(found.length, 3);
  assert.match(found[0] ?? "", /^vectis:tls\.names\.0 must be a lower-case name or wildcard, for example imap/);
  assert.deepEqual(problems({ ...good, "vectis:tls": '{"provider":"letsencrypt","names":["mail.example.com"]}' }), [
    "vectis:tls.names has mail.example.com, which vectis:hostname is already; remove it",
  ]);
});

const withTls = (tls: object, more: Record<string, string> = {}) => ({
  ...good,
  ...more,
  "vectis:tls": JSON.stringify(tls),
});
const files = { certPath: "/etc/vectis/certs/fullchain.pem", keyPath: "/etc/vectis/certs/privkey.pem" };

test("a custom certificate is two files in one folder; what a switch back needs may stand beside them", () => {
  const { tls } = parseSettings(
    withTls({ provider: "custom", ...files, email: "admin@example.com", challenge: "dns-01", acme: {} }),
  );
  assert.ok(tls.provider === "custom");
  assert.deepEqual([tls.folder, tls.certFile, tls.keyFile], ["/etc/vectis/certs", "fullchain.pem", "privkey.pem"]);
  assert.equal(tls.challenge, "dns-01");
});

test("paths that certd could not find are refused, each with an example", () => {
  const wrong = (change: object) => problems(withTls({ provider: "custom", ...files, ...change })).join("\n");
  for (const certPath of [
    "certs/fullchain.pem",
    "/fullchain.pem",
    "/etc/../certs/fullchain.pem",
    "/etc/a:b/c.pem",
    "/etc/c/",
  ])
    assert.match(wrong({ certPath }), /^vectis:tls\.certPath must be the path of a file .* for example \/etc\/vectis/);
  assert.match(wrong({ keyPath: "/etc/other/privkey.pem" }), /keyPath must be in the folder of certPath/);
  assert.match(wrong({ keyPath: files.certPath }), /keyPath must be another file/);
  assert.match(wrong({ keyPath: undefined }), /^vectis:tls\.keyPath is missing; for example \/etc\/vectis/);
});

test("a key of another provider is refused", () => {
  assert.deepEqual(
    problems(withTls({ provider: "letsencrypt", ...files, lifetimeDays: 90 })).map((problem) => problem.split(";")[0]),
    [
      "vectis:tls.certPath belongs to the provider custom",
      "vectis:tls.keyPath belongs to the provider custom",
      "vectis:tls.lifetimeDays belongs to the provider internal",
    ],
  );
});

test("an internal CA needs nothing more; its certificate lives 397 days", () => {
  const { tls } = parseSettings(withTls({ provider: "internal" }));
  assert.ok(tls.provider === "internal" && tls.lifetimeDays === 397);
  assert.match(
    problems(withTls({ provider: "internal", lifetimeDays: 900 })).join(),
    /lifetimeDays must be .* 1 to 825/,
  );
});

test("port 80 can be closed where no HTTP-01 order needs it", () => {
  const closed = { "vectis:publish": '{"port80":"closed"}' };
  assert.match(
    problems(withTls({ provider: "letsencrypt" }, closed)).join(),
    /^vectis:publish\.port80 is closed, but vectis:tls\.challenge http-01 is answered there; set the challenge to dns-01/,
  );
  assert.deepEqual(problems(withTls({ provider: "internal" }, closed)), []);
});

const tlsWith = (change: object, acme: object): string =>
  JSON.stringify({ provider: "letsencrypt", ...change, acme: { alsoKeyType: "rsa-2048", ...acme } });

test("B12: a second certificate with an RSA key is an option of the ACME CA's, off by default", () => {
  assert.equal(parseSettings(good).tls.acme.alsoKeyType, undefined);
  assert.equal(parseSettings({ ...good, "vectis:tls": tlsWith({}, {}) }).tls.acme.alsoKeyType, "rsa-2048");
  assert.deepEqual(problems({ ...good, "vectis:tls": tlsWith({}, { alsoKeyType: "rsa" }) }), [
    "vectis:tls.acme.alsoKeyType must be rsa-2048, rsa-3072 or rsa-4096",
  ]);
});

test("B12: it is refused where another provider has the certificate, and beside DANE, with the key to change", () => {
  assert.deepEqual(problems({ ...good, "vectis:tls": tlsWith({ provider: "internal" }, {}) }), [
    "vectis:tls.acme.alsoKeyType is rsa-2048, but vectis:tls.provider internal has one certificate alone; " +
      "remove alsoKeyType, or set the provider to letsencrypt",
  ]);
  const [problem = "", ...more] = problems({
    ...good,
    "vectis:tls": tlsWith({}, {}),
    "vectis:dns": '{"provider":"none","dane":"on"}',
  });
  assert.deepEqual(more, []);
  assert.match(problem, /alsoKeyType is rsa-2048, but the records of vectis:dns\.dane .*set vectis:dns\.dane to off/);
});
