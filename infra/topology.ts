// The whole topology as data: what runs where, under which names and ports. Pure: settings in, plain values out.
import type { AcmeSource, Settings as CertdSettings } from "../certd/settings.ts";
import type { PublishedPort } from "../components/container.ts";
import type { DovecotConfig, Mailbox } from "../components/dovecot.ts";
import type { InternalCaArgs } from "../components/internal-ca.ts";
import { customFolder, internalFiles, mailKeyFile } from "../components/mail-certs.ts";
import { mtaStsHost, mtaStsPolicy } from "../components/mail-records.ts";
import type { PostfixConfig } from "../components/postfix.ts";
import { tlsPolicies } from "../components/tls-policy.ts";
import { mtaStsRoute, traefikDynamic, type TraefikConfig } from "../components/traefik.ts";
import type { Settings } from "./config.ts";
import type { ServiceName } from "./images.ts";

/** A port that the mail host publishes. `tls` says how TLS begins on it. */
export interface Endpoint {
  readonly name: string;
  readonly port: number;
  readonly service: Exclude<ServiceName, "acme">;
  readonly tls: "none" | "starttls" | "implicit";
}

/** Every port that a mail host can publish, ascending. 143 and 110 are not among them, and never are. */
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

/** Port of certd's API, inside the network only. */
const apiPort = 8081;

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
  /** The operator's folder of certificates on the Docker host; undefined if they come from elsewhere. */
  readonly customFolder: string | undefined;
  /** What the stack's own CA issues; undefined if certificates come from elsewhere. */
  readonly internalCa: InternalCaArgs | undefined;
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
  const open = publishedEndpoints(settings);
  const portsOf = (service: ServiceName): PublishedPort[] =>
    open.filter((endpoint) => endpoint.service === service).map(published);
  const certificateNames = [hostname, ...tls.names];
  const policy = tlsPolicies[tls.policy];
  const traefik: TraefikConfig = {
    hostname,
    mailNames: certificateNames.filter((name) => !name.startsWith("*.")),
    sidecarUrl: `http://acme:${challengePort}`,
    apiUrl: `http://acme:${apiPort}`,
    acme: {
      directory: tls.acme.directory,
      caBundle: tls.acme.caBundle,
      email: tls.email,
      keyType: tls.acme.keyType,
      lifetimeDays: tls.acme.lifetimeDays,
      profile: tls.acme.profile,
    },
    certificate: tls.provider === "letsencrypt" ? "own" : "shared",
    port80: publish.port80,
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
      open.map((endpoint) => [endpoint.name, hostAndPort(publish.address, endpoint.port + publish.portOffset)]),
    ),
    certificateNames,
    customFolder: tls.provider === "custom" ? tls.folder : undefined,
    internalCa:
      tls.provider === "internal"
        ? { names: certificateNames, keyType: tls.acme.keyType, lifetimeDays: tls.lifetimeDays }
        : undefined,
    certd: {
      names: certificateNames,
      source: source(settings),
      probes: endpoints
        .filter((endpoint) => endpoint.service !== "traefik")
        .map(({ port, service, tls: mode }) => ({
          port,
          host: service,
          mode: mode === "starttls" ? "starttls-smtp" : "implicit",
        })),
      https: { host: "traefik", port: 443 },
      api: { port: apiPort },
      ...(dns.mtaSts === "off"
        ? {}
        : {
            mtaSts: {
              policy: mtaStsPolicy(dns.mtaSts, hostname),
              routes: Object.fromEntries(
                domains.map(mtaStsHost).map((host) => [host, mtaStsRoute(host, traefik.certificate)]),
              ),
            },
          }),
      keepGenerations,
      traefik: { routes: traefikDynamic(traefik), certificate: traefik.certificate },
    },
    traefik,
    postfix: { hostname, domains, mailboxes: mailboxes.map(({ address }) => address), lmtp: "dovecot:24", policy },
    dovecot: { hostname, policy, alsoRsa: tls.acme.alsoKeyType !== undefined },
    mailboxes,
  };
}

/** The ports that this mail host publishes, ascending. */
export function publishedEndpoints({ publish }: Settings): readonly Endpoint[] {
  return endpoints.filter(({ name }) => name !== "http" || publish.port80 === "open");
}

/** Where certd finds certificates. */
function source({ tls, dns, keys }: Settings): CertdSettings["source"] {
  switch (tls.provider) {
    case "custom":
      return {
        kind: "custom",
        fullchain: `${customFolder}/${tls.certFile}`,
        privkey: `${customFolder}/${tls.keyFile}`,
        hostFolder: tls.folder,
      };
    case "internal":
      return { kind: "internal", ...internalFiles };
    case "letsencrypt":
      return {
        kind: "acme",
        directory: tls.acme.directory,
        ...(tls.acme.caBundle === undefined ? {} : { caBundle: tls.acme.caBundle }),
        ...(tls.email === undefined ? {} : { email: tls.email }),
        challenge: tls.challenge,
        httpPort: challengePort,
        keyType: tls.acme.keyType,
        ...(tls.acme.alsoKeyType === undefined ? {} : { rsaKeyType: tls.acme.alsoKeyType }),
        ...(tls.acme.profile === undefined ? {} : { profile: tls.acme.profile }),
        ...(keys.held === "stack" ? { keyFile: mailKeyFile } : {}),
        ...(tls.challenge === "dns-01" ? { dns: dnsZones(dns) } : { challengeRoute: { host: "traefik", port: 80 } }),
      };
  }
}

/** Where acme.sh makes its TXT records. */
function dnsZones(dns: Settings["dns"]): NonNullable<AcmeSource["dns"]> {
  const owner = dns.provider === "none" || dns.accountId === undefined ? {} : { accountId: dns.accountId };
  if (dns.challengeZone !== undefined) {
    const { name: challengeZone, zoneId } = dns.challengeZone;
    return { zoneId, challengeZone, ...owner };
  }
  if (dns.provider === "none") return {};
  const { zoneId, zones } = dns;
  return {
    ...(zoneId === undefined ? {} : { zoneId }),
    ...(zones === undefined ? {} : { zones }),
    ...owner,
  };
}

/** `ADDRESS:PORT`, with the brackets that an IPv6 address needs. */
function hostAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
