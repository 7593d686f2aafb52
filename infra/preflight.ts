// Every check that can be made before a change: gathers the facts that it needs at once, judges them, gives one list.
// What is checked is in checks/, where it comes from in facts/.
import { caaFindings } from "./checks/caa.ts";
import { certificateFindings, type CustomFiles } from "./checks/certificate.ts";
import {
  aliasFindings,
  delegationFindings,
  hostFindings,
  mxFindings,
  silenceFindings,
  spfFindings,
} from "./checks/dns.ts";
import { daneFindings, type DaneFacts } from "./checks/dane.ts";
import { error, note, type Finding } from "./checks/finding.ts";
import { enforceFindings, type EnforceWish } from "./checks/mta-sts.ts";
import { nameFindings } from "./checks/names.ts";
import { containerFindings } from "./checks/containers.ts";
import { portFindings, type WantedPort } from "./checks/ports.ts";
import { globalKeyNote, missingToken, tokenFindings, type TokenUse } from "./checks/token.ts";
import { isAlias, zoneFindings, type WantedRecords, type ZoneRecord } from "./checks/zone.ts";
import type { LeafFacts } from "../certd/validate.ts";
import { mtaStsId, type WantedRecord } from "../components/mail-records.ts";
import type { Settings } from "./config.ts";
import { zoneIdOf } from "./dns-config.ts";
import { besideAliases, caaOnlyNames, type DnsPlan } from "./dns-plan.ts";
import { tokenFacts, type Access, type TokenFacts, type TokenQuestion } from "./facts/cloudflare.ts";
import type { DanePlan } from "./dane-plan.ts";
import { publishedTlsa, zoneIsSecure } from "./facts/dane.ts";
import { dnsFacts, type DnsFacts, type DnsQuestions } from "./facts/dns.ts";
import { portFacts, type DockerHost, type PortFacts } from "./facts/docker.ts";
import { customFacts, type CustomFacts } from "./facts/files.ts";
import { servedLeaf, smtpQuestion, type SmtpQuestion } from "./facts/smtp.ts";
import type { Issuance } from "./issuance.ts";
import { publishedEndpoints, type Topology } from "./topology.ts";

/** What is checked, as the configuration has it. */
export interface Subject {
  /** Value of vectis:name, which labels its containers. */
  readonly owner: string;
  /** Name of the Pulumi stack. */
  readonly stack: string;
  /** Names of its containers. */
  readonly containers: readonly string[];
  readonly hostname: string;
  readonly domains: readonly string[];
  /** Names beside the host name's in the mail certificate. */
  readonly extraNames: readonly string[];
  /** Public addresses of the mail host; empty if not given. */
  readonly addresses: readonly string[];
  /** Who makes the records in DNS. The stack's own are not there before its first update, and right after it. */
  readonly records: "own" | "elsewhere";
  readonly resolvers: readonly string[];
  readonly ports: readonly WantedPort[];
  readonly portOffset: number;
  /** What is ordered from a CA; undefined if certificates come from elsewhere. */
  readonly acme: (Issuance & { readonly challenge: "http-01" | "dns-01" }) | undefined;
  /** Aliases that lead challenges into a zone of their own. */
  readonly challenges: DnsPlan["challenges"];
  /** The records in the stack's own zones; undefined if it reaches none. */
  readonly zones: WantedRecords | undefined;
  /** Undefined if no TLSA record is wanted. */
  readonly dane: DanePlan | undefined;
  /** Undefined if senders are not to be held to the MTA-STS policy. */
  readonly enforce: EnforceWish | undefined;
  /** Where port 25 is reached, if what it serves matters. */
  readonly smtp: SmtpQuestion | undefined;
  /** The operator's own certificate. */
  readonly custom: CustomFiles | undefined;
  /** What the stack gets into its zones by; undefined if it has none. */
  readonly zoneAccess: "token" | "global-key" | "nothing" | undefined;
  readonly tokens: readonly (TokenUse & TokenQuestion)[];
}

/** What was found out; undefined where it was not asked for or cannot be seen from here. */
export interface Facts {
  readonly docker: DockerHost;
  readonly ports: PortFacts | undefined;
  readonly custom: CustomFacts | undefined;
  readonly dns: DnsFacts;
  readonly dane: DaneFacts | undefined;
  /** What port 25 serves. */
  readonly served: LeafFacts | { readonly unanswered: string } | undefined;
  /** By the key that holds the token. */
  readonly tokens: Readonly<Partial<Record<TokenUse["key"], TokenFacts>>>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Milliseconds after which a look-up is given up. */
const patience = 2000;

/** @param stack name of the Pulumi stack */
export function subject(
  settings: Settings,
  plan: Topology,
  records: DnsPlan,
  dane: DanePlan | undefined,
  docker: DockerHost,
  cloudflare: Access,
  stack: string,
): Subject {
  const { name, hostname, domains, tls, publish, addresses, dns, resolvers } = settings;
  const { issuance, zones, challenges, challengeToken } = records;
  const enforces = dns.mtaSts === "enforce";
  const recordNames = records.records.map((record) => record.name);
  const challengeNames =
    dns.challengeZone && challenges
      ? { [dns.challengeZone.zoneId]: [challenges.target] }
      : byZone(dns, plan.certificateNames);
  const operators = challengeToken?.from === "operator" ? challengeToken.value : undefined;
  return {
    owner: name,
    stack,
    containers: Object.values(plan.containerNames),
    hostname,
    domains,
    extraNames: tls.names,
    addresses,
    records: dns.provider === "none" ? "elsewhere" : "own",
    resolvers,
    ports: publishedEndpoints(settings).map((endpoint) => ({
      name: endpoint.name,
      ip: publish.address,
      port: endpoint.port + publish.portOffset,
    })),
    portOffset: publish.portOffset,
    acme: issuance && { ...issuance, challenge: tls.challenge },
    challenges,
    zones: zones && {
      stack,
      owner: records.owner,
      mailHost: hostname,
      records: records.records,
      issuance,
      enforcesMx: enforces,
    },
    dane,
    enforce: enforces
      ? { mailHost: hostname, domains, policyId: mtaStsId(records.mtaStsPolicy ?? ""), signer: signerOf(tls) }
      : undefined,
    smtp: dane !== undefined || enforces ? smtpQuestion(settings, docker) : undefined,
    custom:
      tls.provider === "custom"
        ? {
            certPath: `${tls.folder}/${tls.certFile}`,
            keyPath: `${tls.folder}/${tls.keyFile}`,
            names: plan.certificateNames,
            policyHosts: zones === undefined ? [] : records.mtaStsHosts,
          }
        : undefined,
    zoneAccess: zones && (cloudflare.token !== undefined ? "token" : cloudflare.globalKey ? "global-key" : "nothing"),
    tokens: [
      ...tokenUse(settings, "cloudflare:apiToken", zones && cloudflare.token, byZone(dns, recordNames), {
        listing: true,
        makesToken: challengeToken?.from === "stack",
      }),
      ...tokenUse(settings, "vectis:challengeToken", operators, challengeNames, { listing: false, makesToken: false }),
    ],
  };
}

/** Who signs; a directory other than Let's Encrypt's may be anybody's. */
function signerOf({ provider, acme }: Settings["tls"]): EnforceWish["signer"] {
  if (provider === "internal") return "stack";
  const { hostname } = new URL(acme.directory);
  if (provider === "letsencrypt" && hostname === "acme-staging-v02.api.letsencrypt.org") return "staging";
  return provider === "letsencrypt" && hostname.endsWith(".api.letsencrypt.org") ? "public" : "unknown";
}

/** Names by the id of their zone at Cloudflare; without those that are in none. */
function byZone(dns: Settings["dns"], names: readonly string[]): TokenUse["names"] {
  if (dns.provider === "none") return {};
  const zones: Record<string, string[]> = {};
  for (const name of new Set(names)) {
    const id = zoneIdOf(dns, name.replace(/^\*\./, ""));
    if (id !== undefined) (zones[id] ??= []).push(name);
  }
  return zones;
}

/** What a token is needed for; nothing without a zone at Cloudflare. */
function tokenUse(
  { dns }: Settings,
  key: TokenUse["key"],
  token: string | undefined,
  names: TokenUse["names"],
  purpose: Pick<TokenQuestion, "listing" | "makesToken">,
): (TokenUse & TokenQuestion)[] {
  const zoneIds = Object.keys(names);
  if (zoneIds.length === 0 || token === undefined) return [];
  const accountId = dns.provider === "none" ? undefined : dns.accountId;
  return [{ key, token, accountId, names, zoneIds, ...purpose }];
}

/** Names that lead to the mail host; the CA looks each of them up for HTTP-01. */
function hostsOf({ hostname, extraNames, acme }: Subject): string[] {
  const proven = acme?.challenge === "http-01" ? extraNames.filter((name) => !name.startsWith("*.")) : [];
  return [hostname, ...proven];
}

function questions(about: Subject): DnsQuestions {
  if (about.records === "own") return { hosts: [], certificateNames: [], aliases: [], domains: [] };
  return {
    hosts: hostsOf(about),
    aliases: about.challenges?.names ?? [],
    certificateNames: about.acme?.issuer === undefined ? [] : about.acme.orders.flatMap(({ names }) => names),
    domains: about.domains,
  };
}

/** Asks everything at once; takes a few seconds at most. */
export async function gather(about: Subject, docker: DockerHost, cloudflare: Access): Promise<Facts> {
  const local = docker.is === "local";
  // Neither a change of the mail key nor CAA beside an alias must pass unjudged because the zone was listed slowly.
  const needsZones = about.dane !== undefined || (about.zones !== undefined && possibleAliases(about.zones).length > 0);
  const zonePatience = needsZones ? 5 * patience : patience;
  const [ports, custom, dns, secure, served, ...answers] = await Promise.all([
    local ? portFacts(docker.socket, patience) : undefined,
    local && about.custom !== undefined ? customFacts(about.custom.certPath, about.custom.keyPath) : undefined,
    dnsFacts(questions(about), about.resolvers, patience),
    about.dane && zoneIsSecure(about.dane.question, patience),
    about.smtp && servedLeaf(about.smtp, patience),
    ...about.tokens.map(async (use) => [use.key, await tokenFacts(cloudflare.address, use, zonePatience)] as const),
  ]);
  const tokens: Facts["tokens"] = Object.fromEntries(answers);
  return {
    docker,
    ports,
    custom,
    dns,
    dane:
      about.dane && secure !== undefined && served !== undefined
        ? { secure, served: keyOf(served), published: published(about.dane, tokens), keys: undefined }
        : undefined,
    served,
    tokens,
    now: Date.now(),
  };
}

const keyOf = (served: NonNullable<Facts["served"]>): DaneFacts["served"] =>
  "unanswered" in served ? served : { sha256: served.publicKeySha256.toUpperCase(), type: served.keyType };

/** The TLSA records that the zone holds already; undefined if that is not known. */
function published({ zoneId, name, mark }: DanePlan, tokens: Facts["tokens"]): DaneFacts["published"] {
  const records = tokens["cloudflare:apiToken"]?.zones[zoneId ?? ""]?.records;
  return records?.is === "result" ? publishedTlsa(records.result, name, mark) : undefined;
}

/** Names that get CAA records unless they are aliases. The mail host must be none, which is an error. */
const possibleAliases = ({ records, mailHost }: WantedRecords): string[] =>
  caaOnlyNames(records).filter((name) => name !== mailHost);

/** The stack's records in its own zones: no CAA at what may be an alias, unless the zones' records show that it is none. */
export function recordsToMake(zones: WantedRecords, facts: Facts): WantedRecord[] {
  const existing = zoneRecords(facts);
  const candidates = possibleAliases(zones);
  return besideAliases(
    zones.records,
    (name) => candidates.includes(name) && (existing === undefined || isAlias(name, existing)),
  );
}

/** What a token was to tell and did not must not change what is made: the next update would change it back. */
function unlistedFindings(zones: WantedRecords, facts: Facts): Finding[] {
  const names = possibleAliases(zones);
  if (names.length === 0 || facts.tokens["cloudflare:apiToken"] === undefined || zoneRecords(facts) !== undefined)
    return [];
  const why = `whether ${names.join(", ")} may have CAA records, which no alias can, is not known`;
  return [error("cloudflare:apiToken", `did not open the records of the stack's zones in time: ${why}; run again`)];
}

/** Everything that is wrong. Pure. */
export function judge(about: Subject, facts: Facts): Finding[] {
  const { acme, custom } = about;
  const zones = about.zones && { ...about.zones, records: recordsToMake(about.zones, facts) };
  const { dns } = facts;
  return [
    ...remoteFindings(about, facts.docker),
    ...(custom && facts.custom ? certificateFindings(custom, facts.custom, facts.now) : []),
    ...(acme === undefined ? [] : nameFindings(about.extraNames, acme.challenge)),
    ...(facts.ports === undefined
      ? []
      : [
          ...containerFindings(about.containers, facts.ports.containers, about.owner, about.stack),
          ...portFindings(about.ports, facts.ports, about.owner, about.portOffset),
        ]),
    ...(acme?.issuer === undefined ? [] : caaFindings(dns, acme.issuer, acme.orders)),
    ...(about.records === "own" ? [] : elsewhereFindings(about, dns)),
    ...(zones === undefined ? [] : zoneFindings(zones, listed(facts.tokens["cloudflare:apiToken"]))),
    ...(about.zones === undefined ? [] : unlistedFindings(about.zones, facts)),
    ...(about.dane && facts.dane ? daneFindings(about.dane.wish, facts.dane, facts.now) : []),
    ...(about.enforce && facts.served
      ? enforceFindings(about.enforce, { served: facts.served, records: zoneRecords(facts) }, facts.now)
      : []),
    ...(about.zoneAccess === "nothing" ? [missingToken()] : []),
    ...(about.zoneAccess === "global-key" ? [globalKeyNote()] : []),
    ...about.tokens.flatMap((use) => {
      const found = facts.tokens[use.key];
      return found === undefined ? [] : tokenFindings(use, found, facts.now);
    }),
  ];
}

/** What DNS says where somebody else makes the records. */
function elsewhereFindings(about: Subject, dns: DnsFacts): Finding[] {
  const { hostname, domains, addresses, challenges } = about;
  return [
    ...hostsOf(about).flatMap((host) =>
      hostFindings(dns, host === hostname ? "vectis:hostname" : "vectis:tls.names", host, addresses),
    ),
    ...aliasFindings(dns, hostname),
    ...(challenges?.names ?? []).flatMap((name) => delegationFindings(dns, name, challenges?.target ?? "")),
    ...domains.flatMap((domain) => [...mxFindings(dns, domain, hostname), ...spfFindings(dns, domain)]),
    ...silenceFindings(dns, about.resolvers),
  ];
}

/** As `listed`, but undefined if some zone's are not known. */
function zoneRecords({ tokens }: Facts): ZoneRecord[] | undefined {
  const found = tokens["cloudflare:apiToken"];
  const zones = Object.values(found?.zones ?? {});
  return zones.length > 0 && zones.every(({ records }) => records.is === "result") ? listed(found) : undefined;
}

/** All records of the stack's zones; none where they could not be read, which is a finding about the token. */
function listed(facts: TokenFacts | undefined): ZoneRecord[] {
  return Object.values(facts?.zones ?? {}).flatMap(({ records }) => (records.is === "result" ? records.result : []));
}

function remoteFindings({ custom }: Subject, docker: DockerHost): Finding[] {
  if (docker.is === "local") return [];
  const files =
    custom === undefined ? "" : ", and the sidecar checks the certificate's files there before it publishes them";
  return [note("docker:host", `is ${docker.address}: ports in use there are not checked from here${files}`)];
}
