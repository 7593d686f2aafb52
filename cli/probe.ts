// Looks at a running server from outside: TLS handshakes (implicit or after STARTTLS), closed ports, the redirect on 80.
// Reports facts; what they mean is verdict.ts's business.
import { X509Certificate } from "node:crypto";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type SecureVersion } from "node:tls";
import { keyTypeOf, publicKeySha256 } from "../certd/validate.ts";
import { smtpStartTls } from "./lines.ts";
import { groupInServerFlight, Tap } from "./server-hello.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface HandshakeOptions {
  /** Sent as SNI and checked against the certificate. */
  readonly hostname: string;
  readonly startTls?: "smtp" | undefined;
  /** PEM roots to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** The only version to offer. Default: TLS 1.2 and 1.3. */
  readonly version?: SecureVersion | undefined;
  /** Key exchange groups to offer, OpenSSL's names joined by colons. Default: OpenSSL's own list. */
  readonly groups?: string | undefined;
  /** TLS 1.2 suites to offer, in OpenSSL's notation. Default: OpenSSL's own list. */
  readonly ciphers?: string | undefined;
  /** Signature algorithms to offer, OpenSSL's names joined by colons. Default: OpenSSL's own list. */
  readonly signatures?: string | undefined;
  /** Milliseconds for the whole probe. Default 10,000. */
  readonly timeout?: number | undefined;
}

export interface Handshake {
  readonly version: string;
  readonly cipher: string;
  readonly group: string | undefined;
  readonly leaf: Certificate;
  /** Undefined when the chain leads to a trusted root and the leaf covers the hostname, else OpenSSL's or Node's reason. */
  readonly distrust: string | undefined;
}

export interface Certificate {
  readonly subject: string;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly selfIssued: boolean;
  readonly serial: string;
  /** SHA-256 of the whole certificate. */
  readonly fingerprint: string;
  /** SHA-256 of the public key, upper-case hex, as a TLSA 3 1 1 record has it. */
  readonly publicKeySha256: string;
  /** For example `ec-256` or `rsa-2048`. */
  readonly keyType: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Opens a TCP connection, or rejects after `timeout` milliseconds. */
export function open(address: Address, timeout: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeout / 1000} s`)), timeout);
    socket.once("error", (error: Error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

/** One TLS handshake. Resolves whatever certificate is served; rejects when no handshake comes about. */
export async function handshake(address: Address, options: HandshakeOptions): Promise<Handshake> {
  const timeout = options.timeout ?? 10_000;
  const socket = await open(address, timeout);
  const swallow = (): void => {};
  socket.on("error", swallow);
  try {
    if (options.startTls === "smtp") await smtpStartTls(socket, timeout);
    const tap = new Tap(socket);
    return await new Promise<Handshake>((resolve, reject) => {
      const secure = connectTls({
        socket: tap,
        servername: options.hostname,
        rejectUnauthorized: false,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...(options.groups === undefined ? {} : { ecdhCurve: options.groups }),
        ...(options.signatures === undefined ? {} : { sigalgs: options.signatures }),
        ...protocolRange(options.version),
        ...(options.ciphers === undefined ? {} : { ciphers: options.ciphers }),
      });
      const timer = setTimeout(() => reject(new Error(`no handshake within ${timeout / 1000} s`)), timeout);
      const settle = (): void => clearTimeout(timer);
      secure.once("error", (error: Error) => {
        settle();
        reject(error);
      });
      secure.once("close", () => {
        settle();
        reject(new Error("the peer closed the connection during the handshake"));
      });
      secure.once("secureConnect", () => {
        settle();
        const leaf = secure.getPeerX509Certificate();
        if (leaf === undefined) return reject(new Error("the peer sent no certificate"));
        resolve({
          version: secure.getProtocol() ?? "unknown",
          cipher: secure.getCipher().standardName,
          group: groupInServerFlight(tap.received),
          leaf: describeCertificate(leaf),
          distrust: secure.authorized ? undefined : distrust(secure.authorizationError, leaf),
        });
        secure.destroy();
      });
    });
  } finally {
    socket.destroy();
  }
}

// SECLEVEL 0 because OpenSSL 3 refuses TLS 1.1's SHA-1 signatures by itself: the refusal must be the server's.
function protocolRange(version: SecureVersion | undefined): object {
  if (version === undefined) return { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" };
  const old = version === "TLSv1" || version === "TLSv1.1";
  return { minVersion: version, maxVersion: version, ...(old ? { ciphers: "DEFAULT:@SECLEVEL=0" } : {}) };
}

function distrust(reason: Error | string, leaf: X509Certificate): string {
  const text = reason instanceof Error ? reason.message : reason;
  return text === "DEPTH_ZERO_SELF_SIGNED_CERT" ? `self-signed (${oneLine(leaf.subject)})` : text;
}

export function describeCertificate(leaf: X509Certificate): Certificate {
  return {
    subject: commonName(leaf.subject),
    names: (leaf.subjectAltName ?? "")
      .split(", ")
      .filter((name) => name.startsWith("DNS:"))
      .map((name) => name.slice(4)),
    issuer: commonName(leaf.issuer),
    selfIssued: leaf.subject === leaf.issuer,
    serial: leaf.serialNumber,
    publicKeySha256: publicKeySha256(leaf.publicKey).toUpperCase(),
    keyType: keyTypeOf(leaf.publicKey),
    fingerprint: leaf.fingerprint256,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
  };
}

/** CN where there is one (an ACME leaf may have no subject at all), else the whole name on one line. */
function commonName(name: string): string {
  const line = oneLine(name);
  return /(?:^|, )CN=(.*)$/.exec(line)?.[1] ?? line;
}

// Node gives undefined for an empty name, whatever its types say.
function oneLine(name: string | undefined): string {
  return (name ?? "").split("\n").join(", ");
}

/** Whether anything accepts connections there. */
export async function listens(address: Address, timeout = 2_000): Promise<boolean> {
  try {
    (await open(address, timeout)).destroy();
    return true;
  } catch {
    return false;
  }
}

export interface Answer {
  readonly status: number;
  readonly location: string | undefined;
}

/** A plain GET, following nothing. */
export function get(address: Address, hostname: string, path = "/", timeout = 10_000): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ ...address, path, headers: { host: hostname }, agent: false, timeout }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, location: response.headers.location });
    });
    call.on("timeout", () => call.destroy(new Error(`no answer within ${timeout / 1000} s`)));
    call.on("error", reject);
    call.end();
  });
}

export type Reception = "accepted" | "refused" | "no answer";

/** How a server meets a handshake with such an offer, for example TLS 1.1 only. */
export async function reception(address: Address, options: HandshakeOptions): Promise<Reception> {
  try {
    await handshake(address, options);
    return "accepted";
  } catch (error) {
    // Only an alert or a closed connection is a refusal; anything else (nobody there, no STARTTLS) shows nothing.
    const text =
      error instanceof Error ? `${"code" in error ? String(error.code) : ""} ${error.message}` : String(error);
    return /ALERT|alert|ECONNRESET|during the handshake|disconnected before secure/.test(text)
      ? "refused"
      : "no answer";
  }
}
