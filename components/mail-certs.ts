// The mail certificate: its volume, and the sidecar (acme.sh driven by certd) that orders, checks and publishes it.
// Who reads the volume is none of its business.
import { createHash } from "node:crypto";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Settings as CertdSettings } from "../certd/settings.ts";
import { TRAEFIK_GROUP } from "../certd/traefik.ts";
import { type ConfigFile, mailContainer, type ServiceArgs, stateVolume } from "./container.ts";

export interface MailCertsArgs extends ServiceArgs {
  /** Names of the volumes on the Docker host. */
  readonly volumeNames: { readonly certs: string; readonly acmeHome: string; readonly traefikDynamic: string };
  readonly certd: CertdSettings;
  /** API token for DNS-01; becomes a file that only the sidecar's user reads. Default: none. */
  readonly challengeToken?: pulumi.Input<string> | undefined;
  /** PEM of the private key to order with. Default: acme.sh makes one. */
  readonly mailKey?: pulumi.Input<string> | undefined;
  /** The operator's folder of certificates on the Docker host, if they come from there. */
  readonly customFolder?: string | undefined;
  /** What the stack's own CA has issued, as PEM texts, if certificates come from it. */
  readonly internal?: { readonly fullchain: pulumi.Input<string>; readonly privkey: pulumi.Input<string> } | undefined;
  /** `sha256` of the health API's bearer token; becomes such a file too. Default: none, and the API is off. */
  readonly healthTokenSha256?: pulumi.Input<string> | undefined;
}

/** What leaves the stack of a token that is only compared: its SHA-256 in hex, as a secret. */
export function sha256(token: string): pulumi.Output<string> {
  return pulumi.secret(createHash("sha256").update(token).digest("hex"));
}

/** The files that only certd reads; it runs as the container's root, without any capability. */
const secrets = "/etc/vectis/secrets";

/** Where the sidecar finds the key to order with. */
export const mailKeyFile = `${secrets}/mail-privkey.pem`;

/** Where the sidecar finds the operator's folder. */
export const customFolder = "/etc/vectis/certs";

/** Where the sidecar finds what the stack's own CA has issued. */
export const internalFiles = {
  fullchain: `${secrets}/internal-fullchain.pem`,
  privkey: `${secrets}/internal-privkey.pem`,
} as const;

export class MailCerts extends pulumi.ComponentResource {
  /** Volume with the published generations, for `/etc/ssl/mail`. */
  readonly certsVolume: pulumi.Output<string>;
  /** Volume that is Traefik's watched folder; certd writes all of it. */
  readonly traefikDynamicVolume: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: MailCertsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:tls:MailCerts", name, args, opts);
    const { owner, data, volumeNames } = args;
    const volume = (suffix: string, volumeName: string): docker.Volume =>
      stateVolume(`${name}-${suffix}`, { volumeName, owner, data }, { parent: this });
    const certs = volume("certs", volumeNames.certs);
    // Account key, certificate keys: losing it costs a new account and an order against the rate limit.
    const acmeHome = volume("acme-home", volumeNames.acmeHome);
    // Rewritten by certd at every start, so nothing is lost with it.
    const traefikDynamic = volume("traefik-dynamic", volumeNames.traefikDynamic);
    const secret = (path: string, content: pulumi.Input<string> | undefined): ConfigFile[] =>
      content === undefined ? [] : [{ path, content: pulumi.secret(content), mode: "0600" }];
    const files: ConfigFile[] = [
      ...secret(`${secrets}/cloudflare-token`, args.challengeToken),
      ...secret(mailKeyFile, args.mailKey),
      ...secret(`${secrets}/health-token.sha256`, args.healthTokenSha256),
      ...secret(internalFiles.privkey, args.internal?.privkey),
      ...(args.internal === undefined ? [] : [{ path: internalFiles.fullchain, content: args.internal.fullchain }]),
    ];
    const container = mailContainer(
      name,
      args,
      {
        volumes: [
          { volume: certs.name, path: "/etc/ssl/mail", access: "read-write" },
          { volume: acmeHome.name, path: "/acme.sh", access: "read-write" },
          { volume: traefikDynamic.name, path: "/etc/traefik/dynamic", access: "read-write" },
        ],
        hostFolders: args.customFolder === undefined ? [] : [{ hostPath: args.customFolder, path: customFolder }],
        tmpfs: { "/run": "rw,nosuid,nodev,size=16m,mode=0755", "/tmp": "rw,nosuid,nodev,size=64m,mode=1777" },
        files,
        envs: { CERTD_CONFIG: JSON.stringify(args.certd) },
        // None at all: it owns what it writes, and listens on port 8080.
        capabilities: [],
        // By it certd gives Traefik the one file that nobody else may read: a key that both serve.
        groups: [TRAEFIK_GROUP],
        memory: 256,
        health: ["certd-health"],
      },
      { parent: this },
    );
    this.certsVolume = certs.name;
    this.traefikDynamicVolume = traefikDynamic.name;
    this.containerName = container.name;
    this.registerOutputs({
      certsVolume: this.certsVolume,
      traefikDynamicVolume: this.traefikDynamicVolume,
      containerName: this.containerName,
    });
  }
}
