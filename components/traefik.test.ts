import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { tlsPolicies } from "./tls-policy.ts";
import { traefikDynamic, traefikStatic, type TraefikConfig } from "./traefik.ts";

const config: TraefikConfig = {
  hostname: "mail.example.com",
  mailNames: ["mail.example.com", "imap.example.com"],
  sidecarUrl: "http://acme:8080",
  certificate: "own",
  port80: "open",
  acme: { directory: "https://ca.example.com/directory", keyType: "ec-256" },
  policy: tlsPolicies.intermediate,
};

interface Router {
  entryPoints: string[];
  rule: string;
  priority?: number;
  service: string;
  tls?: { certResolver: string };
}
const dynamic = parse(traefikDynamic(config)) as {
  http: { routers: Record<string, Router>; services: Record<string, { failover?: unknown }> };
};
const { routers, services } = dynamic.http;
const dynamicOf = (change: Partial<TraefikConfig>) =>
  parse(traefikDynamic({ ...config, ...change })) as { http: { routers: Record<string, Router>; services?: object } };

test("the same configuration gives the same text", () => {
  assert.equal(traefikDynamic(config), traefikDynamic({ ...config }));
  assert.equal(traefikStatic(config), traefikStatic({ ...config }));
});

test("S2: Traefik answers its own tokens first, the sidecar only what Traefik answered with 404", () => {
  assert.deepEqual(services["acme-mail"]?.failover, {
    service: "acme-http@internal",
    fallback: "acme-sidecar",
    errors: { status: ["404"], maxRequestBodyBytes: 1024 },
  });
});

test("S2: challenge routers have explicit priorities, the shared one on top", () => {
  const priorities = ["acme-own", "acme-mail-plain", "acme-mail"].map((name) => routers[name]?.priority ?? 0);
  assert.deepEqual(priorities, [100000, 100001, 100002]);
  assert.equal(routers["acme-own"]?.service, "acme-http@internal");
});

test("the shared router lists every name of the sidecar's order", () => {
  for (const name of config.mailNames) assert.ok(routers["acme-mail"]?.rule.includes(`Host(\`${name}\`)`));
});

test("S1: the host's router orders from the resolver whose store is acme.json", () => {
  const resolver = routers["ping"]?.tls?.certResolver ?? "";
  const text = parse(traefikStatic(config)) as {
    certificatesResolvers: Record<string, { acme: Record<string, unknown> }>;
  };
  const acme = text.certificatesResolvers[resolver]?.acme;
  assert.equal(acme?.["storage"], "/etc/traefik/acme/acme.json");
  assert.equal(acme["caServer"], "https://ca.example.com/directory");
  assert.equal("caCertificates" in acme, false);
});

test("S14: the lifetime of the CA's certificates reaches Traefik in whole hours", () => {
  for (const [lifetimeDays, hours] of [
    [undefined, 2160],
    [90, 2160],
    [64, 1536],
    [45, 1080],
    [6.67, 160],
    [6, 144],
    [0.05, 1],
  ] as const) {
    const text = traefikStatic({ ...config, acme: { ...config.acme, lifetimeDays } });
    assert.match(text, new RegExp(`certificatesDuration: ${hours}\n`));
  }
});

test("a private CA's roots reach the resolver as a file", () => {
  const text = traefikStatic({ ...config, acme: { ...config.acme, caBundle: "PEM" } });
  assert.match(text, /caCertificates:\s+- \/etc\/traefik\/ca\.pem/);
});

test("where HTTPS shares the mail certificate, no router asks for another; Traefik's static part stays the same", () => {
  assert.deepEqual(dynamicOf({ certificate: "shared" }).http.routers["ping"]?.tls, {});
  assert.equal(traefikStatic({ ...config, certificate: "shared" }), traefikStatic(config));
});

test("with port 80 closed Traefik proves itself on 443, and nothing routes challenges", () => {
  const { http } = dynamicOf({ port80: "closed" });
  assert.deepEqual(Object.keys(http.routers), ["ping"]);
  assert.equal(http.services, undefined);
  const text = traefikStatic({ ...config, port80: "closed" });
  assert.match(text, /tlsChallenge: \{\}/);
  assert.doesNotMatch(text, /httpChallenge/);
});
