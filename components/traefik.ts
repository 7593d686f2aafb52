// Traefik: ends HTTPS with a certificate of its own, owns port 80 and shares its challenges with the mail sidecar.
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { type ConfigFile, mailContainer, type ServiceArgs, stateVolume } from "./container.ts";
import { TRAEFIK_RESOLVER as resolver } from "../certd/traefik.ts";
import { type TlsPolicy, traefikTlsOptions } from "./tls-policy.ts";

/** How Traefik orders its own certificate: by HTTP-01 where port 80 is open, else by TLS-ALPN-01 on port 443. */
export interface AcmeResolver {
  /** URL of the ACME directory. */
  readonly directory: string;
  /** PEM text of the roots that the CA's own HTTPS certificate chains to. Default: the system's roots. */
  readonly caBundle?: string | undefined;
  readonly email?: string | undefined;
  readonly keyType: "ec-256" | "ec-384";
  /** Lifetime in days of the certificates that the CA issues; fractions count. Default: 90. */
  readonly lifetimeDays?: number | undefined;
  /** Certificate profile of the CA. Default: none is named. */
  readonly profile?: string | undefined;
}

export interface TraefikConfig {
  /** Host name of the HTTPS certificate. */
  readonly hostname: string;
  /** Every name in the sidecar's orders: their challenges reach it through port 80 here. */
  readonly mailNames: readonly string[];
  /** Where the sidecar answers challenges while it orders, for example `http://acme:8080`. */
  readonly sidecarUrl: string;
  /** Where certd's API answers (health, status page, metrics, MTA-STS policy), for example `http://acme:8081`. */
  readonly apiUrl: string;
  readonly acme: AcmeResolver;
  /** Whether HTTPS has a certificate of its own, or serves the mail ports' (certd hands it over then). */
  readonly certificate: "own" | "shared";
  readonly port80: "open" | "closed";
  readonly policy: TlsPolicy;
}

const caBundlePath = "/etc/traefik/ca.pem";

// Keys in the order in which they are written; no line is folded, so that a preview shows whole values.
const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });

/** `/etc/traefik/traefik.yml`. A change restarts Traefik. */
export function traefikStatic(config: TraefikConfig): string {
  return yaml({
    global: { checkNewVersion: false, sendAnonymousUsage: false },
    log: { level: "INFO", noColor: true },
    entryPoints: {
      web: {
        address: ":80",
        // Leaves challenge paths out of the redirect and lets the routers below decide who answers them.
        allowACMEByPass: true,
        http: { redirections: { entryPoint: { to: "websecure", scheme: "https" } } },
      },
      websecure: { address: ":443" },
      ping: { address: "127.0.0.1:8082" },
    },
    ping: { entryPoint: "ping" },
    // A folder, not a file: a file that is replaced by rename would no longer be watched.
    providers: { file: { directory: "/etc/traefik/dynamic", watch: true }, providersThrottleDuration: "500ms" },
    certificatesResolvers: {
      [resolver]: {
        acme: {
          ...(config.acme.email === undefined ? {} : { email: config.acme.email }),
          caServer: config.acme.directory,
          ...(config.acme.caBundle === undefined ? {} : { caCertificates: [caBundlePath] }),
          // In whole hours. Traefik knows no ARI and renews by a table of its own: 30 days before the end from 90 days on,
          // 10 days from 30 days on, 2 days from 6 days on, 6 hours from a day on, else 20 minutes.
          certificatesDuration: Math.max(1, Math.floor((config.acme.lifetimeDays ?? 90) * 24)),
          keyType: config.acme.keyType === "ec-256" ? "EC256" : "EC384",
          ...(config.acme.profile === undefined ? {} : { profile: config.acme.profile }),
          storage: "/etc/traefik/acme/acme.json",
          ...(config.port80 === "open" ? { httpChallenge: { entryPoint: "web" } } : { tlsChallenge: {} }),
        },
      },
    },
  });
}

/**
 * `/etc/traefik/dynamic/vectis.yml`, which certd writes. Port 80 for one host name and two ACME clients: Traefik answers the tokens that it
 * knows itself, the sidecar only what Traefik answered with 404. Never the other way round: acme.sh's standalone server
 * gives its key authorisation for every path.
 */
export function traefikDynamic(config: TraefikConfig): string {
  const challenges = config.port80 === "open" ? challengeRoutes(config) : undefined;
  return yaml({
    tls: { options: { default: traefikTlsOptions(config.policy) } },
    http: {
      routers: {
        ...challenges?.routers,
        // A path that always answers; its rule also names the host for which Traefik orders its certificate.
        ping: {
          entryPoints: ["websecure"],
          rule: `Host(\`${config.hostname}\`) && Path(\`/ping\`)`,
          middlewares: ["hsts"],
          service: "ping@internal",
          tls: tlsFor(config.certificate),
        },
        api: {
          entryPoints: ["websecure"],
          rule: `Host(\`${config.hostname}\`) && (PathPrefix(\`/api/\`) || Path(\`/metrics\`) || Path(\`/status\`))`,
          middlewares: ["api-rate", "hsts"],
          service: "certd-api",
          tls: tlsFor(config.certificate),
        },
      },
      middlewares: {
        hsts: { headers: { stsSeconds: 63072000 } },
        // For each client address: enough for a monitor, too little for guessing tokens.
        "api-rate": { rateLimit: { average: 1, period: "1s", burst: 10 } },
      },
      services: { ...challenges?.services, "certd-api": { loadBalancer: { servers: [{ url: config.apiUrl }] } } },
    },
  });
}

/**
 * Dynamic configuration that serves the MTA-STS policy at one more host, under a certificate of that host's own (RFC 8461
 * section 3.3). A file for each host: certd puts it in place once the host has an address, because until then every
 * order for it would fail. Where HTTPS shares the mail certificate nothing is ordered: that certificate has to name the host.
 */
export function mtaStsRoute(host: string, certificate: TraefikConfig["certificate"]): string {
  return yaml({
    http: {
      routers: {
        [host]: {
          entryPoints: ["websecure"],
          rule: `Host(\`${host}\`) && Path(\`/.well-known/mta-sts.txt\`)`,
          service: "certd-api",
          tls: tlsFor(certificate),
        },
      },
    },
  });
}

/**
 * The `tls` of a router. Only where HTTPS has certificates of its own does it name the resolver: Traefik would order one
 * otherwise, at a CA that may not even be reachable.
 */
function tlsFor(certificate: TraefikConfig["certificate"]): { readonly certResolver?: string } {
  return certificate === "own" ? { certResolver: resolver } : {};
}

function challengeRoutes(config: TraefikConfig) {
  const challenge = "PathPrefix(`/.well-known/acme-challenge/`)";
  const hosts = config.mailNames.map((name) => `Host(\`${name}\`)`).join(" || ");
  const mailChallenge = `(${hosts}) && ${challenge}`;
  return {
    routers: {
      // Explicit, because the built-in router has the length of its rule as priority and any longer rule beats it.
      "acme-own": { entryPoints: ["web"], rule: challenge, priority: 100000, service: "acme-http@internal" },
      // Takes over when the failover cannot be built: Traefik drops every router that names acme-http@internal when
      // its resolver is skipped, for example for a wrong mode of acme.json.
      "acme-mail-plain": { entryPoints: ["web"], rule: mailChallenge, priority: 100001, service: "acme-sidecar" },
      "acme-mail": { entryPoints: ["web"], rule: mailChallenge, priority: 100002, service: "acme-mail" },
    },
    services: {
      "acme-mail": {
        failover: {
          service: "acme-http@internal",
          fallback: "acme-sidecar",
          // Without a limit anyone could make Traefik buffer a body of any size.
          errors: { status: ["404"], maxRequestBodyBytes: 1024 },
        },
      },
      "acme-sidecar": { loadBalancer: { servers: [{ url: config.sidecarUrl }] } },
    },
  };
}

export interface TraefikArgs extends ServiceArgs {
  /** Name of the volume with acme.json on the Docker host. */
  readonly acmeVolumeName: string;
  /** Volume that Traefik watches for configuration; the sidecar writes it. */
  readonly dynamicVolume: pulumi.Input<string>;
  readonly config: TraefikConfig;
}

export class Traefik extends pulumi.ComponentResource {
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: TraefikArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:https:Traefik", name, args, opts);
    const acme = stateVolume(
      `${name}-acme`,
      { volumeName: args.acmeVolumeName, owner: args.owner, data: args.data },
      { parent: this },
    );
    // Only what needs a restart anyway: routes and certificates come through the watched folder.
    const files: ConfigFile[] = [{ path: "/etc/traefik/traefik.yml", content: traefikStatic(args.config) }];
    const { caBundle } = args.config.acme;
    if (caBundle !== undefined) files.push({ path: caBundlePath, content: caBundle });
    const container = mailContainer(
      name,
      args,
      {
        volumes: [
          { volume: acme.name, path: "/etc/traefik/acme", access: "read-write" },
          { volume: args.dynamicVolume, path: "/etc/traefik/dynamic", access: "read-only" },
        ],
        tmpfs: { "/tmp": "rw,nosuid,nodev,noexec,size=16m,mode=1777" },
        files,
        // None: it runs as an ordinary user, and Docker lets every process bind low ports.
        capabilities: [],
        memory: 256,
        health: ["traefik", "healthcheck"],
      },
      { parent: this },
    );
    this.containerName = container.name;
    this.registerOutputs({ containerName: this.containerName });
  }
}
