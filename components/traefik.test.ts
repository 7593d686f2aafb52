import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { tlsPolicies } from "./tls-policy.ts";
import { mtaStsRoute, traefikDynamic, traefikStatic, type TraefikConfig } from "./traefik.ts";

const config: TraefikConfig = {
  hostname: "mail.example.com",
  mailNames: ["mail.example.com", "imap.example.com"],
  sidecarUrl: "http://acme:8080",
  certificate: "own",
  port80: "open",
  apiUrl: "http://acme:8081",
  acme: { directory: "https://ca.example.com/directory", keyType: "ec-256" },
  policy: tlsPolicies.intermediate,
};

interface Router {
  entryPoints: string[];
  rule: string;
  priority?: number;
  middlewares?: string[];
  service: string;
  tls?: { certResolver: string };
}
const dynamic = parse(traefikDynamic(config)) as {
  http: {
    routers: Record<string, Router>;
    services: Record<string, { failover?: unknown }>;
    middlewares: Record<string, { rateLimit?: unknown }>;
  };
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

test("Traefik orders with the CA's profile that is configured, and names none otherwise", () => {
  assert.match(traefikStatic({ ...config, acme: { ...config.acme, profile: "shortlived" } }), /profile: shortlived\n/);
  assert.doesNotMatch(traefikStatic(config), /profile/);
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

test("S17: the API is behind the host's name and a rate limit; no other path of certd is reachable", () => {
  const { api } = routers;
  assert.equal(api?.rule, "Host(`mail.example.com`) && (PathPrefix(`/api/`) || Path(`/metrics`) || Path(`/status`))");
  assert.deepEqual(api.middlewares, ["api-rate", "hsts"]);
  const rate = dynamic.http.middlewares["api-rate"]?.rateLimit;
  assert.deepEqual(rate, { average: 1, period: "1s", burst: 10 });
  const toCertd = Object.entries(routers).filter(([, { service }]) => service === "certd-api");
  assert.deepEqual(
    toCertd.map(([name]) => name),
    ["api"],
  );
});

test("a policy host orders nothing where HTTPS shares the mail certificate", () => {
  assert.doesNotMatch(mtaStsRoute("mta-sts.example.com", "shared"), /certResolver/);
});

test("a policy host has its one path, its own certificate, and a file of its own", () => {
  const { http } = parse(mtaStsRoute("mta-sts.example.com", "own")) as { http: { routers: Record<string, Router> } };
  assert.deepEqual(http, {
    routers: {
      "mta-sts.example.com": {
        entryPoints: ["websecure"],
        rule: "Host(`mta-sts.example.com`) && Path(`/.well-known/mta-sts.txt`)",
        service: "certd-api",
        tls: { certResolver: "acme" },
      },
    },
  });
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
  assert.deepEqual(Object.keys(http.routers), ["ping", "api"]);
  assert.deepEqual(Object.keys(http.services ?? {}), ["certd-api"]);
  const text = traefikStatic({ ...config, port80: "closed" });
  assert.match(text, /tlsChallenge: \{\}/);
  assert.doesNotMatch(text, /httpChallenge/);
});
