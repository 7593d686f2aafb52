// The inputs of docker.Container as data: which replace, which update in place, which are only stored.
import { parseDuration } from "../duration.ts";
import {
  atLeast,
  flag,
  int,
  labels,
  map,
  matches,
  object,
  objectList,
  objectSet,
  text,
  textList,
  textSet,
  type Fields,
} from "../../protocol/schema.ts";
import { isBag, type Plain } from "../../protocol/value.ts";

const replaces = true;
const computed = true;
const required = true;
const whole = true;

// Rules never repeat the value: it may be a secret.
const duration = {
  default: "0s",
  rule: (value: Plain): string | undefined => {
    if (typeof value !== "string") return undefined;
    const parsed = parseDuration(value);
    return parsed !== undefined && parsed >= 0 ? undefined : "must be a duration like 30s or 1m30s";
  },
};
const absolute = matches(/^(\/|[A-Za-z]:\\)/, "must be an absolute path");
const mode = matches(/^0[0-7]{3}$/, "doesn't match the pattern '^0[0-7]{3}$', for example 0640");

/** Order makes no difference to ports: the same internal ports with the same outside are the same list. */
export function samePorts(before: Plain, after: Plain): boolean {
  if (!Array.isArray(before) || !Array.isArray(after) || before.length !== after.length) return false;
  return before.every(
    (old) =>
      isBag(old) &&
      after.some(
        (now) =>
          isBag(now) &&
          now["internal"] === old["internal"] &&
          (now["external"] === undefined || now["external"] === old["external"]) &&
          (now["protocol"] ?? "tcp") === old["protocol"] &&
          (now["ip"] ?? "0.0.0.0") === old["ip"],
      ),
  );
}

export const fields: Fields = {
  name: text({ replaces }),
  image: text({ replaces, required }),
  command: textList({ replaces, computed }),
  entrypoints: textList({ replaces, computed }),
  hostname: text({ replaces, computed }),
  domainname: text({ replaces }),
  user: text({ replaces, emptyIsNoChange: true }),
  workingDir: text({ replaces, emptyIsNoChange: true }),
  envs: textSet({ replaces, computed }),
  labels: labels({ computed }),

  networkMode: text({ replaces, default: "bridge" }),
  networksAdvanced: objectSet(
    {
      name: text({ required }),
      aliases: textSet(),
      ipv4Address: text(),
      ipv6Address: text(),
      linkLocalIps: textSet(),
      macAddress: text(),
      driverOpts: textSet(),
      gwPriority: int({ rule: atLeast(0) }),
    },
    { replaces, whole },
  ),
  ports: objectList(
    {
      internal: int({ required }),
      external: int({ computed }),
      ip: text({ default: "0.0.0.0" }),
      protocol: text({ default: "tcp" }),
    },
    { replaces, same: samePorts },
  ),
  publishAllPorts: flag({ replaces }),
  dns: textSet({ replaces }),
  dnsOpts: textSet({ replaces }),
  dnsSearches: textSet({ replaces }),
  hosts: objectSet({ host: text({ required }), ip: text({ required }) }, { replaces }),

  volumes: objectSet(
    {
      containerPath: text(),
      fromContainer: text(),
      hostPath: text({ rule: absolute }),
      readOnly: flag(),
      selinuxRelabel: text({ rule: matches(/^[zZ]$/, "must be z or Z") }),
      volumeName: text(),
    },
    { replaces, whole },
  ),
  mounts: objectSet(
    {
      type: text({ required, rule: matches(/^(bind|volume|tmpfs)$/, "must be bind, volume or tmpfs") }),
      target: text({ required }),
      source: text(),
      readOnly: flag(),
      bindOptions: object({
        propagation: text({
          rule: matches(
            /^(r?private|r?shared|r?slave)$/,
            "must be private, rprivate, shared, rshared, slave or rslave",
          ),
        }),
      }),
      volumeOptions: object({
        noCopy: flag(),
        labels: labels(),
        driverName: text(),
        driverOptions: map(),
        subpath: text(),
      }),
      tmpfsOptions: object({ sizeBytes: int(), mode: int() }),
    },
    { replaces, whole },
  ),
  // Stored, never applied to a running container: an upstream trap that programs answer with replaceOnChanges.
  tmpfs: map(),
  uploads: objectSet(
    {
      file: text({ required }),
      content: text(),
      contentBase64: text({ rule: matches(/^[A-Za-z0-9+/\s]*={0,2}\s*$/, "is not Base64") }),
      source: text(),
      sourceHash: text(),
      executable: flag({ default: false }),
      permissions: text({ rule: mode }),
      owner: text({ rule: matches(/^\d+$/, "must be a numeric user id") }),
      group: text({ rule: matches(/^\d+$/, "must be a numeric group id") }),
    },
    { replaces, whole },
  ),

  capabilities: object({ adds: textSet(), drops: textSet() }, { replaces }),
  securityOpts: textSet({ replaces, computed }),
  privileged: flag({ replaces }),
  readOnly: flag({ replaces }),
  groupAdds: textSet({ replaces }),
  sysctls: map({ replaces }),
  ulimits: objectSet({ name: text({ required }), soft: int({ required }), hard: int({ required }) }, { replaces }),
  pidMode: text({ replaces }),
  ipcMode: text({ replaces, computed }),
  usernsMode: text({ replaces }),
  cgroupnsMode: text({ replaces }),
  cgroupParent: text({ replaces }),
  runtime: text({ replaces, computed }),
  init: flag({ computed }),
  tty: flag({ replaces }),
  stdinOpen: flag({ replaces }),
  storageOpts: map({ replaces }),

  memory: int({ rule: atLeast(0) }),
  // Without a value the daemon makes it twice the memory, and that stays: a difference at every update.
  memorySwap: int({ stays: true, rule: atLeast(-1) }),
  memoryReservation: int({ rule: atLeast(0) }),
  shmSize: int({ replaces, computed, rule: atLeast(0) }),
  cpuShares: int({ rule: atLeast(0) }),
  cpuSet: text({ rule: matches(/^\d+([,-]\d+)*$/, "must be a list of processors like 0-1,3") }),
  cpus: text({ replaces }),
  cpuPeriod: int({ rule: atLeast(0) }),
  cpuQuota: int({ rule: atLeast(0) }),

  logDriver: text({ replaces, computed }),
  logOpts: map({ replaces }),
  healthcheck: object(
    {
      tests: textList(),
      interval: text(duration),
      timeout: text(duration),
      startPeriod: text(duration),
      startInterval: text(duration),
      retries: int({ default: 0, rule: atLeast(0) }),
    },
    { computed },
  ),
  restart: text({
    default: "no",
    rule: matches(/^(no|on-failure|always|unless-stopped)$/, "must be no, on-failure, always or unless-stopped"),
  }),
  maxRetryCount: int(),
  stopSignal: text({ replaces, computed }),
  stopTimeout: int({ replaces, computed }),
  start: flag({ default: true }),
  wait: flag(),
  waitTimeout: int({ default: 60 }),
  mustRun: flag({ default: true }),
  rm: flag(),
  removeVolumes: flag({ default: true }),
  destroyGraceSeconds: int(),
  containerReadRefreshTimeoutMilliseconds: int({ default: 15000 }),

  platform: text({ output: true }),
  bridge: text({ output: true }),
  exitCode: int({ output: true }),
  containerLogs: text({ output: true }),
  networkDatas: objectList({}, { output: true }),
};

/** What the official provider also takes and a mail stack never sets. */
export const refused = [
  "attach",
  "logs",
  "devices",
  "deviceCgroupRules",
  "deviceReadBps",
  "deviceReadIops",
  "deviceRequests",
  "deviceWriteBps",
  "deviceWriteIops",
  "gpus",
] as const;
