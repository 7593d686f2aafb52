// The whole topology as data: what runs where, under which names and ports. Pure: settings in, plain values out.
import type { AcmeSource, Settings as CertdSettings } from "../certd/settings.ts";
import type { PublishedPort } from "../components/container.ts";
import type { DovecotConfig, Mailbox } from "../components/dovecot.ts";
import { mailKeyFile } from "../components/mail-certs.ts";
import type { PostfixConfig } from "../components/postfix.ts";
import { tlsPolicies } from "../components/tls-policy.ts";
import { traefikDynamic, type TraefikConfig } from "../components/traefik.ts";
import type { Settings } from "./config.ts";
import type { ServiceName } from "./images.ts";

/** A port that the mail host publishes. `tls` says how TLS begins on it. */
export interface Endpoint {
  readonly name: string;
  readonly port: number;
  readonly service: Exclude<ServiceName, "acme">;
  readonly tls: "none" | "starttls" | "implicit";
}

/** Every published port of a mail host, ascending. 143 and 110 are not among them, and never are. */
export const endpoints = [
  { name: "smtp", port: 25, service: "postfix", tls: "starttls" },
  { name: "http", port: 80, service: "traefik", tls: "none" },
  { name: "https", port: 443, service: "traefik", tls: "implicit" },
  { name: "submissions", port: 465, service: "postfix", tls: "implicit" },
  { name: "submission", port: 587, service: "postfix", tls: "starttls" },
  { name: "imaps", port: 993, service: "dovecot", tls: "implicit" },
  { name: "pop3s", port: 995, service: "dovecot", tls: "implicit" },
] as const satisfies readonly Endpoint[];

/** Port of the sidecar's challenge server, inside the network only. */
const challengePort = 8080;

/** Published generations that stay for readers of the last one and for rollback. */
const keepGenerations = 3;

export interface Topology {
  readonly networkName: string;
  readonly containerNames: Readonly<Record<ServiceName, string>>;
  readonly volumeNames: {
    readonly certs: string;
    readonly acmeHome: string;
    readonly traefikAcme: string;
    readonly traefikDynamic: string;
    readonly spool: string;
    readonly mailboxes: string;
    readonly sasl: string;
  };
  /** Published ports of each service. */
  readonly ports: Readonly<Record<ServiceName, readonly PublishedPort[]>>;
  /** Where clients find each endpoint: `ADDRESS:PORT` by its name. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Names in the mail certificate, the host name first. */
  readonly certificateNames: readonly string[];
  readonly certd: CertdSettings;
  readonly traefik: TraefikConfig;
  readonly postfix: PostfixConfig;
  readonly dovecot: DovecotConfig;
  readonly mailboxes: readonly Mailbox[];
}

export function topology(settings: Settings): Topology {
  const { name, hostname, domains, tls, dns, publish, mailboxes } = settings;
  const published = ({ port }: Endpoint): PublishedPort => ({
    internal: port,
    external: port + publish.portOffset,
    ip: publish.address,
  });
  const portsOf = (service: ServiceName): PublishedPort[] =>
    endpoints.filter((endpoint) => endpoint.service === service).map(published);
  const certificateNames = [hostname, ...tls.names];
  const policy = tlsPolicies[tls.policy];
  const traefik: TraefikConfig = {
    hostname,
    mailNames: certificateNames.filter((name) => !name.startsWith("*.")),
    sidecarUrl: `http://acme:${challengePort}`,
    acme: {
      directory: tls.acme.directory,
      caBundle: tls.acme.caBundle,
      email: tls.email,
      keyType: tls.acme.keyType,
      lifetimeDays: tls.acme.lifetimeDays,
    },
    certificate: "own",
    port80: "open",
    policy,
  };
  return {
    networkName: name,
    containerNames: {
      acme: `${name}-acme`,
      dovecot: `${name}-dovecot`,
      postfix: `${name}-postfix`,
      traefik: `${name}-traefik`,
    },
    volumeNames: {
      certs: `${name}-mail-certs`,
      acmeHome: `${name}-acme-home`,
      traefikAcme: `${name}-traefik-acme`,
      traefikDynamic: `${name}-traefik-dynamic`,
      spool: `${name}-postfix-spool`,
      mailboxes: `${name}-mailboxes`,
      sasl: `${name}-sasl`,
    },
    ports: {
      acme: [],
      dovecot: portsOf("dovecot"),
      postfix: portsOf("postfix"),
      traefik: portsOf("traefik"),
    },
    endpoints: Object.fromEntries(
      endpoints.map((endpoint) => [endpoint.name, hostAndPort(publish.address, endpoint.port + publish.portOffset)]),
    ),
    certificateNames,
    certd: {
      names: certificateNames,
      source: {
        kind: "acme",
        directory: tls.acme.directory,
        ...(tls.acme.caBundle === undefined ? {} : { caBundle: tls.acme.caBundle }),
        ...(tls.email === undefined ? {} : { email: tls.email }),
        challenge: tls.challenge,
        httpPort: challengePort,
        keyType: tls.acme.keyType,
        ...(settings.keys.held === "stack" ? { keyFile: mailKeyFile } : {}),
        ...(tls.challenge === "dns-01" ? { dns: dnsZones(dns) } : { challengeRoute: { host: "traefik", port: 80 } }),
      },
      probes: endpoints
        .filter((endpoint) => endpoint.service !== "traefik")
        .map(({ port, service, tls: mode }) => ({
          port,
          host: service,
          mode: mode === "starttls" ? "starttls-smtp" : "implicit",
        })),
      https: { host: "traefik", port: 443 },
      keepGenerations,
      traefik: { routes: traefikDynamic(traefik), certificate: traefik.certificate },
    },
    traefik,
    postfix: { hostname, domains, mailboxes: mailboxes.map(({ address }) => address), lmtp: "dovecot:24", policy },
    dovecot: { hostname, policy },
    mailboxes,
  };
}

/** Where acme.sh makes its TXT records. */
function dnsZones(dns: Settings["dns"]): NonNullable<AcmeSource["dns"]> {
  if (dns.provider === "none") return {};
  const { zoneId, zones, accountId } = dns;
  return {
    ...(zoneId === undefined ? {} : { zoneId }),
    ...(zones === undefined ? {} : { zones }),
    ...(accountId === undefined ? {} : { accountId }),
  };
}

/** `ADDRESS:PORT`, with the brackets that an IPv6 address needs. */
function hostAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
