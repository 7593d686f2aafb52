// From a container's inputs to the calls of the Docker API that make it. Pure.
import type { ContainerCreateOptions, HostConfig, MountSettings } from "dockerode";
import { parseDuration } from "../duration.ts";
import type { Entry } from "../tar.ts";
import * as value from "../../protocol/value.ts";
import type { Bag } from "../../protocol/value.ts";

const MEBIBYTE = 1024 * 1024;

/** Megabytes as bytes; -1 (no limit) stays. */
const bytes = (megabytes: number): number => (megabytes > 0 ? megabytes * MEBIBYTE : megabytes);

/** Leaves out what is empty: the daemon's own default applies then. */
function set<T extends object>(values: T): Partial<T> {
  const filled = Object.entries(values as Record<string, unknown>).filter(([, given]) => {
    if (Array.isArray(given)) return given.length > 0;
    if (typeof given === "object" && given !== null) return Object.keys(given).length > 0;
    return given !== undefined && given !== "" && given !== 0 && given !== false;
  });
  return Object.fromEntries(filled) as Partial<T>;
}

export function createOptions(inputs: Bag): ContainerCreateOptions {
  const stopTimeout = value.int(inputs, "stopTimeout");
  return {
    name: value.text(inputs, "name"),
    Image: value.text(inputs, "image"),
    ...set({
      Hostname: value.text(inputs, "hostname"),
      Domainname: value.text(inputs, "domainname"),
      User: value.text(inputs, "user"),
      WorkingDir: value.text(inputs, "workingDir"),
      Cmd: value.texts(inputs, "command"),
      Entrypoint: value.texts(inputs, "entrypoints"),
      Env: value.texts(inputs, "envs"),
      Labels: value.labelMap(inputs),
      Tty: value.flag(inputs, "tty"),
      OpenStdin: value.flag(inputs, "stdinOpen"),
      StopSignal: value.text(inputs, "stopSignal"),
      StopTimeout: stopTimeout,
      ExposedPorts: Object.fromEntries(value.bags(inputs, "ports").map((port) => [portKey(port), {}])),
      Volumes: Object.fromEntries(volumePaths(inputs).map((path) => [path, {}])),
      Healthcheck: healthcheck(inputs),
    }),
    HostConfig: hostConfig(inputs),
  };
}

function hostConfig(inputs: Bag): HostConfig {
  const cpus = value.text(inputs, "cpus");
  return {
    RestartPolicy: restartPolicy(inputs),
    LogConfig: { Type: value.text(inputs, "logDriver"), Config: value.textMap(inputs, "logOpts") },
    ReadonlyRootfs: value.flag(inputs, "readOnly"),
    // Always said: the daemon would otherwise apply its own setting and the state could never be the program's.
    Init: value.flag(inputs, "init"),
    ...set({
      NetworkMode: value.text(inputs, "networkMode"),
      PortBindings: portBindings(inputs),
      PublishAllPorts: value.flag(inputs, "publishAllPorts"),
      Binds: binds(inputs),
      VolumesFrom: value
        .bags(inputs, "volumes")
        .map((volume) => value.text(volume, "fromContainer"))
        .filter(Boolean),
      Mounts: value.bags(inputs, "mounts").map(mount),
      Tmpfs: value.textMap(inputs, "tmpfs"),
      CapAdd: capabilities(inputs, "adds"),
      CapDrop: capabilities(inputs, "drops"),
      SecurityOpt: value.texts(inputs, "securityOpts"),
      Privileged: value.flag(inputs, "privileged"),
      GroupAdd: value.texts(inputs, "groupAdds"),
      Sysctls: value.textMap(inputs, "sysctls"),
      Ulimits: value.bags(inputs, "ulimits").map((limit) => ({
        Name: value.text(limit, "name"),
        Soft: value.int(limit, "soft"),
        Hard: value.int(limit, "hard"),
      })),
      Dns: value.texts(inputs, "dns"),
      DnsOptions: value.texts(inputs, "dnsOpts"),
      DnsSearch: value.texts(inputs, "dnsSearches"),
      ExtraHosts: value.bags(inputs, "hosts").map((host) => `${value.text(host, "host")}:${value.text(host, "ip")}`),
      Memory: bytes(value.int(inputs, "memory")),
      MemorySwap: bytes(value.int(inputs, "memorySwap")),
      MemoryReservation: bytes(value.int(inputs, "memoryReservation")),
      ShmSize: bytes(value.int(inputs, "shmSize")),
      CpuShares: value.int(inputs, "cpuShares"),
      CpusetCpus: value.text(inputs, "cpuSet"),
      NanoCpus: cpus === "" ? 0 : Math.round(Number(cpus) * 1e9),
      CpuPeriod: cpus === "" ? value.int(inputs, "cpuPeriod") : 0,
      CpuQuota: cpus === "" ? value.int(inputs, "cpuQuota") : 0,
      PidMode: value.text(inputs, "pidMode"),
      IpcMode: value.text(inputs, "ipcMode"),
      UsernsMode: value.text(inputs, "usernsMode"),
      CgroupnsMode: value.text(inputs, "cgroupnsMode"),
      CgroupParent: value.text(inputs, "cgroupParent"),
      Runtime: value.text(inputs, "runtime"),
      StorageOpt: value.textMap(inputs, "storageOpts"),
      AutoRemove: value.flag(inputs, "rm"),
    }),
  };
}

/** Sent as CAP_… whatever the program wrote, because the official provider's client does so (moby/moby#48551). */
function capabilities(inputs: Bag, key: "adds" | "drops"): string[] {
  const named = value.texts(value.bag(inputs, "capabilities") ?? {}, key).map((name) => name.toUpperCase());
  return [...new Set(named.map((name) => (name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`)))].sort();
}

function restartPolicy(inputs: Bag) {
  return { Name: value.text(inputs, "restart") || "no", MaximumRetryCount: value.int(inputs, "maxRetryCount") };
}

function healthcheck(inputs: Bag) {
  const health = value.bag(inputs, "healthcheck");
  if (health === undefined) return {};
  const nanoseconds = (key: string) => parseDuration(value.text(health, key) || "0s") ?? 0;
  const startInterval = nanoseconds("startInterval");
  return {
    Test: value.texts(health, "tests"),
    Interval: nanoseconds("interval"),
    Timeout: nanoseconds("timeout"),
    StartPeriod: nanoseconds("startPeriod"),
    // Engines before API 1.44 refuse the field.
    ...(startInterval === 0 ? {} : { StartInterval: startInterval }),
    Retries: value.int(health, "retries"),
  };
}

const portKey = (port: Bag): string => `${value.int(port, "internal")}/${value.text(port, "protocol") || "tcp"}`;

function portBindings(inputs: Bag): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of value.bags(inputs, "ports")) {
    (bindings[portKey(port)] ??= []).push({
      HostIp: value.text(port, "ip") || "0.0.0.0",
      // 0 lets the daemon choose.
      HostPort: String(value.int(port, "external")),
    });
  }
  return bindings;
}

function volumePaths(inputs: Bag): string[] {
  return value
    .bags(inputs, "volumes")
    .map((volume) => value.text(volume, "containerPath"))
    .filter(Boolean);
}

/** @throws Error for an entry with neither a path nor a container, or with both */
function binds(inputs: Bag): string[] {
  return value.bags(inputs, "volumes").flatMap((volume) => {
    const path = value.text(volume, "containerPath");
    const from = value.text(volume, "fromContainer");
    if (path === "" && from === "") throw new Error("a volumes entry needs a containerPath (or a fromContainer)");
    if (path !== "" && from !== "")
      throw new Error("a volumes entry has both containerPath and fromContainer; use one");
    const source = value.text(volume, "hostPath") || value.text(volume, "volumeName");
    if (path === "" || source === "") return [];
    const relabel = value.text(volume, "selinuxRelabel");
    return [`${source}:${path}:${value.flag(volume, "readOnly") ? "ro" : "rw"}${relabel === "" ? "" : `,${relabel}`}`];
  });
}

function mount(given: Bag): MountSettings {
  const type = value.text(given, "type") as MountSettings["Type"];
  const bind = value.bag(given, "bindOptions");
  const volume = value.bag(given, "volumeOptions");
  const tmpfs = value.bag(given, "tmpfsOptions");
  const driver = volume && {
    Name: value.text(volume, "driverName"),
    Options: value.textMap(volume, "driverOptions"),
  };
  return {
    Type: type,
    Target: value.text(given, "target"),
    Source: value.text(given, "source"),
    ReadOnly: value.flag(given, "readOnly"),
    ...(type === "bind" && bind ? { BindOptions: { Propagation: value.text(bind, "propagation") as "private" } } : {}),
    ...(type === "volume" && volume && driver
      ? {
          VolumeOptions: {
            NoCopy: value.flag(volume, "noCopy"),
            Labels: value.labelMap(volume),
            DriverConfig: driver,
            ...set({ Subpath: value.text(volume, "subpath") }),
          },
        }
      : {}),
    ...(type === "tmpfs" && tmpfs
      ? { TmpfsOptions: { SizeBytes: value.int(tmpfs, "sizeBytes"), Mode: value.int(tmpfs, "mode") } }
      : {}),
  };
}

export interface Attachment {
  readonly network: string;
  readonly endpoint: {
    readonly Aliases: string[];
    readonly IPAMConfig: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] };
    readonly MacAddress?: string;
    readonly DriverOpts?: Record<string, string>;
    readonly GwPriority?: number;
  };
}

/** The networks to join in place of the default bridge. */
export function attachments(inputs: Bag): Attachment[] {
  return value.bags(inputs, "networksAdvanced").map((given) => ({
    network: value.text(given, "name"),
    endpoint: {
      Aliases: value.texts(given, "aliases"),
      IPAMConfig: set({
        IPv4Address: value.text(given, "ipv4Address"),
        IPv6Address: value.text(given, "ipv6Address"),
        LinkLocalIPs: value.texts(given, "linkLocalIps"),
      }),
      ...set({
        MacAddress: value.text(given, "macAddress"),
        DriverOpts: Object.fromEntries(
          value
            .texts(given, "driverOpts")
            .filter((option) => option.includes("="))
            .map((option) => [option.slice(0, option.indexOf("=")), option.slice(option.indexOf("=") + 1)]),
        ),
        GwPriority: value.int(given, "gwPriority"),
      }),
    },
  }));
}

/**
 * The files to put into the created container.
 * @param read reads an upload's `source` on the machine where the program runs
 * @throws Error when an upload has no content or more than one
 */
export function uploads(inputs: Bag, now: Date, read: (path: string) => Buffer): Entry[] {
  return value.bags(inputs, "uploads").map((upload) => {
    const file = value.text(upload, "file");
    const content = value.text(upload, "content");
    const base64 = value.text(upload, "contentBase64");
    const source = value.text(upload, "source");
    if ([content, base64, source].filter(Boolean).length !== 1) {
      throw new Error(
        `upload of ${file}: exactly one of 'content', 'contentBase64' and 'source' must be set and not be empty`,
      );
    }
    const data = content !== "" ? Buffer.from(content) : base64 !== "" ? Buffer.from(base64, "base64") : read(source);
    const permissions = value.text(upload, "permissions");
    return {
      name: file.replace(/^\/+/, ""),
      mode: permissions !== "" ? parseInt(permissions, 8) : value.flag(upload, "executable") ? 0o744 : 0o644,
      modified: Math.floor(now.getTime() / 1000),
      owner: Number(value.text(upload, "owner") || 0),
      group: Number(value.text(upload, "group") || 0),
      content: { is: "file", data },
    };
  });
}

/** The properties that an update really applies to a running container. */
export const APPLIED = [
  "restart",
  "maxRetryCount",
  "cpuShares",
  "memory",
  "memoryReservation",
  "cpuSet",
  "memorySwap",
] as const;

export function updateOptions(inputs: Bag): Record<string, unknown> {
  return {
    RestartPolicy: restartPolicy(inputs),
    CpuShares: value.int(inputs, "cpuShares"),
    Memory: bytes(value.int(inputs, "memory")),
    MemoryReservation: bytes(value.int(inputs, "memoryReservation")),
    CpusetCpus: value.text(inputs, "cpuSet"),
    ...set({ MemorySwap: bytes(value.int(inputs, "memorySwap")) }),
  };
}
