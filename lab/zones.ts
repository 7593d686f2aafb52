// Zone files and server configuration of the lab's DNS as text. Pure: same addresses, same bytes.
import { mailZone, sinkZone, type LabAddresses } from "./addresses.ts";

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
 * The zones of the lab by name. The mail host has no address here: its container's alias on the lab network answers for
 * it, through Docker's own resolver, which passes everything else on to this server.
 */
export function labZones(at: LabAddresses): Readonly<Record<string, string>> {
  return {
    [mailZone]: renderZone(mailZone, at.dns, [["@", "MX", "10 mail"]]),
    [sinkZone]: renderZone(sinkZone, at.dns, [
      ["tls", "A", at.sinkTls],
      ["tls", "MX", "10 tls"],
      ["plain", "A", at.sinkPlain],
      ["plain", "MX", "10 plain"],
    ]),
  };
}

/** knot.conf for `zones`. Zone files are read only; changes by `knotc zone-begin` live in the journal. */
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
template:
  - id: default
    storage: /var/lib/knot/zones
    file: "%s.zone"
    zonefile-sync: -1
    journal-max-usage: 16M
zone:
${zones.map((zone) => `  - domain: ${zone}\n`).join("")}`;
}
