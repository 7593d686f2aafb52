// What a mail host must look like from outside, as data, and the judgement of probed facts against it. Pure apart from
// `inspect`, which collects the facts.
import type { Offer } from "./offer.ts";
import { RSA_SIGNATURES } from "../certd/probe.ts";
import {
  get,
  handshake,
  listens,
  reception,
  type Address,
  type Answer,
  type Handshake,
  type Reception,
} from "./probe.ts";

interface Service {
  readonly key: string;
  readonly port: number;
  readonly protocol: string;
  readonly startTls?: "smtp";
}

/** The mail ports and 443, in the order in which they are shown; `key` is the name in the stack output `endpoints`. */
export const tlsServices = [
  { key: "smtp", port: 25, protocol: "SMTP, STARTTLS", startTls: "smtp" },
  { key: "https", port: 443, protocol: "HTTPS" },
  { key: "submissions", port: 465, protocol: "submission, TLS" },
  { key: "submission", port: 587, protocol: "submission, STARTTLS", startTls: "smtp" },
  { key: "imaps", port: 993, protocol: "IMAP, TLS" },
  { key: "pop3s", port: 995, protocol: "POP3, TLS" },
] as const satisfies readonly Service[];

export type TlsServiceKey = (typeof tlsServices)[number]["key"];
export const mailServices = tlsServices.filter((service) => service.key !== "https");
export const clearTextPorts = [110, 143] as const;
export const hybridGroup = "X25519MLKEM768";

export interface Target {
  readonly hostname: string;
  /** Names that the mail certificate must cover. */
  readonly names: readonly string[];
  readonly endpoints: Readonly<Record<TlsServiceKey, Address>> & {
    /** Absent if port 80 is not published. */
    readonly http?: Address;
  };
  /** Key type of the second certificate of the mail ports. Default: they have one alone. */
  readonly alsoKeyType?: string | undefined;
  /** Whether 443 has a certificate of its own or shares that of the mail ports. Default: own. */
  readonly https?: "own" | "shared";
  /** PEM roots to trust instead of the system's. */
  readonly ca?: string | undefined;
}

type Probed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

export interface Facts {
  readonly tls: Readonly<Record<TlsServiceKey, Probed<Handshake>>>;
  /** What clients without ECDSA see of the mail ports; undefined if these have one certificate alone. */
  readonly rsa: Readonly<Record<TlsServiceKey, Probed<Handshake>>> | undefined;
  readonly tls11: Readonly<Record<TlsServiceKey, Reception>>;
  /** Undefined if port 80 is not published. */
  readonly redirect: Probed<Answer> | undefined;
  /** Clear-text mailbox ports that accept connections, by their well-known numbers. */
  readonly listening: readonly number[];
}

export interface PortRow {
  readonly port: number;
  readonly protocol: string;
  readonly tls: string;
  readonly group: string;
  readonly subject: string;
  readonly issuer: string;
  readonly daysLeft: number | undefined;
  readonly serial: string;
  readonly verified: boolean;
  /** Empty when everything is as expected. */
  readonly problems: readonly string[];
}

export interface Verdict {
  readonly rows: readonly PortRow[];
  /** What concerns more than one port. */
  readonly checks: readonly { readonly name: string; readonly problems: readonly string[] }[];
  readonly asExpected: boolean;
}

export async function inspect(target: Target, timeout = 10_000): Promise<Facts> {
  const options = (service: Service) => ({
    hostname: target.hostname,
    startTls: service.startTls,
    ca: target.ca,
    timeout,
  });
  const each = async <T>(look: (service: Service, address: Address) => Promise<T>): Promise<Record<TlsServiceKey, T>> =>
    Object.fromEntries(
      await Promise.all(
        tlsServices.map(async (service) => [service.key, await look(service, target.endpoints[service.key])] as const),
      ),
    ) as Record<TlsServiceKey, T>;
  const [tls, rsa, tls11, redirect, listening] = await Promise.all([
    each((service, address) => probed(handshake(address, options(service)))),
    target.alsoKeyType === undefined
      ? undefined
      : each((service, address) => probed(handshake(address, { ...options(service), signatures: RSA_SIGNATURES }))),
    each((service, address) => reception(address, { ...options(service), version: "TLSv1.1" })),
    target.endpoints.http && probed(get(target.endpoints.http, target.hostname, "/", timeout)),
    Promise.all(
      clearTextPorts.map(async (port) => ((await listens(clearTextAddress(target, port))) ? [port] : [])),
    ).then((ports) => ports.flat()),
  ]);
  return { tls, rsa, tls11, redirect, listening };
}

/** Where a clear-text port would be, had it been published as the TLS ones are: the same address and offset. */
function clearTextAddress(target: Target, port: number): Address {
  const { host, port: published } = target.endpoints.imaps;
  return { host, port: port + published - 993 };
}

async function probed<T>(work: Promise<T>): Promise<Probed<T>> {
  try {
    return { ok: true, value: await work };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? describeError(error) : String(error) };
  }
}

// Node joins the addresses that it tried in an AggregateError whose own message is empty.
function describeError(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "ECONNREFUSED") return "nothing listens";
  if ("reason" in error && typeof error.reason === "string") return error.reason;
  return error.message === "" ? code : error.message.split("\n").join(" ");
}

/** `offer`: what the source of certificates has, if it was asked. */
export function judge(target: Target, facts: Facts, now = new Date(), offer?: Offer): Verdict {
  const rows = [
    ...tlsServices.map((service) => tlsRow(service, target, facts.tls[service.key], now)),
    ...(facts.redirect === undefined ? [] : [redirectRow(target, facts.redirect)]),
  ].sort((a, b) => a.port - b.port);
  const checks = [
    { name: "25, 465, 587, 993 and 995 serve one certificate", problems: oneMailCertificate(facts) },
    ...(target.alsoKeyType === undefined || facts.rsa === undefined
      ? []
      : [
          {
            name: `25, 465, 587, 993 and 995 serve one certificate with an ${target.alsoKeyType} key to clients without ECDSA`,
            problems: oneRsaCertificate(target, facts.rsa),
          },
        ]),
    target.https === "shared"
      ? { name: "443 serves the certificate of the mail ports", problems: webCertificateIsShared(facts) }
      : { name: "443 serves another certificate than the mail ports", problems: webCertificateDiffers(facts) },
    { name: "TLS 1.1 is refused on every port", problems: tls11Problems(facts) },
    {
      name: "110 and 143 answer nowhere",
      problems: facts.listening.map((port) => `${port} accepts connections`),
    },
    ...(offer === undefined
      ? []
      : [
          { name: "what the source of certificates has is published", problems: offer.problems },
          { name: "the mail ports serve what is published", problems: notPublished(facts, offer.published) },
        ]),
  ];
  const asExpected = [...rows, ...checks].every((row) => row.problems.length === 0);
  return { rows, checks, asExpected };
}

function tlsRow(service: Service, target: Target, probe: Probed<Handshake>, now: Date): PortRow {
  const base = { port: service.port, protocol: service.protocol };
  if (!probe.ok) return { ...base, ...blank, problems: [probe.error] };
  const { version, group, leaf, distrust } = probe.value;
  const wanted = service.key === "https" ? [target.hostname] : [target.hostname, ...target.names];
  const problems: string[] = [];
  if (distrust !== undefined) problems.push(distrust);
  const missing = [...new Set(wanted)].filter((name) => !leaf.names.some((pattern) => covers(pattern, name)));
  if (missing.length > 0) problems.push(`does not cover ${missing.join(", ")}`);
  if (version !== "TLSv1.3") problems.push(`negotiates ${version}, not TLSv1.3`);
  if (group !== hybridGroup) problems.push(`key exchange ${group ?? "unknown"}, not ${hybridGroup}`);
  const daysLeft = (leaf.notAfter.getTime() - now.getTime()) / 86_400_000;
  return {
    ...base,
    tls: version,
    group: group ?? "?",
    subject: subjectOf(leaf.subject, leaf.names),
    issuer: leaf.issuer,
    daysLeft,
    serial: leaf.serial,
    verified: distrust === undefined,
    problems,
  };
}

const blank = { tls: "", group: "", subject: "", issuer: "", daysLeft: undefined, serial: "", verified: false };

function subjectOf(subject: string, names: readonly string[]): string {
  return names.length === 0 ? subject : names.join(" ");
}

/** RFC 6125 §6.4.3: a wildcard stands for exactly one leftmost label. */
export function covers(pattern: string, name: string): boolean {
  const fold = (text: string): string => text.toLowerCase().replace(/\.$/, "");
  if (!pattern.startsWith("*.")) return fold(pattern) === fold(name);
  const dot = name.indexOf(".");
  return dot > 0 && fold(pattern.slice(1)) === fold(name.slice(dot));
}

function redirectRow(target: Target, probe: Probed<Answer>): PortRow {
  const base = { port: 80, protocol: "HTTP, redirect", ...blank };
  if (!probe.ok) return { ...base, problems: [probe.error] };
  const { status, location } = probe.value;
  const shown = { ...base, subject: `${status} ${location ?? ""}`.trim() };
  if (status !== 301 && status !== 308) return { ...shown, problems: [`answers ${status}, not 301 or 308`] };
  const url = URL.parse(location ?? "");
  if (url?.protocol !== "https:" || url.hostname !== target.hostname) {
    return { ...shown, problems: [`redirects to ${location ?? "nowhere"}, not to https://${target.hostname}/`] };
  }
  return { ...shown, problems: [] };
}

function leaves(facts: Facts, services: readonly Service[]): { port: number; fingerprint: string }[] {
  return services.flatMap((service) => {
    const probe = facts.tls[service.key as TlsServiceKey];
    return probe.ok ? [{ port: service.port, fingerprint: probe.value.leaf.fingerprint }] : [];
  });
}

function notPublished(facts: Facts, published: string | undefined): string[] {
  const other = leaves(facts, mailServices).filter(
    ({ fingerprint }) => fingerprint.replaceAll(":", "").toLowerCase() !== published,
  );
  return other.length === 0 ? [] : [`${other.map(({ port }) => port).join(", ")}: another certificate`];
}

function oneRsaCertificate(target: Target, rsa: NonNullable<Facts["rsa"]>): string[] {
  const problems = mailServices.flatMap(({ key, port }) => {
    const probe = rsa[key];
    const problem = probe.ok ? rsaProblem(target, probe.value) : probe.error;
    return problem === undefined ? [] : [`${port}: ${problem}`];
  });
  const served = new Set(
    mailServices.flatMap(({ key }) => {
      const probe = rsa[key];
      return probe.ok ? [probe.value.leaf.fingerprint] : [];
    }),
  );
  return problems.length > 0 || served.size === 1 ? problems : ["not the same on every port"];
}

function rsaProblem({ hostname, names, alsoKeyType }: Target, { leaf, distrust }: Handshake): string | undefined {
  if (distrust !== undefined) return distrust;
  if (leaf.keyType !== alsoKeyType) return `an ${leaf.keyType} key`;
  const missing = [...new Set([hostname, ...names])].filter(
    (name) => !leaf.names.some((pattern) => covers(pattern, name)),
  );
  return missing.length === 0 ? undefined : `does not cover ${missing.join(", ")}`;
}

function oneMailCertificate(facts: Facts): string[] {
  const served = leaves(facts, mailServices);
  if (served.length < mailServices.length) return ["not every mail port completes a handshake"];
  const byCertificate = groupBy(served, ({ fingerprint }) => fingerprint);
  if (byCertificate.size === 1) return [];
  return [[...byCertificate.values()].map((group) => group.map(({ port }) => port).join(", ")).join(" differ from ")];
}

function webCertificateDiffers(facts: Facts): string[] {
  const web = facts.tls.https;
  if (!web.ok) return ["443 completes no handshake"];
  const same = leaves(facts, mailServices).filter(({ fingerprint }) => fingerprint === web.value.leaf.fingerprint);
  return same.length === 0 ? [] : [`the same as on ${same.map(({ port }) => port).join(", ")}`];
}

function webCertificateIsShared(facts: Facts): string[] {
  const web = facts.tls.https;
  if (!web.ok) return ["443 completes no handshake"];
  const other = leaves(facts, mailServices).filter(({ fingerprint }) => fingerprint !== web.value.leaf.fingerprint);
  return other.length === 0 ? [] : [`another than on ${other.map(({ port }) => port).join(", ")}`];
}

function tls11Problems(facts: Facts): string[] {
  return tlsServices.flatMap(({ key, port }) =>
    facts.tls11[key] === "refused" ? [] : [`${port}: ${facts.tls11[key]}`],
  );
}

/** Map.groupBy, which the configured library level does not declare yet. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
