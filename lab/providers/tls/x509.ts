// Certificates and certificate requests (RFC 5280, RFC 2986): @peculiar's ASN.1 schemas for the form, Node's cryptography for signatures.
// Loaded only when one is made.
import * as crypto from "node:crypto";
import type { KeyObject } from "node:crypto";
import { Attributes, CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as asn from "@peculiar/asn1-x509";
import { bag, flag, int, text, texts, type Bag, type Plain } from "../protocol/value.ts";
import { EXTENDED_USES, KEY_USES } from "./uses.ts";

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/** Attribute types of a subject, in the order in which the official plugin writes them. */
const SUBJECT: readonly (readonly [string, string])[] = [
  ["country", "2.5.4.6"],
  ["organization", "2.5.4.10"],
  ["organizationalUnit", "2.5.4.11"],
  ["locality", "2.5.4.7"],
  ["province", "2.5.4.8"],
  ["streetAddresses", "2.5.4.9"],
  ["postalCode", "2.5.4.17"],
  ["commonName", "2.5.4.3"],
  ["serialNumber", "2.5.4.5"],
  ["emailAddress", "1.2.840.113549.1.9.1"],
];

export interface Issued {
  /** The serial number, decimal. */
  readonly id: string;
  readonly pem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

interface Request {
  readonly subject: asn.Name;
  readonly names: asn.GeneralName[];
  readonly key: KeyObject;
}

/** The request that a resource's inputs describe. */
export function requested(inputs: Bag, key: KeyObject): Request {
  return { subject: subject(bag(inputs, "subject") ?? {}), names: names(inputs), key: crypto.createPublicKey(key) };
}

export function requestPem(inputs: Bag, key: KeyObject): string {
  const request = requested(inputs, key);
  const alternative = subjectAltName(request);
  const wanted = new asn.Extensions(alternative === undefined ? [] : [alternative]);
  const info = new CertificationRequestInfo({
    subject: request.subject,
    subjectPKInfo: publicKeyInfo(request.key),
    attributes: new Attributes(
      wanted.length === 0
        ? []
        : [new asn.Attribute({ type: EXTENSION_REQUEST, values: [AsnConvert.serialize(wanted)] })],
    ),
  });
  const { algorithm, signature } = sign(AsnConvert.serialize(info), key);
  const signed = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: algorithm,
    signature,
  });
  return pem("CERTIFICATE REQUEST", AsnConvert.serialize(signed));
}

/** @throws Error when the text is no request, or its signature is not by the key inside */
export function parseRequest(text: string): Request {
  let request: CertificationRequest;
  try {
    request = AsnConvert.parse(unpem("CERTIFICATE REQUEST", text), CertificationRequest);
  } catch (error) {
    throw new Error(`Failed to parse certificate request PEM: ${message(error)}`, { cause: error });
  }
  const info = request.certificationRequestInfo;
  const der = Buffer.from(AsnConvert.serialize(info.subjectPKInfo));
  const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
  const raw = Buffer.from(request.certificationRequestInfoRaw ?? AsnConvert.serialize(info));
  if (!crypto.verify(digestOf(request.signatureAlgorithm), raw, key, Buffer.from(request.signature))) {
    throw new Error("Failed to parse certificate request PEM: it is not signed by its own key");
  }
  const wanted = info.attributes.find(({ type }) => type === EXTENSION_REQUEST)?.values[0];
  const extensions = wanted === undefined ? [] : AsnConvert.parse(wanted, asn.Extensions);
  const alternative = extensions.find(({ extnID }) => extnID === asn.id_ce_subjectAltName);
  const found =
    alternative === undefined ? [] : [...AsnConvert.parse(alternative.extnValue, asn.SubjectAlternativeName)];
  return { subject: info.subject, names: found, key };
}

export interface Issuer {
  readonly key: KeyObject;
  /** Undefined for a certificate that is signed by its own key. */
  readonly certificatePem?: string;
}

/** @param inputs of the resource: uses, validity, kind of certificate */
export function issue(inputs: Bag, request: Request, issuer: Issuer): Issued {
  const keyInfo = publicKeyInfo(request.key);
  const keyId = subjectKeyId(request.key, keyInfo);
  const isCa = flag(inputs, "isCaCertificate");
  if (isCa && request.subject.length === 0) {
    throw new Error("Invalid Certificate Subject: a certificate authority needs at least one name in its subject");
  }
  const withKeyId = isCa || flag(inputs, "setSubjectKeyId");
  const parent = issuer.certificatePem === undefined ? undefined : parseIssuer(issuer.certificatePem, issuer.key);
  const authority =
    parent === undefined ? (flag(inputs, "setAuthorityKeyId") && withKeyId ? keyId : undefined) : parent.keyId;
  if (parent === undefined && flag(inputs, "setAuthorityKeyId") && authority === undefined) {
    throw new Error("Invalid Certificate Authority: 'setAuthorityKeyId' needs 'setSubjectKeyId'");
  }
  const notBefore = new Date();
  const notAfter = new Date(notBefore.getTime() + int(inputs, "validityPeriodHours") * 3_600_000);
  const serial = crypto.randomBytes(16);
  const id = BigInt(`0x${serial.toString("hex")}`);
  const { algorithm } = signer(issuer.key);
  const body = new asn.TBSCertificate({
    version: asn.Version.v3,
    serialNumber: bytesOf(positive(id)),
    signature: algorithm,
    issuer: parent?.subject ?? request.subject,
    validity: new asn.Validity({ notBefore: wholeSecond(notBefore), notAfter: wholeSecond(notAfter) }),
    subject: request.subject,
    subjectPublicKeyInfo: keyInfo,
    extensions: new asn.Extensions(
      [
        ...uses(texts(inputs, "allowedUses")),
        basicConstraints(isCa, inputs["maxPathLength"]),
        withKeyId ? extension(asn.id_ce_subjectKeyIdentifier, new asn.SubjectKeyIdentifier(keyId)) : undefined,
        authority === undefined
          ? undefined
          : extension(
              asn.id_ce_authorityKeyIdentifier,
              new asn.AuthorityKeyIdentifier({ keyIdentifier: new asn.KeyIdentifier(authority) }),
            ),
        subjectAltName(request),
      ].filter((item) => item !== undefined),
    ),
  });
  const { signature } = sign(AsnConvert.serialize(body), issuer.key);
  const certificate = new asn.Certificate({
    tbsCertificate: body,
    signatureAlgorithm: algorithm,
    signatureValue: signature,
  });
  return { id: id.toString(), pem: pem("CERTIFICATE", AsnConvert.serialize(certificate)), notBefore, notAfter };
}

function parseIssuer(text: string, key: KeyObject): { subject: asn.Name; keyId: ArrayBuffer | undefined } {
  let parsed: asn.Certificate;
  try {
    parsed = AsnConvert.parse(unpem("CERTIFICATE", text), asn.Certificate);
  } catch (error) {
    throw new Error(`Failed to parse CA certificate PEM: ${message(error)}`, { cause: error });
  }
  const { subject, extensions, subjectPublicKeyInfo } = parsed.tbsCertificate;
  const own = Buffer.from(AsnConvert.serialize(publicKeyInfo(crypto.createPublicKey(key))));
  if (!own.equals(Buffer.from(AsnConvert.serialize(subjectPublicKeyInfo)))) {
    throw new Error("Failed to create certificate: x509: provided PrivateKey doesn't match parent's PublicKey");
  }
  const found = extensions?.find(({ extnID }) => extnID === asn.id_ce_subjectKeyIdentifier);
  const keyId = found === undefined ? undefined : AsnConvert.parse(found.extnValue, asn.SubjectKeyIdentifier).buffer;
  return { subject, keyId };
}

function subject(given: Bag): asn.Name {
  const parts = SUBJECT.flatMap(([key, type]) =>
    (key === "streetAddresses" ? texts(given, key) : [text(given, key)])
      .filter((value) => value !== "")
      .map((value) => new asn.AttributeTypeAndValue({ type, value: attributeValue(key, value) })),
  );
  return new asn.Name(parts.map((part) => new asn.RelativeDistinguishedName([part])));
}

function attributeValue(key: string, value: string): asn.AttributeValue {
  if (key === "emailAddress") return new asn.AttributeValue({ ia5String: value });
  const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value);
  return new asn.AttributeValue(printable ? { printableString: value } : { utf8String: value });
}

function names(inputs: Bag): asn.GeneralName[] {
  return [
    ...texts(inputs, "dnsNames").map((dNSName) => new asn.GeneralName({ dNSName })),
    ...texts(inputs, "ipAddresses").map((iPAddress) => new asn.GeneralName({ iPAddress })),
    ...texts(inputs, "uris").map((uniformResourceIdentifier) => new asn.GeneralName({ uniformResourceIdentifier })),
  ];
}

/** Critical where it is all that names the subject (RFC 5280 section 4.2.1.6). */
function subjectAltName(request: Request): asn.Extension | undefined {
  if (request.names.length === 0) return undefined;
  const value = new asn.SubjectAlternativeName(request.names);
  return extension(asn.id_ce_subjectAltName, value, request.subject.length === 0);
}

function uses(allowed: readonly string[]): asn.Extension[] {
  const bits = allowed.reduce((sum, use) => sum | (KEY_USES[use] ?? 0), 0);
  const extended = allowed.map((use) => EXTENDED_USES[use]).filter((oid) => oid !== undefined);
  return [
    ...(bits === 0 ? [] : [extension(asn.id_ce_keyUsage, new asn.KeyUsage(bits), true)]),
    ...(extended.length === 0 ? [] : [extension(asn.id_ce_extKeyUsage, new asn.ExtendedKeyUsage(extended))]),
  ];
}

function basicConstraints(cA: boolean, pathLength: Plain | undefined): asn.Extension {
  const limited = cA && typeof pathLength === "number" && pathLength >= 0;
  const value = new asn.BasicConstraints({ cA, ...(limited ? { pathLenConstraint: pathLength } : {}) });
  return extension(asn.id_ce_basicConstraints, value, true);
}

function extension(extnID: string, value: object, critical = false): asn.Extension {
  return new asn.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function publicKeyInfo(key: KeyObject): asn.SubjectPublicKeyInfo {
  return AsnConvert.parse(key.export({ type: "spki", format: "der" }), asn.SubjectPublicKeyInfo);
}

/** SHA-1 of the public key's bits (RFC 5280 section 4.2.1.2); for Ed25519 the official plugin hashes them as an octet string. */
function subjectKeyId(key: KeyObject, info: asn.SubjectPublicKeyInfo): ArrayBuffer {
  const bits = Buffer.from(info.subjectPublicKey);
  const hashed = key.asymmetricKeyType === "ed25519" ? Buffer.concat([Buffer.from([4, bits.length]), bits]) : bits;
  return bytesOf(crypto.createHash("sha1").update(hashed).digest());
}

const ECDSA = "1.2.840.10045.4.3";
const SIGNATURES: Readonly<Record<string, string | null>> = {
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  [`${ECDSA}.2`]: "sha256",
  [`${ECDSA}.3`]: "sha384",
  [`${ECDSA}.4`]: "sha512",
  "1.3.101.112": null,
};

function digestOf({ algorithm }: asn.AlgorithmIdentifier): string | null {
  const digest = SIGNATURES[algorithm];
  if (digest === undefined) throw new Error(`the signature algorithm ${algorithm} is not supported`);
  return digest;
}

/** How a key signs: with a digest as strong as its curve. */
function signer(key: KeyObject): { algorithm: asn.AlgorithmIdentifier; digest: string | null } {
  const type = key.asymmetricKeyType ?? "";
  const strength: Readonly<Record<string, number>> = { secp384r1: 3, secp521r1: 4 };
  const bySize = `${ECDSA}.${strength[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? 2}`;
  const oid = type === "ec" ? bySize : type === "ed25519" ? "1.3.101.112" : "1.2.840.113549.1.1.11";
  // The parameters of RSA are a NULL (RFC 4055 section 5).
  const parameters = type === "rsa" ? { parameters: new Uint8Array([5, 0]).buffer } : {};
  return {
    algorithm: new asn.AlgorithmIdentifier({ algorithm: oid, ...parameters }),
    digest: SIGNATURES[oid] ?? null,
  };
}

function sign(data: ArrayBuffer, key: KeyObject): { algorithm: asn.AlgorithmIdentifier; signature: ArrayBuffer } {
  const { algorithm, digest } = signer(key);
  return { algorithm, signature: bytesOf(crypto.sign(digest, Buffer.from(data), key)) };
}

/** Certificates know no fractions of a second (RFC 5280 section 4.1.2.5). */
function wholeSecond(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

function positive(value: bigint): Buffer {
  const hex = value.toString(16);
  const content = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return ((content[0] ?? 0) & 128) === 0 ? content : Buffer.concat([Buffer.from([0]), content]);
}

function bytesOf(data: Buffer): ArrayBuffer {
  const out = new ArrayBuffer(data.length);
  new Uint8Array(out).set(data);
  return out;
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function unpem(label: string, text: string): Buffer {
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`).exec(text);
  if (block?.[1] === undefined) throw new Error(`there is no PEM block ${label}`);
  return Buffer.from(block[1], "base64");
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
