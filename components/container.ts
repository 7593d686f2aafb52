// The one way in which this stack makes a container: locked down by default, every loosening named by the caller.
// Also the small value types that containers are described with.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { type DataPolicy, holdsData } from "./data-policy.ts";

/** An image built on the Docker host, named by the hash of its content. */
export interface ImageSpec {
  /** Full name with tag, for example `vectis/postfix:0123456789ab`. */
  readonly tag: string;
  /** Build context, relative to the project's folder. */
  readonly context: string;
  /** Path of the Dockerfile within the context. */
  readonly dockerfile: string;
  readonly buildArgs: Readonly<Record<string, string>>;
}

export interface PublishedPort {
  /** Port in the container. */
  readonly internal: number;
  /** Port on the host. */
  readonly external: number;
  /** Address of the host to listen on. */
  readonly ip: string;
}

/** A volume in a container. */
export interface VolumeMount {
  readonly volume: pulumi.Input<string>;
  readonly path: string;
  readonly access: "read-only" | "read-write";
}

/** A folder of the Docker host in a container; read-only. */
export interface HostFolder {
  readonly hostPath: string;
  readonly path: string;
}

/** A file put into the container before it starts. */
export interface ConfigFile {
  readonly path: string;
  readonly content: pulumi.Input<string>;
  /** Octal. Default: 0644. */
  readonly mode?: "0600" | "0644";
}

/** A network that the container joins, and the names by which it is found there. */
export interface NetworkAttachment {
  readonly network: pulumi.Input<string>;
  readonly aliases: readonly string[];
}

/** Linux capabilities in the form that Docker keeps them: the short form replaces the container after every refresh. */
export type Capability =
  "CAP_CHOWN" | "CAP_DAC_OVERRIDE" | "CAP_FOWNER" | "CAP_SETGID" | "CAP_SETUID" | "CAP_SYS_CHROOT";

/** Whose a container, network or volume is. Two stacks of one Docker host may be given the same `name` by mistake. */
export function ownershipLabels(owner: string): { label: string; value: string }[] {
  return [
    { label: "vectis.stack", value: owner },
    { label: "vectis.pulumi-stack", value: pulumi.getStack() },
  ];
}

/** What every service of the stack is told. */
export interface ServiceArgs {
  /** Name of the container on the Docker host. */
  readonly containerName: string;
  readonly image: ImageSpec;
  /** Value of the ownership label: the stack's `name`. */
  readonly owner: string;
  readonly data: DataPolicy;
  readonly networks: readonly NetworkAttachment[];
  /** Published ports; may be none. */
  readonly ports: readonly PublishedPort[];
  /** DNS servers; none: those of the Docker host. */
  readonly resolvers: readonly string[];
}

/** How a service is contained. */
export interface Containment {
  readonly volumes: readonly VolumeMount[];
  /** Default: none. */
  readonly hostFolders?: readonly HostFolder[];
  /** Writable memory file systems: path to mount options. */
  readonly tmpfs: Readonly<Record<string, string>>;
  /**
   * What the container is told, and how. Files need a writable root file system (Docker refuses uploads otherwise), so
   * a container has a read-only root exactly when it gets none.
   */
  readonly files?: readonly ConfigFile[];
  readonly envs?: Readonly<Record<string, pulumi.Input<string>>>;
  /** Capabilities beyond none. Default: none. */
  readonly capabilities?: readonly Capability[];
  /** Numeric ids of further groups of its processes. Default: none. */
  readonly groups?: readonly number[];
  /** Memory limit in MiB; swap is not added to it. */
  readonly memory: number;
  /** Command whose exit status 0 means healthy, run every 10 s. */
  readonly health: readonly string[];
}

/** Seconds that a container gets to stop cleanly; without it the provider kills at once. */
const graceSeconds = 30;

/**
 * Builds the image and runs one container from it, as children of `opts.parent` named after `name`.
 * The container restarts unless stopped, logs to rotated files and is replaced old first (its ports and name are taken).
 */
export function mailContainer(
  name: string,
  service: ServiceArgs,
  containment: Containment,
  opts: { readonly parent: pulumi.Resource },
): docker.Container {
  const image = new docker.RemoteImage(
    `${name}-image`,
    {
      name: service.image.tag,
      // Another stack, or the container that is about to be replaced, may still use it.
      keepLocally: true,
      build: {
        context: service.image.context,
        dockerfile: service.image.dockerfile,
        tags: [service.image.tag],
        buildArgs: service.image.buildArgs,
      },
    },
    opts,
  );
  const files = containment.files ?? [];
  return new docker.Container(
    name,
    {
      name: service.containerName,
      // The tag, not the image's id: it is known at preview, and it follows the content.
      image: image.name,
      // No hostname: Docker would make it an alias on every network, and the mail host's name would lead here too.
      networkMode: "bridge",
      networksAdvanced: service.networks.map(({ network, aliases }) => ({ name: network, aliases: [...aliases] })),
      ports: [...service.ports].sort((a, b) => a.internal - b.internal),
      volumes: [
        ...containment.volumes.map(({ volume, path, access }) => ({
          volumeName: volume,
          containerPath: path,
          readOnly: access === "read-only",
        })),
        ...(containment.hostFolders ?? []).map(({ hostPath, path }) => ({
          hostPath,
          containerPath: path,
          readOnly: true,
        })),
      ],
      tmpfs: containment.tmpfs,
      uploads: files.map(({ path, content, mode }) => ({ file: path, content, permissions: mode ?? "0644" })),
      readOnly: files.length === 0,
      envs: Object.entries(containment.envs ?? {}).map(([key, value]) => pulumi.interpolate`${key}=${value}`),
      capabilities: { drops: ["ALL"], adds: [...(containment.capabilities ?? [])] },
      ...(containment.groups === undefined ? {} : { groupAdds: containment.groups.map(String) }),
      securityOpts: ["no-new-privileges:true"],
      memory: containment.memory,
      // Without it the daemon stores twice the memory, and every update shows a change.
      memorySwap: containment.memory,
      ...(service.resolvers.length > 0 ? { dns: [...service.resolvers] } : {}),
      restart: "unless-stopped",
      stopTimeout: graceSeconds,
      destroyGraceSeconds: graceSeconds,
      healthcheck: {
        tests: ["CMD", ...containment.health],
        interval: "10s",
        timeout: "5s",
        startPeriod: "30s",
        retries: 3,
      },
      logDriver: "json-file",
      logOpts: { "max-size": "10m", "max-file": "3" },
      labels: ownershipLabels(service.owner),
    },
    pulumi.mergeOptions(opts, {
      deleteBeforeReplace: true,
      // The provider stores a change of these without applying it (terraform-provider-docker 988, 989).
      replaceOnChanges: ["healthcheck", "tmpfs", "init"],
    }),
  );
}

/**
 * A named volume. If it holds data, with `keep` it outlives the stack on the Docker host, and a later update under the
 * same name finds its data again; its labels never replace it.
 */
export function stateVolume(
  name: string,
  args: { readonly volumeName: string; readonly owner: string; readonly data: DataPolicy },
  opts: { readonly parent: pulumi.Resource },
): docker.Volume {
  return new docker.Volume(
    name,
    { name: args.volumeName, labels: ownershipLabels(args.owner) },
    pulumi.mergeOptions(opts, { retainOnDelete: args.data === "keep" && holdsData(name), ignoreChanges: ["labels"] }),
  );
}
