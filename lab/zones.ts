// Zone files and configuration of the lab's DNS servers as text. Pure: same addresses, same bytes.
import { mailZone, secondZone, sinkZone, type LabAddresses } from "./addresses.ts";

type Rrset = readonly [owner: string, type: string, data: string];

/** One zone file. Owners are relative to `origin`; the serial stays 1, a changed zone comes with a new server. */
export function renderZone(origin: string, server: string, records: readonly Rrset[]): string {
  const all: readonly Rrset[] = [
    ["@", "SOA", `ns hostmaster 1 3600 600 604800 5`],
    ["@", "NS", "ns"],
    ["ns", "A", server],
    ...records,
  ];
  return [`$ORIGIN ${origin}.`, "$TTL 5", ...all.map((record) => record.join(" ")), ""].join("\n");
}

/**
 * The zones of the lab by name. Those of the Cloudflare API hold what it puts there. Inside the lab, the mail host's name
 * is its container's alias all the same: Docker's own resolver knows it first and passes only the rest on to this server.
 */
export function labZones(at: LabAddresses): Readonly<Record<string, string>> {
  return {
    [mailZone]: renderZone(mailZone, at.dns, []),
    [secondZone]: renderZone(secondZone, at.dns, []),
    [sinkZone]: renderZone(sinkZone, at.dns, [
      ["tls", "A", at.sinkTls],
      ["tls", "MX", "10 tls"],
      ["plain", "A", at.sinkPlain],
      ["plain", "MX", "10 plain"],
    ]),
  };
}

/** The TSIG key of the API's updates. No secret: it opens the lab's zones and nothing else. */
export const updateKey = {
  algorithm: "hmac-sha256",
  name: "cloudflare",
  secret: Buffer.from("the lab's Cloudflare API stand-in").toString("base64"),
} as const;

/**
 * knot.conf for `zones`, all of them signed. Zone files are read only; changes by dynamic update live in the journal. Whoever
 * asks may see a whole zone.
 */
export function renderKnotConf(zones: readonly string[]): string {
  return `server:
    listen: 0.0.0.0@53
    rundir: /run/knot
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: /var/lib/knot
key:
  - id: ${updateKey.name}
    algorithm: ${updateKey.algorithm}
    secret: ${updateKey.secret}
acl:
  - id: update
    key: ${updateKey.name}
    action: update
  - id: look
    action: transfer
policy:
  - id: signed
    algorithm: ecdsap256sha256
    single-type-signing: on
    cds-cdnskey-publish: none
template:
  - id: default
    storage: /var/lib/knot/zones
    file: "%s.zone"
    zonefile-sync: -1
    journal-max-usage: 16M
    acl: [update, look]
    dnssec-signing: on
    dnssec-policy: signed
zone:
${zones.map((zone) => `  - domain: ${zone}\n`).join("")}`;
}

/** unbound.conf of a resolver that knows `zones`, served at `server`, and refuses everything else. */
export function renderUnboundConf(zones: readonly string[], server: string): string {
  return `server:
    interface: 0.0.0.0
    port: 53
    access-control: 0.0.0.0/0 allow
    chroot: ""
    username: ""
    pidfile: ""
    logfile: ""
    use-syslog: no
    verbosity: 1
    num-threads: 1
    module-config: "validator iterator"
    trust-anchor-file: /run/unbound/anchors
    # Nothing here is asked often, and tests look at what has just been changed.
    cache-max-ttl: 1
    cache-max-negative-ttl: 1
    local-zone: . refuse
${zones.map((zone) => `    local-zone: ${zone}. transparent\n`).join("")}${zones
    .map((zone) => `stub-zone:\n    name: ${zone}.\n    stub-addr: ${server}\n`)
    .join("")}`;
}
