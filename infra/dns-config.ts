// The configuration of DNS: who holds the zones, and what the mail records say. Part of infra/config.ts.
import { isIP } from "node:net";
import * as v from "valibot";
import { delegatedName } from "../certd/names.ts";
import { domain, email, text, wholeNumber } from "./config-fields.ts";

const exampleId = "023e105f4ecef8ad9ca31a8372d0c353";

/** Ids at Cloudflare: the dashboard shows both on the zone's overview page. */
const cloudflareId = v.pipe(
  text(exampleId),
  v.regex(/^[0-9a-f]{32}$/, `must be 32 hexadecimal digits in lower case, for example ${exampleId}`),
);

const cidr = v.pipe(
  text("192.0.2.25/32"),
  v.check((value) => {
    const [ip = "", prefix = "", ...rest] = value.split("/");
    const version = isIP(ip);
    return version !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128) && !rest.length;
  }, "must be an address range in CIDR notation, for example 192.0.2.25/32"),
);

const expiry = v.pipe(
  text("2027-12-31T00:00:00Z"),
  v.check(
    (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) && Date.parse(value) > Date.now(),
    "must be a time to come in the form of RFC 3339, in UTC, for example 2027-12-31T00:00:00Z",
  ),
);

/** What the records say, whoever serves them. */
const records = {
  /** Time to live of the records in seconds, 60 to 86400. Default: 300. */
  ttl: v.optional(wholeNumber(60, 86_400, 300), 300),
  /** Mailbox for reports: TLS-RPT, DMARC, CAA iodef. Default: tls.email, else postmaster at each domain. */
  reports: v.optional(email),
  /** Mode of the MTA-STS policy (RFC 8461 section 3.2); `off` publishes none at all. Default: testing. */
  mtaSts: v.optional(
    v.picklist(["off", "none", "testing", "enforce"], "must be testing, enforce, none or off"),
    "testing",
  ),
  /** What receivers shall do with mail that fails DMARC. Default: quarantine. */
  dmarc: v.optional(v.picklist(["none", "quarantine", "reject"], "must be none, quarantine or reject"), "quarantine"),
  /** TLSA records for the mail keys (RFC 7672), in signed zones only. Default: off. */
  dane: v.optional(v.picklist(["on", "off"], "must be on or off"), "off"),
  /** The SPF record of every domain. Default: the MX may send, nobody else. */
  spf: v.optional(
    v.pipe(
      text("v=spf1 mx -all"),
      v.regex(
        /^v=spf1(?: [\x21\x23-\x5b\x5d-\x7e]+)+$/,
        "must be an SPF record in one line without quotes, for example v=spf1 mx -all",
      ),
    ),
    "v=spf1 mx -all",
  ),
};

const exampleZone = `{ name: example.net, zoneId: 9a7806061c88ada191ed06f989cc3dac }`;

const challenges = {
  /**
   * A zone at Cloudflare for challenges alone: `_acme-challenge` of every name is an alias into it, and the challenge token may
   * edit it and nothing else. Default: none, challenges are answered in the names' own zones.
   */
  challengeZone: v.optional(
    v.strictObject(
      { name: domain("example.net"), zoneId: cloudflareId },
      `must be an object with the zone's name and id, for example ${exampleZone}`,
    ),
  ),
};

const example = `{ provider: cloudflare, zoneId: ${exampleId} }`;

/** Who holds the zones. Default: nobody that this stack can reach; the records are stack outputs then. */
export const dns = v.variant(
  "provider",
  [
    v.strictObject({ provider: v.optional(v.literal("none"), "none"), ...challenges, ...records }),
    v.strictObject({
      provider: v.literal("cloudflare"),
      /** The one zone that all names are in. Either this or `zones`. */
      zoneId: v.optional(cloudflareId),
      /** Zone ids by zone name; a name belongs to the longest one that it ends in. */
      zones: v.optional(
        v.record(
          domain("example.com"),
          cloudflareId,
          `must map zones to their ids, for example { example.com: ${exampleId} }`,
        ),
      ),
      /** The account that owns the challenge token. Default: the user of cloudflare:apiToken owns it. */
      accountId: v.optional(cloudflareId),
      /** Limits of the challenge token that the stack makes. */
      token: v.optional(
        v.strictObject(
          {
            /** Addresses that may use it, in CIDR notation. Default: any. */
            allowedAddresses: v.optional(
              v.array(cidr, "must be a list of address ranges, for example [192.0.2.25/32]"),
              [],
            ),
            /** When it ends. Default: never. */
            expiresOn: v.optional(expiry),
          },
          "must be an object, for example { allowedAddresses: [192.0.2.25/32] }",
        ),
        {},
      ),
      ...challenges,
      ...records,
    }),
  ],
  `must be an object with a provider, none or cloudflare, for example ${example}`,
);

export type Dns = v.InferOutput<typeof dns>;

/** Id of the zone that holds `name`; undefined if none of the configured ones does. */
export function zoneIdOf(config: Dns & { readonly provider: "cloudflare" }, name: string): string | undefined {
  if (config.zoneId !== undefined) return config.zoneId;
  const within = Object.entries(config.zones ?? {}).filter(([zone]) => name === zone || name.endsWith(`.${zone}`));
  return within.sort(([a], [b]) => b.length - a.length)[0]?.[1];
}

/** Names that the stack's zones must hold, the host name first: a challenge in DNS is answered there or led away from there. */
export function zoneNames({ hostname, domains, tls }: NamesInZones): string[] {
  const inDns = tls.provider === "letsencrypt" && tls.challenge === "dns-01";
  return [...new Set([hostname, ...domains, ...(inDns ? tls.names.map((name) => name.replace(/^\*\./, "")) : [])])];
}

interface NamesInZones {
  readonly hostname: string;
  readonly domains: readonly string[];
  readonly tls: { readonly provider: string; readonly challenge: string; readonly names: readonly string[] };
}

/**
 * Whether a zone of the stack's holds `name` for sure. What a single zone (`zoneId`) is called is not configured, but it
 * holds all of `names`: so it holds what these have in common at their ends, and what is below that.
 */
export function isInZones(
  config: Dns & { readonly provider: "cloudflare" },
  names: readonly string[],
  name: string,
): boolean {
  if (config.zoneId === undefined) return zoneIdOf(config, name) !== undefined;
  const [first = ""] = names;
  const common = Math.min(...names.map((other) => commonLabels(first, other)));
  return commonLabels(first, name) >= common;
}

/** What no single value shows. `names` are those that need records, the host name first. */
export function dnsContradictions(config: Dns, names: readonly string[], key: string): string[] {
  return [...zoneContradictions(config, names, key), ...challengeZoneContradictions(config, names, key)];
}

function zoneContradictions(config: Dns, names: readonly string[], key: string): string[] {
  if (config.provider === "none") return [];
  const { zoneId, zones } = config;
  if ((zoneId === undefined) === (zones === undefined))
    return [`${key} needs either zoneId (one zone for all names) or zones (ids by zone), for example ${example}`];
  if (zoneId !== undefined) {
    const [first = "", ...others] = names;
    const apart = others.find((name) => commonLabels(first, name) < 2);
    if (apart === undefined) return [];
    return [
      `${key}.zoneId is one zone, which cannot hold both ${first} and ${apart}; use ${key}.zones, ` +
        `for example { example.com: ${exampleId}, example.net: 9a7806061c88ada191ed06f989cc3dac }`,
    ];
  }
  return names
    .filter((name) => zoneIdOf(config, name) === undefined)
    .map((name) => `${key}.zones has no zone for ${name}; add it, for example { ${name}: ${exampleId} }`);
}

/** A challenge token that may edit the zone of a mail name would be worth no delegation. */
function challengeZoneContradictions(config: Dns, names: readonly string[], key: string): string[] {
  const zone = config.challengeZone;
  if (zone === undefined) return [];
  const [hostname = ""] = names;
  const inside = names.find((name) => `.${name}`.endsWith(`.${zone.name}`));
  const shared =
    config.provider === "cloudflare" &&
    (config.zoneId === zone.zoneId || Object.values(config.zones ?? {}).includes(zone.zoneId));
  const length = delegatedName(hostname, zone.name).length;
  return [
    ...(inside === undefined ? [] : [`${key}.challengeZone is ${zone.name}, which holds ${inside}`]),
    ...(inside === undefined && shared ? [`${key}.challengeZone has the id of a zone with mail records`] : []),
  ]
    .map(
      (what) =>
        `${what}: its token could edit more than challenges; name a zone for nothing else, for example ${exampleZone}`,
    )
    .concat(
      length <= 253
        ? []
        : [
            `${key}.challengeZone.name makes a name of ${length} characters, and 253 is the limit; take a shorter one, for example example.net`,
          ],
    );
}

function commonLabels(a: string, b: string): number {
  const [left, right] = [a.split(".").reverse(), b.split(".").reverse()];
  const differ = left.findIndex((part, index) => part !== right[index]);
  return differ === -1 ? left.length : differ;
}
