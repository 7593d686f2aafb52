// A small internet for development and tests, on one network: an ACME CA (Pebble), an authoritative DNS server (Knot) with a
// resolver, a stand-in for the Cloudflare API, and two mail sinks. The product knows only their names and addresses.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { apiHostname, caHostname, labAddresses } from "./addresses.ts";
import { bundle } from "./cloudflare/bundle.ts";
import { labImage } from "./image.ts";
import { labZones, renderKnotConf, renderUnboundConf, updateKey } from "./zones.ts";

const config = new pulumi.Config();
const name = config.require("name");
const subnet = config.require("subnet");
const publish = config.requireNumber("publish");
const at = labAddresses(subnet);

const network = new docker.Network("network", {
  name,
  driver: "bridge",
  ipamConfigs: [{ subnet }],
  labels: [{ label: "vectis.lab", value: name }],
});

interface LabContainer {
  readonly image: docker.RemoteImage;
  /** MB, swap not allowed on top. */
  readonly memory: number;
  readonly address?: string;
  readonly aliases?: string[];
  /** Run inside; exit 0 means that the server answers. */
  readonly healthy: string;
  readonly args?: Omit<docker.ContainerArgs, "image">;
  readonly after?: docker.Container[];
  /** A container whose replacement replaces this one: it holds what that one said at its start. */
  readonly follows?: docker.Container;
}

/** No capabilities, no root: every server here listens as an ordinary user, low ports are open to it in a container. */
function labContainer(role: string, what: LabContainer): docker.Container {
  return new docker.Container(
    role,
    {
      name: `${name}-${role}`,
      hostname: `${name}-${role}`,
      // The tag, not the id: it changes with the build context alone.
      image: what.image.name,
      networkMode: "bridge",
      networksAdvanced: [
        {
          name: network.name,
          ...(what.address === undefined ? {} : { ipv4Address: what.address }),
          ...(what.aliases === undefined ? {} : { aliases: what.aliases }),
        },
      ],
      restart: "unless-stopped",
      init: true,
      securityOpts: ["no-new-privileges:true"],
      capabilities: { drops: ["ALL"] },
      memory: what.memory,
      memorySwap: what.memory,
      logDriver: "json-file",
      logOpts: { "max-file": "2", "max-size": "10m" },
      labels: [
        { label: "vectis.lab", value: name },
        ...(what.follows === undefined ? [] : [{ label: "vectis.lab.follows", value: what.follows.id }]),
      ],
      destroyGraceSeconds: 5,
      healthcheck: {
        tests: ["CMD-SHELL", what.healthy],
        // Each look starts a process; a lab runs beside the stack that is measured.
        interval: "5s",
        timeout: "5s",
        startPeriod: "10s",
        retries: 10,
      },
      wait: true,
      waitTimeout: 60,
      ...what.args,
    },
    {
      deleteBeforeReplace: true,
      replaceOnChanges: ["healthcheck", "tmpfs", "init"],
      ...(what.after === undefined ? {} : { dependsOn: what.after }),
    },
  );
}

const zones = labZones(at);
const dns = labContainer("dns", {
  image: labImage("knot"),
  memory: 128,
  address: at.dns,
  healthy: Object.keys(zones)
    .map((zone) => `kdig +short +retry=0 +time=1 @127.0.0.1 ${zone} DNSKEY | grep -q .`)
    .join(" && "),
  args: {
    uploads: [
      { file: "/etc/knot/knot.conf", content: renderKnotConf(Object.keys(zones)), permissions: "0444" },
      ...Object.entries(zones).map(([zone, content]) => ({
        file: `/var/lib/knot/zones/${zone}.zone`,
        content,
        permissions: "0444",
      })),
    ],
  },
});

const resolver = labContainer("resolver", {
  image: labImage("resolver"),
  memory: 128,
  address: at.resolver,
  healthy: "kdig +short +retry=0 +time=1 @127.0.0.1 sink.test SOA | grep -q .",
  follows: dns,
  args: {
    command: ["resolver", at.dns, ...Object.keys(zones)],
    uploads: [
      {
        file: "/etc/unbound/lab.conf",
        content: renderUnboundConf(Object.keys(zones), at.dns),
        permissions: "0444",
      },
    ],
  },
});

const https = (file: string) => readFileSync(join(import.meta.dirname, "../.vectis/lab", file), "utf8");
/** Readable inside the container only; nobody else runs there. */
const httpsUploads = (hostname: string, folder: string) => [
  { file: `${folder}/leaf.pem`, content: https(`${hostname}.pem`), permissions: "0444" },
  { file: `${folder}/leaf-key.pem`, content: pulumi.secret(https(`${hostname}-key.pem`)), permissions: "0444" },
];

// What the API knows outlives its container: a later version of the lab finds the records that a stack has made.
const records = new docker.Volume("cloudflare", {
  name: `${name}-cloudflare`,
  labels: [{ label: "vectis.lab", value: name }],
});
const cloudflare = labContainer("cloudflare", {
  image: labImage("cloudflare"),
  memory: 192,
  aliases: [apiHostname],
  healthy: "bash -c '</dev/tcp/127.0.0.1/8080'",
  follows: dns,
  args: {
    command: [
      ...["node", "/usr/local/lib/lab-cloudflare/main.mjs"],
      ...[at.dns, `${updateKey.algorithm}:${updateKey.name}`, updateKey.secret],
    ],
    ports: [{ internal: 8080, external: publish + 1, ip: "127.0.0.1" }],
    volumes: [{ volumeName: records.name, containerPath: "/var/lib/lab-cloudflare" }],
    uploads: [
      { file: "/usr/local/lib/lab-cloudflare/main.mjs", content: bundle(), permissions: "0444" },
      ...httpsUploads(apiHostname, "/etc/lab-cloudflare"),
    ],
  },
});

const ca = labContainer("ca", {
  image: labImage("pebble"),
  memory: 256,
  aliases: [caHostname],
  healthy: "curl -sf --cacert /etc/pebble/https-ca.pem -o /dev/null https://localhost:14000/dir",
  after: [resolver],
  args: {
    // Docker's own resolver first, which knows the containers by their aliases; it passes the rest on to the lab's, which follows
    // an alias from one zone into another.
    command: ["pebble", "-config", "/etc/pebble/config.json", "-dnsserver", "127.0.0.11:53"],
    dns: [at.resolver],
    envs: [
      // Every order is validated anew, without the random wait; 5 % of all requests meet a stale nonce, as in real life.
      "PEBBLE_AUTHZREUSE=0",
      "PEBBLE_VA_NOSLEEP=1",
      "PEBBLE_WFE_NONCEREJECT=5",
    ],
    ports: [{ internal: 15000, external: publish, ip: "127.0.0.1" }],
    uploads: [
      {
        file: "/etc/pebble/config.json",
        content: JSON.stringify({
          pebble: {
            listenAddress: "0.0.0.0:14000",
            managementListenAddress: "0.0.0.0:15000",
            certificate: "/etc/pebble/leaf.pem",
            privateKey: "/etc/pebble/leaf-key.pem",
            httpPort: 80,
            tlsPort: 443,
            certificateValidityPeriod: config.requireNumber("certificateSeconds"),
          },
        }),
        permissions: "0444",
      },
      { file: "/etc/pebble/https-ca.pem", content: https("https-ca.pem"), permissions: "0444" },
      ...httpsUploads(caHostname, "/etc/pebble"),
    ],
  },
});

const sink = labImage("sink");
const greets = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/25 && read -r -t 2 line <&3 && echo QUIT >&3'";
const sinks = [
  labContainer("sink-tls", {
    image: sink,
    memory: 128,
    address: at.sinkTls,
    aliases: ["tls.sink.test"],
    healthy: greets,
    args: { command: ["sink", "serve", "--starttls", "tls.sink.test"] },
  }),
  labContainer("sink-plain", {
    image: sink,
    memory: 128,
    address: at.sinkPlain,
    aliases: ["plain.sink.test"],
    healthy: greets,
    args: { command: ["sink", "serve"] },
  }),
];

export const directory = `https://${caHostname}:14000/dir`;
export const management = `https://127.0.0.1:${publish}`;
export const dnsAddress = at.dns;
export const networkName = network.name;
export const cloudflareApi = `http://127.0.0.1:${publish + 1}/client/v4`;
export const resolverAddress = at.resolver;
export const containers = [dns, resolver, cloudflare, ca, ...sinks].map((container) => container.name);
