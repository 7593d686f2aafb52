// From what the Docker Engine says about a container to the state that the official provider would store. Pure.
import { formatDuration } from "../duration.ts";
import { complete } from "../../protocol/schema.ts";
import * as value from "../../protocol/value.ts";
import type { Bag, Plain } from "../../protocol/value.ts";
import { fields } from "./container-fields.ts";

/**
 * created: the prior bag is the inputs, and nested collections keep the program's form.
 * refreshed: the prior bag is the last state, and the daemon's word counts wherever it is read at all.
 */
export type Occasion = "created" | "refreshed";

/** The part of the engine's answer that becomes state; the client's own type leaves out half of it. */
export interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Platform: string;
  readonly State: { readonly Running: boolean; readonly ExitCode: number; readonly Health?: Health | null };
  readonly Config: {
    readonly Image: string;
    readonly Hostname: string;
    readonly Domainname: string;
    readonly User: string;
    readonly WorkingDir: string;
    readonly Tty: boolean;
    readonly OpenStdin: boolean;
    readonly Cmd?: string[] | null;
    readonly Entrypoint?: string | string[] | null;
    readonly Env?: string[] | null;
    readonly Labels?: Record<string, string> | null;
    readonly StopSignal?: string;
    readonly StopTimeout?: number | null;
    readonly Healthcheck?: {
      readonly Test?: string[] | null;
      readonly Interval?: number;
      readonly Timeout?: number;
      readonly StartPeriod?: number;
      readonly StartInterval?: number;
      readonly Retries?: number;
    } | null;
  };
  readonly HostConfig: {
    readonly NetworkMode?: string;
    readonly PortBindings?: object | null;
    readonly PublishAllPorts?: boolean;
    readonly Binds?: string[] | null;
    readonly Mounts?: Mount[] | null;
    readonly Tmpfs?: Record<string, string> | null;
    readonly CapAdd?: string[] | null;
    readonly CapDrop?: string[] | null;
    readonly SecurityOpt?: string[] | null;
    readonly Privileged?: boolean;
    readonly ReadonlyRootfs?: boolean;
    readonly GroupAdd?: string[] | null;
    readonly Sysctls?: Record<string, string> | null;
    readonly Ulimits?: { readonly Name: string; readonly Soft: number; readonly Hard: number }[] | null;
    readonly Dns?: string[] | null;
    readonly DnsOptions?: string[] | null;
    readonly DnsSearch?: string[] | null;
    readonly ExtraHosts?: string[] | null;
    readonly PidMode?: string;
    readonly IpcMode?: string;
    readonly UsernsMode?: string;
    readonly Runtime?: string;
    readonly Init?: boolean | null;
    readonly StorageOpt?: Record<string, string> | null;
    readonly Memory?: number;
    readonly MemorySwap?: number;
    readonly MemoryReservation?: number;
    readonly ShmSize?: number;
    readonly CpuShares?: number;
    readonly CpusetCpus?: string;
    readonly NanoCpus?: number;
    readonly LogConfig?: { readonly Type: string; readonly Config?: Record<string, string> | null };
    readonly RestartPolicy?: { readonly Name: string; readonly MaximumRetryCount?: number };
    readonly AutoRemove?: boolean;
  };
  readonly NetworkSettings: {
    readonly Bridge?: string;
    readonly Ports?: Record<string, { readonly HostIp: string; readonly HostPort: string }[] | null> | null;
    readonly Networks?: Record<string, Endpoint> | null;
  };
}

export interface Health {
  readonly Status?: string;
  readonly Log?: readonly { readonly ExitCode: number; readonly Output: string }[] | null;
}

interface Endpoint {
  readonly IPAddress: string;
  readonly IPPrefixLen: number;
  readonly Gateway: string;
  readonly GlobalIPv6Address: string;
  readonly GlobalIPv6PrefixLen: number;
  readonly IPv6Gateway: string;
  readonly MacAddress: string;
  readonly Aliases?: string[] | null;
  readonly IPAMConfig?: { readonly IPv4Address?: string } | null;
}

interface Mount {
  readonly Type: string;
  readonly Target: string;
  readonly Source?: string;
  readonly ReadOnly?: boolean;
  readonly BindOptions?: { readonly Propagation?: string } | null;
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Labels?: Record<string, string> | null;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Record<string, string> | null } | null;
    readonly Subpath?: string;
  } | null;
  readonly TmpfsOptions?: { readonly SizeBytes?: number; readonly Mode?: number } | null;
}

/** Never told by the daemon, or not read by the official provider: kept as the program or the last state has them. */
const KEPT = [
  "start",
  "wait",
  "waitTimeout",
  "removeVolumes",
  "destroyGraceSeconds",
  "containerReadRefreshTimeoutMilliseconds",
  "cgroupParent",
  "cgroupnsMode",
  "cpuPeriod",
  "cpuQuota",
] as const;

/** Stored as nested lists, and kept for the same reason. */
const KEPT_LISTS = ["envs", "labels", "networksAdvanced", "uploads", "volumes"] as const;

const megabytes = (bytes: number | undefined): number =>
  (bytes ?? 0) > 0 ? Math.floor((bytes ?? 0) / 1024 / 1024) : (bytes ?? 0);

export function containerState(seen: Inspected, prior: Bag, occasion: Occasion): Bag {
  const host = seen.HostConfig;
  const refreshed = occasion === "refreshed";
  const stored = (key: string): Plain => {
    const field = fields[key];
    return field === undefined ? null : complete(field.shape, prior[key] ?? [], refreshed);
  };
  /** A nested list that the daemon tells too; a create keeps the program's form of it. */
  const told = (key: string, daemon: Plain[]): Plain =>
    !refreshed && value.list(prior, key).length > 0 ? stored(key) : daemon;
  /** A plain list or map that the daemon tells: empty and absent are told apart right after a create only. */
  const plain = (key: string, daemon: string[] | Record<string, string> | null | undefined): Plain => {
    const empty = daemon === null || daemon === undefined || Object.keys(daemon).length === 0;
    if (!empty) return daemon;
    if (!refreshed) return prior[key] ?? null;
    return fields[key]?.shape.is === "map" ? {} : [];
  };

  const state: Bag = {
    attach: false,
    logs: false,
    bridge: seen.NetworkSettings.Bridge ?? "",
    containerLogs: null,
    exitCode: seen.State.Running ? (prior["exitCode"] ?? null) : seen.State.ExitCode,
    gpus: null,
    deviceReadBps: [],
    deviceReadIops: [],
    deviceRequests: [],
    deviceWriteBps: [],
    deviceWriteIops: [],
    devices: [],
    platform: seen.Platform,

    name: seen.Name.replace(/^\/+/, ""),
    image: value.text(prior, "image").startsWith("sha256:") ? seen.Image : seen.Config.Image,
    command: seen.Config.Cmd ?? [],
    entrypoints: [seen.Config.Entrypoint ?? []].flat(),
    hostname: seen.Config.Hostname,
    domainname: seen.Config.Domainname,
    user: seen.Config.User,
    workingDir: seen.Config.WorkingDir,
    tty: seen.Config.Tty,
    stdinOpen: seen.Config.OpenStdin,
    stopSignal: seen.Config.StopSignal ?? "",
    stopTimeout: seen.Config.StopTimeout ?? 0,
    healthcheck: healthcheck(seen) ?? prior["healthcheck"] ?? null,

    // Stopped although it must run: stored as false, so that the next update starts it again.
    mustRun: seen.State.Running ? (prior["mustRun"] ?? null) : false,
    networkMode: host.NetworkMode ?? null,
    networkDatas: networkDatas(seen),
    ports: ports(seen, prior, stored("ports")),
    publishAllPorts: host.PublishAllPorts ?? false,
    dns: plain("dns", host.Dns),
    dnsOpts: plain("dnsOpts", host.DnsOptions),
    dnsSearches: plain("dnsSearches", host.DnsSearch),
    hosts: told("hosts", (host.ExtraHosts ?? []).map(extraHost)),

    mounts: told("mounts", (host.Mounts ?? []).map(mount)),
    tmpfs: plain("tmpfs", host.Tmpfs),
    capabilities: capabilities(seen, prior, refreshed),
    securityOpts: host.SecurityOpt ?? [],
    privileged: host.Privileged ?? false,
    readOnly: host.ReadonlyRootfs ?? false,
    groupAdds: plain("groupAdds", host.GroupAdd),
    sysctls: plain("sysctls", host.Sysctls),
    ulimits:
      value.list(prior, "ulimits").length === 0
        ? []
        : told(
            "ulimits",
            (host.Ulimits ?? []).map((limit) => ({
              name: limit.Name,
              soft: limit.Soft,
              hard: limit.Hard,
            })),
          ),
    pidMode: value.text(prior, "pidMode") === "" ? (prior["pidMode"] ?? null) : (host.PidMode ?? ""),
    ipcMode: host.IpcMode ?? "",
    usernsMode: host.UsernsMode ?? "",
    runtime: host.Runtime ?? "",
    init: host.Init ?? false,
    storageOpts: plain("storageOpts", host.StorageOpt),

    memory: megabytes(host.Memory),
    memorySwap: megabytes(host.MemorySwap),
    memoryReservation: megabytes(host.MemoryReservation),
    shmSize: megabytes(host.ShmSize),
    cpuShares: host.CpuShares ?? 0,
    cpuSet: host.CpusetCpus ?? "",
    cpus: (host.NanoCpus ?? 0) > 0 ? String((host.NanoCpus ?? 0) / 1e9) : (prior["cpus"] ?? null),

    logDriver: host.LogConfig?.Type ?? "",
    logOpts: plain("logOpts", value.isBag(prior["logOpts"]) ? host.LogConfig?.Config : undefined),
    restart: host.RestartPolicy?.Name ?? "no",
    maxRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
    rm: host.AutoRemove ?? false,
  };
  for (const key of KEPT) state[key] = prior[key] ?? (key === "wait" ? false : null);
  for (const key of KEPT_LISTS) state[key] = stored(key);
  return state;
}

/**
 * The ports as bound, if ports were asked for. A stopped container that must run has none, so that the difference shows
 * (kreuzwerker/terraform-provider-docker#77).
 */
function ports(seen: Inspected, prior: Bag, kept: Plain): Plain {
  if (value.list(prior, "ports").length === 0) return [];
  if (!seen.State.Running && !value.flag(prior, "mustRun")) return kept;
  return Object.entries(seen.NetworkSettings.Ports ?? {})
    .map(([key, bound]) => {
      const [internal = "", protocol = "tcp"] = key.split("/");
      return {
        internal: Number(internal),
        protocol,
        bound: bound ?? [],
      };
    })
    .sort((a, b) => a.internal - b.internal)
    .flatMap(({ internal, protocol, bound }) =>
      bound.map(({ HostIp, HostPort }) => ({ internal, external: Number(HostPort), ip: HostIp, protocol })),
    );
}

function networkDatas(seen: Inspected): Bag[] {
  return Object.entries(seen.NetworkSettings.Networks ?? {}).map(([networkName, endpoint]) => ({
    networkName,
    ipAddress: endpoint.IPAddress,
    ipPrefixLength: endpoint.IPPrefixLen,
    gateway: endpoint.Gateway,
    globalIpv6Address: endpoint.GlobalIPv6Address,
    globalIpv6PrefixLength: endpoint.GlobalIPv6PrefixLen,
    ipv6Gateway: endpoint.IPv6Gateway,
    macAddress: endpoint.MacAddress,
  }));
}

/** The daemon spells capabilities CAP_…; a program that did not sees a replacement after the first refresh (moby/moby#48551). */
function capabilities(seen: Inspected, prior: Bag, refreshed: boolean): Plain {
  const asked = value.bag(prior, "capabilities");
  const told = { adds: seen.HostConfig.CapAdd ?? [], drops: seen.HostConfig.CapDrop ?? [] };
  if (!refreshed && asked !== undefined) {
    // In the daemon's order, so that a refresh changes nothing.
    return { adds: value.texts(asked, "adds").sort(), drops: value.texts(asked, "drops").sort() };
  }
  if (told.adds.length > 0 || told.drops.length > 0) return told;
  return asked ?? null;
}

function healthcheck(seen: Inspected): Bag | undefined {
  const health = seen.Config.Healthcheck;
  if (health === undefined || health === null) return undefined;
  return {
    tests: health.Test ?? [],
    interval: formatDuration(health.Interval ?? 0),
    timeout: formatDuration(health.Timeout ?? 0),
    startPeriod: formatDuration(health.StartPeriod ?? 0),
    startInterval: formatDuration(health.StartInterval ?? 0),
    retries: health.Retries ?? 0,
  };
}

function extraHost(entry: string): Bag {
  const colon = entry.indexOf(":");
  return { host: entry.slice(0, colon), ip: entry.slice(colon + 1) };
}

function mount(seen: Mount): Bag {
  const volume = seen.VolumeOptions;
  const tmpfs = seen.TmpfsOptions;
  return {
    type: seen.Type,
    target: seen.Target,
    source: seen.Source ?? "",
    readOnly: seen.ReadOnly ?? false,
    bindOptions: seen.BindOptions ? { propagation: seen.BindOptions.Propagation ?? "" } : null,
    volumeOptions: volume
      ? {
          noCopy: volume.NoCopy ?? false,
          labels: value.labelList(volume.Labels),
          driverName: volume.DriverConfig?.Name ?? "",
          driverOptions: volume.DriverConfig?.Options ?? {},
          subpath: volume.Subpath ?? "",
        }
      : null,
    tmpfsOptions: tmpfs ? { sizeBytes: tmpfs.SizeBytes ?? 0, mode: tmpfs.Mode ?? 0 } : null,
  };
}

/** What a container takes over from its image. */
interface Inherited {
  readonly Config: { readonly Env?: string[] | null; readonly Labels?: Record<string, string> | null };
}

/**
 * What to start from when a container is imported: the defaults of everything that the daemon does not tell, and what it tells
 * beyond a refresh (environment and labels beyond the image's, networks, volumes), so that a program that says the same imports cleanly.
 */
export function importedPrior(seen: Inspected, image: Inherited | undefined): Bag {
  const defaults = Object.fromEntries(
    Object.entries(fields)
      .filter(([, field]) => field.default !== undefined)
      .map(([key, field]) => [key, field.default ?? null]),
  );
  const inherited = new Set(image?.Config.Env ?? []);
  const inheritedLabels = image?.Config.Labels ?? {};
  const own = Object.entries(seen.Config.Labels ?? {}).filter(([key, text]) => inheritedLabels[key] !== text);
  const networks = Object.entries(seen.NetworkSettings.Networks ?? {}).filter(([name]) => name !== "bridge");
  return {
    ...defaults,
    image: seen.Config.Image,
    envs: (seen.Config.Env ?? []).filter((entry) => !inherited.has(entry)),
    labels: value.labelList(Object.fromEntries(own)),
    ports: Object.keys(seen.HostConfig.PortBindings ?? {}).length > 0 ? [{}] : [],
    ulimits: (seen.HostConfig.Ulimits ?? []).length > 0 ? [{}] : [],
    logOpts: Object.keys(seen.HostConfig.LogConfig?.Config ?? {}).length > 0 ? {} : null,
    networksAdvanced: networks.map(([name, endpoint]) => ({
      name,
      // The daemon adds the short id as an alias of its own.
      aliases: (endpoint.Aliases ?? []).filter((alias) => !seen.Id.startsWith(alias)),
      ...(endpoint.IPAMConfig?.IPv4Address ? { ipv4Address: endpoint.IPAMConfig.IPv4Address } : {}),
    })),
    volumes: (seen.HostConfig.Binds ?? []).map((bind) => {
      const [source = "", containerPath = "", mode = ""] = bind.split(":");
      const from = source.startsWith("/") ? { hostPath: source } : { volumeName: source };
      return { containerPath, ...from, readOnly: mode.split(",").includes("ro") };
    }),
  };
}
