import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSettings, SettingsError, type AcmeSource, type Settings } from "./settings.ts";

const acme: AcmeSource = {
  kind: "acme",
  directory: "https://ca.vectis.test:14000/dir",
  caBundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  email: "admin@vectis.test",
  challenge: "http-01",
  httpPort: 8080,
  keyType: "ec-256",
  challengeRoute: { host: "traefik", port: 80 },
};
const good: Settings = {
  names: ["mail.vectis.test", "*.vectis.test"],
  source: acme,
  probes: [
    { port: 25, host: "postfix", mode: "starttls-smtp" },
    { port: 993, host: "dovecot", mode: "implicit" },
  ],
  https: { host: "traefik", port: 443 },
  keepGenerations: 4,
  traefik: { routes: "http: {}\n", certificate: "own" },
  api: { port: 8081 },
  mtaSts: { policy: "version: STSv1\n", routes: { "mta-sts.vectis.test": "http: {}\n" } },
};

function problems(value: unknown): readonly string[] {
  try {
    parseSettings(JSON.stringify(value));
  } catch (error) {
    assert.ok(error instanceof SettingsError);
    return error.problems;
  }
  return [];
}

describe("parseSettings", () => {
  it("gives back what the stack wrote", () => {
    const source = { kind: "custom", fullchain: "/certs/fullchain.pem", privkey: "/certs/privkey.pem" } as const;
    for (const settings of [good, { ...good, source }]) {
      assert.deepEqual(parseSettings(JSON.stringify(settings)), settings);
    }
  });

  it("fills in the defaults", () => {
    const { challenge, directory, keyType, kind } = acme;
    const settings = parseSettings(
      JSON.stringify({ names: ["mail.vectis.test"], source: { challenge, directory, keyType, kind }, probes: [] }),
    );
    assert.equal(settings.keepGenerations, 3);
    assert.ok(settings.source.kind === "acme" && settings.source.httpPort === 8080);
    assert.equal("https" in settings, false);
  });

  it("names every problem in one error", () => {
    const found = problems({
      names: ["*.vectis.test", "Mail.vectis.test", "a.test", "a.test"],
      source: {
        kind: "acme",
        directory: "http://ca/dir",
        caBundle: "x",
        email: "nobody",
        challenge: "dns",
        httpPort: 0,
        keyType: "rsa",
      },
      probes: [{ port: 70000, host: "", mode: "plain" }, 5],
      https: { host: "traefik" },
      keepGenerations: 1,
      colour: "red",
    });
    const keys = [
      "colour",
      "names[0]",
      "names[1]",
      "names[3]",
      "source.caBundle",
      "source.email",
      "source.directory",
      "source.challenge",
      "source.httpPort",
      "source.keyType",
      "probes[0].port",
      "probes[0].host",
      "probes[0].mode",
      "probes[1]",
      "https.port",
      "keepGenerations",
    ];
    assert.deepEqual(found.map((problem) => problem.split(" ")[0]).sort(), keys.sort());
  });

  it("refuses a directory that could leave its quotes", () => {
    for (const directory of ["https://ca/dir'; rm -rf /", "https://ca/$(id)", "https://ca/dir\nx=1"]) {
      assert.match(
        problems({ ...good, source: { ...acme, directory } }).join(),
        /source\.directory must be an https URL/,
      );
    }
  });

  it("knows the settings of each kind of source apart", () => {
    const found = problems({ ...good, source: { kind: "custom", fullchain: "here", directory: "x" } });
    assert.deepEqual([...found].sort(), [
      "source.directory is not a setting",
      "source.fullchain must be an absolute path, for example /etc/vectis/certs/fullchain.pem",
      "source.privkey is missing",
    ]);
    assert.match(problems({ ...good, source: { kind: "magic" } }).join(), /^source\.kind must be/);
  });

  it("refuses what is not a JSON object", () => {
    for (const text of [undefined, "", "[]", "null", "{"]) assert.throws(() => parseSettings(text), SettingsError);
  });
});
