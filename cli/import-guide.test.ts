// The guide's files as stack configuration: what each key becomes, and that every mistake is named with its place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UserError } from "./errors.ts";
import { importGuide } from "./import-guide.ts";

const configuration = (text: string, secrets?: string) =>
  importGuide([
    { name: "config.yaml", text },
    ...(secrets === undefined ? [] : [{ name: "secrets.yaml", text: secrets }]),
  ]);
const plain = (text: string): Record<string, unknown> =>
  Object.fromEntries(configuration(text).plain.map(({ path, value }) => [path.join("."), value]));
const problems = (text: string, secrets?: string): string[] => {
  try {
    configuration(text, secrets);
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.replace(/^ {2}- /, ""));
  }
  return [];
};

describe("the guide's files", () => {
  const cases: readonly { readonly what: string; readonly text: string; readonly becomes: Record<string, unknown> }[] =
    [
      {
        what: "Let's Encrypt",
        text: "tls:\n  provider: letsencrypt\n  email: admin@example.com\n",
        becomes: { "vectis:tls.provider": "letsencrypt", "vectis:tls.email": "admin@example.com" },
      },
      {
        what: "DNS-01 through Cloudflare",
        text: "tls: { provider: letsencrypt, dns_challenge: cloudflare }",
        becomes: {
          "vectis:tls.provider": "letsencrypt",
          "vectis:tls.challenge": "dns-01",
          "vectis:dns.provider": "cloudflare",
        },
      },
      {
        what: "custom certificates",
        text: "tls:\n  provider: custom\n  cert_path: /etc/vectis/certs/fullchain.pem\n  key_path: /etc/vectis/certs/privkey.pem\n",
        becomes: {
          "vectis:tls.provider": "custom",
          "vectis:tls.certPath": "/etc/vectis/certs/fullchain.pem",
          "vectis:tls.keyPath": "/etc/vectis/certs/privkey.pem",
        },
      },
      {
        what: "names",
        text: "hostname: mail.example.com\ndomains: [example.com, example.net]\n",
        becomes: { "vectis:hostname": "mail.example.com", "vectis:domains": ["example.com", "example.net"] },
      },
    ];
  for (const { what, text, becomes } of cases)
    it(`become stack configuration: ${what}`, () => assert.deepEqual(plain(text), becomes));

  it("have their secrets told apart from plain values, whichever file they are in", () => {
    const token = 'cloudflare:\n  api_token: "token-0000"\n';
    for (const { plain, secrets } of [
      configuration("hostname: mail.example.com", token),
      configuration(`hostname: mail.example.com\n${token}`),
    ]) {
      assert.deepEqual(secrets, { "cloudflare:apiToken": "token-0000" });
      assert.doesNotMatch(JSON.stringify(plain), /token-0000/);
    }
  });

  it("are refused with every unknown key, wrong value and repetition at once, each with file and line", () => {
    const found = problems(
      "hostname: mail.example.com\nhostnme: a\ntls:\n  email: 7\n  certPath: /a.pem\n  dns_challenge: route53\ndomains: example.com\n",
      "hostname: mail.example.net\ncloudflare:\n  api_token: [token-0000]\n  zone: example.com\n",
    );
    assert.deepEqual(found.slice(0, -1), [
      "config.yaml:2: hostnme is no key of the guide's files",
      "config.yaml:4: tls.email must be text, for example admin@example.com",
      "config.yaml:5: tls.certPath is no key of the guide's files; tls.cert_path is",
      "config.yaml:6: tls.dns_challenge must be cloudflare; without the key, HTTP-01 is used",
      "config.yaml:7: domains must be a list, for example [example.com]",
      "secrets.yaml:1: hostname is given already at config.yaml:1",
      "secrets.yaml:3: cloudflare.api_token must be text, for example the token that Cloudflare shows once",
      "secrets.yaml:4: cloudflare.zone is no key of the guide's files",
    ]);
    assert.match(found.at(-1) ?? "", /^known keys: hostname, domains, tls\.provider, .*cloudflare\.api_token$/);
    assert.doesNotMatch(found.join("\n"), /token-0000/);
  });

  const malformed: readonly { readonly what: string; readonly text: string; readonly says: RegExp }[] = [
    { what: "broken YAML", text: "tls:\n  provider: [\n", says: /^config\.yaml:\d: Flow sequence/ },
    {
      what: "a key given twice",
      text: "hostname: a.example\nhostname: b.example\n",
      says: /^config\.yaml:2: .*unique/,
    },
    { what: "a list", text: "- tls\n", says: /^config\.yaml:1: the file must hold keys and values$/ },
    {
      what: "a section that is none",
      text: "tls: letsencrypt\n",
      says: /^config\.yaml:1: tls must hold keys and values$/,
    },
    { what: "nothing", text: "# only a comment\n", says: /^config\.yaml: nothing to import$/ },
  ];
  for (const { what, text, says } of malformed)
    it(`are refused where they hold ${what}`, () => assert.match(problems(text)[0] ?? "", says));
});
