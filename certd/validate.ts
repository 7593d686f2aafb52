// Judges a certificate chain and its key: pure functions over PEM texts, wanted names and a clock.
// No I/O and no assumption about where it runs; what to do about a finding is the caller's business.
import { createHash, createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from "node:crypto";

export type FindingCode =
  | "chain-unreadable"
  | "key-unreadable"
  | "key-mismatch"
  | "key-too-small"
  | "key-unsupported"
  | "name-not-covered"
  | "chain-order"
  | "chain-incomplete"
  | "chain-stranger"
  | "not-a-ca"
  | "not-yet-valid"
  | "expired"
  | "no-server-auth"
  | "self-signed";

/** One thing that is wrong, with a sentence for a human. */
export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
}

/** A chain and its key as PEM texts. */
export interface Pair {
  /** Leaf first, then the intermediates. */
  readonly fullchain: string;
  readonly privkey: string;
}

/** What one generation serves: a pair, and beside it perhaps one with an RSA key, for clients that take no ECDSA. */
export interface Bundle extends Pair {
  readonly rsa?: Pair;
}

/** What a leaf certificate says about itself. */
export interface LeafFacts {
  /** SHA-256 of the DER form, lower-case hex. */
  readonly sha256: string;
  /** Serial number, lower-case hex as the certificate has it. */
  readonly serial: string;
  /** Authority key identifier, lower-case hex; empty if the leaf has none. */
  readonly authorityKeyId: string;
  readonly subject: string;
  readonly issuer: string;
  /** DNS names of the subject alternative name extension. */
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** For example `ec-256`, `ec-384`, `rsa-2048`. */
  readonly keyType: string;
  /** SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hex: what a TLSA 3 1 1 record says. */
  readonly publicKeySha256: string;
  readonly selfSigned: boolean;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const ANY_USAGE = "2.5.29.37.0";
const CURVE_BITS: Readonly<Record<string, number>> = {
  prime192v1: 192,
  secp224r1: 224,
  secp224k1: 224,
  secp256k1: 256,
  prime256v1: 256,
  secp384r1: 384,
  secp521r1: 521,
};

function oneLine(name: string): string {
  return name.split("\n").join(", ") || "(empty subject)";
}

function title(certificate: X509Certificate): string {
  const names = dnsNames(certificate);
  return certificate.subject ? oneLine(certificate.subject) : names.length > 0 ? names.join(", ") : "(empty subject)";
}

function dnsNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? "")
    .split(", ")
    .filter((entry) => entry.startsWith("DNS:"))
    .map((entry) => entry.slice(4).toLowerCase());
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

/** The PEM certificates of a text, in order; `undefined` if there is none or one cannot be parsed. */
export function parseChain(pem: string): [X509Certificate, ...X509Certificate[]] | undefined {
  try {
    const [leaf, ...rest] = (pem.match(PEM_CERTIFICATE) ?? []).map((block) => new X509Certificate(block));
    return leaf && [leaf, ...rest];
  } catch {
    return undefined;
  }
}

function bits(key: KeyObject): number {
  const details = key.asymmetricKeyDetails;
  return details?.modulusLength ?? CURVE_BITS[details?.namedCurve ?? ""] ?? 0;
}

/** `ec-256`, `rsa-2048` and so on for a public or private key. */
export function keyTypeOf(key: KeyObject): string {
  const size = bits(key);
  return size > 0 ? `${key.asymmetricKeyType ?? "unknown"}-${size}` : (key.asymmetricKeyType ?? "unknown");
}

/** SHA-256 of a public key's SubjectPublicKeyInfo, lower-case hex; a private key's public half counts. */
export function publicKeySha256(key: KeyObject): string {
  const spki = (key.type === "private" ? createPublicKey(key) : key).export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("hex");
}

/** The first value of an extension in a DER certificate, found by its OID; empty if absent. */
function authorityKeyId(certificate: X509Certificate): string {
  // OID 2.5.29.35, then an OCTET STRING around SEQUENCE { [0] keyIdentifier }. Node has no accessor for it.
  const raw = certificate.raw;
  const at = raw.indexOf(Buffer.from("0603551d23", "hex"));
  if (at < 0) return "";
  const sequence = raw.indexOf(0x30, at + 5);
  if (sequence < 0 || sequence > at + 12 || raw[sequence + 2] !== 0x80) return "";
  const length = raw[sequence + 3] ?? 0;
  return raw.subarray(sequence + 4, sequence + 4 + length).toString("hex");
}

/** What the first certificate of a PEM text says about itself; `undefined` if it cannot be parsed. */
export function leafFacts(pem: string): LeafFacts | undefined {
  const leaf = parseChain(pem)?.[0];
  return leaf && factsOf(leaf);
}

/** What a parsed certificate says about itself. */
export function factsOf(leaf: X509Certificate): LeafFacts {
  return {
    sha256: leaf.fingerprint256.replaceAll(":", "").toLowerCase(),
    serial: leaf.serialNumber.toLowerCase(),
    authorityKeyId: authorityKeyId(leaf),
    subject: leaf.subject ? oneLine(leaf.subject) : "",
    issuer: leaf.issuer ? oneLine(leaf.issuer) : "",
    names: dnsNames(leaf),
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    keyType: keyTypeOf(leaf.publicKey),
    publicKeySha256: publicKeySha256(leaf.publicKey),
    selfSigned: issued(leaf, leaf),
  };
}

/**
 * Whether a leaf's names cover a wanted name. A wildcard covers exactly one label (RFC 6125 section 6.4.3);
 * a wanted wildcard needs the same wildcard. The common name never counts.
 */
export function covers(names: readonly string[], wanted: string): boolean {
  const parent = wanted.startsWith("*.") ? undefined : wanted.split(".").slice(1).join(".");
  return names.some((name) => name === wanted || (parent?.includes(".") === true && name === `*.${parent}`));
}

function parseKey(pem: string): KeyObject | Finding {
  try {
    return createPrivateKey(pem);
  } catch {
    const why = /ENCRYPTED/.test(pem)
      ? "it is encrypted; store it without a passphrase, mode 0600"
      : /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)
        ? "the PEM text is damaged"
        : "there is no PEM private key in it";
    return { code: "key-unreadable", message: `The private key cannot be read: ${why}.` };
  }
}

function keyFindings(key: KeyObject): Finding[] {
  const type = key.asymmetricKeyType;
  if (type !== "rsa" && type !== "ec") {
    return [
      { code: "key-unsupported", message: `The key is of type ${type ?? "unknown"}; mail clients want EC or RSA.` },
    ];
  }
  const least = type === "rsa" ? 2048 : 256;
  return bits(key) >= least
    ? []
    : [{ code: "key-too-small", message: `The key is ${keyTypeOf(key)}; at least ${type}-${least} is needed.` }];
}

/** The certificates of the chain in issuing order, starting at the leaf and ending where no issuer follows. */
function pathFrom(leaf: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const path = [leaf];
  for (let last = leaf; !issued(last, last);) {
    const next = others.find((candidate) => !path.includes(candidate) && issued(candidate, last));
    if (next === undefined) break;
    path.push(next);
    last = next;
  }
  return path;
}

function chainFindings(
  certificates: readonly X509Certificate[],
  leaf: X509Certificate,
  roots: readonly X509Certificate[],
): Finding[] {
  const findings: Finding[] = [];
  const others = certificates.filter((certificate) => certificate !== leaf);
  const path = pathFrom(leaf, others);
  const strangers = others.filter((certificate) => !path.includes(certificate));
  for (const stranger of strangers) {
    const twice = certificates.some((other) => other !== stranger && other.fingerprint256 === stranger.fingerprint256);
    findings.push({
      code: "chain-stranger",
      message: twice
        ? `The certificate ${title(stranger)} is in the chain twice.`
        : `The certificate ${title(stranger)} does not belong to the chain of ${title(leaf)}.`,
    });
  }
  const inOrder = certificates.filter((certificate) => path.includes(certificate));
  if (inOrder.some((certificate, index) => certificate !== path[index])) {
    const order = path.map(title).join(" | ");
    findings.push({ code: "chain-order", message: `The chain is in the wrong order; it must be: ${order}.` });
  }
  const fromRoot = roots.some((root) => issued(root, leaf));
  if (path.length === 1 && !issued(leaf, leaf) && !fromRoot) {
    findings.push({
      code: "chain-incomplete",
      message: `The intermediate certificate "${oneLine(leaf.issuer)}" that issued ${title(leaf)} is missing from the chain.`,
    });
  }
  for (const issuer of path.slice(1)) {
    if (!issuer.ca)
      findings.push({
        code: "not-a-ca",
        message: `The certificate ${title(issuer)} is used as an issuer but is no CA.`,
      });
  }
  return findings;
}

function validityFindings(path: readonly X509Certificate[], now: number): Finding[] {
  return path.flatMap((certificate): Finding[] => {
    const from = Date.parse(certificate.validFrom);
    const to = Date.parse(certificate.validTo);
    if (now < from) {
      const message = `The certificate ${title(certificate)} is valid only from ${new Date(from).toISOString()}; is the clock right?`;
      return [{ code: "not-yet-valid", message }];
    }
    if (now >= to) {
      return [
        { code: "expired", message: `The certificate ${title(certificate)} expired on ${new Date(to).toISOString()}.` },
      ];
    }
    return [];
  });
}

export interface Wanted {
  /** Names that the leaf must cover. */
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** PEM roots whose directly issued leaves need no intermediate; default none. */
  readonly trustedRoots?: string;
}

/**
 * Everything that is wrong with a chain and its key; an empty list means it can be served.
 * Never throws. A self-signed leaf is a finding like any other: the caller decides whether it is a placeholder.
 */
export function validatePair(pair: Pair, wanted: Wanted): Finding[] {
  const findings: Finding[] = [];
  const key = parseKey(pair.privkey);
  const chain = parseChain(pair.fullchain);
  if ("code" in key) findings.push(key);
  if (chain === undefined) {
    const why = pair.fullchain.includes("-----BEGIN CERTIFICATE-----")
      ? "the PEM text is damaged"
      : "there is no PEM certificate in it";
    return [{ code: "chain-unreadable", message: `The certificate chain cannot be read: ${why}.` }, ...findings];
  }
  const matching = "code" in key ? undefined : chain.find((certificate) => certificate.checkPrivateKey(key));
  // The leaf is the first certificate; if the key belongs to a later one, the order is what is wrong.
  const leaf = matching ?? chain[0];
  if (!("code" in key)) {
    findings.push(...keyFindings(key));
    if (matching === undefined) {
      findings.push({ code: "key-mismatch", message: `The private key does not belong to ${title(leaf)}.` });
    }
  }
  const names = dnsNames(leaf);
  for (const name of wanted.names.filter((name) => !covers(names, name))) {
    const has = names.length > 0 ? names.join(", ") : "no names";
    findings.push({ code: "name-not-covered", message: `The certificate does not cover ${name}; it covers ${has}.` });
  }
  const roots = wanted.trustedRoots === undefined ? [] : (parseChain(wanted.trustedRoots) ?? []);
  findings.push(...chainFindings(chain, leaf, roots));
  findings.push(...validityFindings(pathFrom(leaf, chain), wanted.now));
  const usage = leaf.keyUsage as string[] | undefined;
  if (usage !== undefined && !usage.includes(SERVER_AUTH) && !usage.includes(ANY_USAGE)) {
    findings.push({
      code: "no-server-auth",
      message: `The certificate ${title(leaf)} may not be used by servers (EKU lacks serverAuth).`,
    });
  }
  if (issued(leaf, leaf)) {
    findings.push({
      code: "self-signed",
      message: `The certificate ${title(leaf)} is self-signed: no client will trust it.`,
    });
  }
  return findings;
}

/** Everything that is wrong with either pair of a bundle; what concerns the RSA one says so. */
export function validateBundle(bundle: Bundle, wanted: Wanted): Finding[] {
  return [...validatePair(bundle, wanted), ...(bundle.rsa === undefined ? [] : rsaFindings(bundle.rsa, wanted))];
}

/** What is wrong with the RSA pair of a bundle. */
export function rsaFindings(pair: Pair, wanted: Wanted): Finding[] {
  return validatePair(pair, wanted).map(({ code, message }) => ({ code, message: `RSA: ${message}` }));
}

/**
 * The same pair in one canonical form: PKCS#8 key, certificates without comments, LF line ends.
 * @throws if either text cannot be parsed; validate first.
 */
export function canonicalPair(pair: Pair): Pair {
  const chain = parseChain(pair.fullchain);
  if (chain === undefined) throw new Error("the certificate chain cannot be read");
  return {
    fullchain: chain.map((certificate) => certificate.toString().trimEnd() + "\n").join(""),
    privkey: createPrivateKey(pair.privkey).export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** Both pairs in their canonical form. @throws as `canonicalPair` */
export function canonicalBundle({ rsa, ...pair }: Bundle): Bundle {
  return { ...canonicalPair(pair), ...(rsa === undefined ? {} : { rsa: canonicalPair(rsa) }) };
}
