// Private keys with Node's own cryptography: generation, reading PEM, and every notation in which a key is told.
import * as crypto from "node:crypto";
import type { KeyObject } from "node:crypto";
import { promisify } from "node:util";
import * as ssh from "./openssh.ts";

export const ALGORITHMS = ["RSA", "ECDSA", "ED25519"] as const;

/** Curves by the names of programs and those of OpenSSL. */
export const CURVES: Readonly<Record<string, string>> = {
  P224: "secp224r1",
  P256: "prime256v1",
  P384: "secp384r1",
  P521: "secp521r1",
};

const generateKeyPair = promisify(crypto.generateKeyPair);

export async function generate(algorithm: string, rsaBits: number, curve: string): Promise<KeyObject> {
  switch (algorithm) {
    case "RSA":
      return (await generateKeyPair("rsa", { modulusLength: rsaBits })).privateKey;
    case "ECDSA":
      return (await generateKeyPair("ec", { namedCurve: CURVES[curve] ?? curve })).privateKey;
    case "ED25519":
      return (await generateKeyPair("ed25519")).privateKey;
    default:
      throw new Error(`unknown key algorithm '${algorithm}'`);
  }
}

/** @throws Error that does not repeat the key */
export function parsePrivateKey(pem: string): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw new Error(`Failed to parse private key PEM: ${pem.length} characters without a PEM block of a private key`);
  }
  if (pem.includes("BEGIN OPENSSH")) {
    throw new Error("Failed to parse private key PEM: OpenSSH's own format is not supported; use privateKeyPem");
  }
  try {
    const key = crypto.createPrivateKey(pem);
    algorithmOf(key);
    return key;
  } catch (error) {
    throw new Error(`Failed to parse private key PEM: ${error instanceof Error ? error.message : ""}`, {
      cause: error,
    });
  }
}

export function algorithmOf(key: KeyObject): (typeof ALGORITHMS)[number] {
  const known = { rsa: "RSA", ec: "ECDSA", ed25519: "ED25519" } as const;
  const type = key.asymmetricKeyType ?? "";
  if (type in known) return known[type as keyof typeof known];
  throw new Error(`keys of type '${type}' are not supported, only ${ALGORITHMS.join(", ")}`);
}

/** The traditional notation of each algorithm: PKCS #1, SEC 1, and PKCS #8 where there is none. */
export function privatePem(key: KeyObject): string {
  const type = { RSA: "pkcs1", ECDSA: "sec1", ED25519: "pkcs8" } as const;
  return key.export({ type: type[algorithmOf(key)], format: "pem" }).toString();
}

export function describe(key: KeyObject): Record<string, string> {
  const open = crypto.createPublicKey(key);
  const publicBlob = ssh.publicBlob(open);
  // OpenSSH knows no P-224: what it cannot say is empty.
  const blob = publicBlob?.blob;
  return {
    privateKeyPem: privatePem(key),
    privateKeyPemPkcs8: key.export({ type: "pkcs8", format: "pem" }).toString(),
    privateKeyOpenssh: publicBlob === undefined ? "" : ssh.privatePem(key, publicBlob),
    publicKeyPem: open.export({ type: "spki", format: "pem" }).toString(),
    publicKeyOpenssh: publicBlob === undefined ? "" : `${publicBlob.type} ${publicBlob.blob.toString("base64")}\n`,
    publicKeyFingerprintMd5: blob === undefined ? "" : (hash("md5", blob, "hex").match(/../g)?.join(":") ?? ""),
    publicKeyFingerprintSha256: blob === undefined ? "" : `SHA256:${hash("sha256", blob, "base64").replace(/=+$/, "")}`,
  };
}

export function hash(name: string, data: string | Uint8Array, encoding: "hex" | "base64"): string {
  return crypto.createHash(name).update(data).digest(encoding);
}
