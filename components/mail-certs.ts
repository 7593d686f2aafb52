// The mail certificate: its volume, and the sidecar (acme.sh driven by certd) that orders, checks and publishes it.
// Who reads the volume is none of its business.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Settings as CertdSettings } from "../certd/settings.ts";
import { type DataPolicy, type ImageSpec, mailContainer, type NetworkAttachment, stateVolume } from "./container.ts";

export interface MailCertsArgs {
  readonly containerName: string;
  /** Names of the volumes on the Docker host. */
  readonly volumeNames: { readonly certs: string; readonly acmeHome: string; readonly traefikDynamic: string };
  readonly owner: string;
  readonly data: DataPolicy;
  readonly image: ImageSpec;
  readonly networks: readonly NetworkAttachment[];
  readonly resolvers: readonly string[];
  readonly certd: CertdSettings;
  /** API token for DNS-01; becomes a file that only the sidecar's user reads. Default: none. */
  readonly challengeToken?: pulumi.Input<string> | undefined;
}

const secrets = "/etc/vectis/secrets";

export class MailCerts extends pulumi.ComponentResource {
  /** Volume with the published generations, for `/etc/ssl/mail`. */
  readonly certsVolume: pulumi.Output<string>;
  /** Volume that is Traefik's watched folder: certd writes beside the stack's own file there. */
  readonly traefikDynamicVolume: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: MailCertsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:tls:MailCerts", name, args, opts);
    const { owner, data, volumeNames } = args;
    const volume = (suffix: string, volumeName: string, policy: DataPolicy): docker.Volume =>
      stateVolume(`${name}-${suffix}`, { volumeName, owner, data: policy }, { parent: this });
    const certs = volume("certs", volumeNames.certs, data);
    // Account key, certificate keys: losing it costs a new account and an order against the rate limit.
    const acmeHome = volume("acme-home", volumeNames.acmeHome, data);
    // Rewritten by the stack and certd at every start, so nothing is lost with it.
    const traefikDynamic = volume("traefik-dynamic", volumeNames.traefikDynamic, "delete");
    const container = mailContainer(
      name,
      {
        containerName: args.containerName,
        image: args.image,
        owner,
        networks: args.networks,
        volumes: [
          { volume: certs.name, path: "/etc/ssl/mail", access: "read-write" },
          { volume: acmeHome.name, path: "/acme.sh", access: "read-write" },
          { volume: traefikDynamic.name, path: "/etc/traefik/dynamic", access: "read-write" },
        ],
        tmpfs: { "/run": "rw,nosuid,nodev,size=16m,mode=0755", "/tmp": "rw,nosuid,nodev,size=64m,mode=1777" },
        files:
          args.challengeToken === undefined
            ? []
            : [{ path: `${secrets}/cloudflare-token`, content: args.challengeToken, mode: "0600" }],
        envs: { CERTD_CONFIG: JSON.stringify(args.certd) },
        // None at all: it owns what it writes, and listens on port 8080.
        capabilities: [],
        memory: 256,
        health: ["certd-health"],
        resolvers: args.resolvers,
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
