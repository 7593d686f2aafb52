// OpenSSH's notation of keys: the public blob (RFC 4253 section 6.6, RFC 5656, RFC 8709) and its private key file (PROTOCOL.key).
import { randomBytes, type KeyObject } from "node:crypto";

export interface PublicBlob {
  readonly type: string;
  readonly blob: Buffer;
}

const CURVES: Readonly<Record<string, string>> = { "P-256": "nistp256", "P-384": "nistp384", "P-521": "nistp521" };

/** Undefined for keys that OpenSSH does not know. */
export function publicBlob(key: KeyObject): PublicBlob | undefined {
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "secp224r1") return undefined;
  const jwk = key.export({ format: "jwk" });
  switch (jwk.kty ?? "") {
    case "RSA":
      return blob("ssh-rsa", mpint(jwk.e), mpint(jwk.n));
    case "EC": {
      const curve = CURVES[jwk.crv ?? ""];
      if (curve === undefined) return undefined;
      return blob(`ecdsa-sha2-${curve}`, string(curve), string(point(jwk)));
    }
    case "OKP":
      return blob("ssh-ed25519", string(bytes(jwk.x)));
    default:
      return undefined;
  }
}

export function privatePem(key: KeyObject, open: PublicBlob): string {
  const jwk = key.export({ format: "jwk" });
  const secret: Buffer[] = [];
  switch (jwk.kty ?? "") {
    case "RSA":
      secret.push(...[jwk.n, jwk.e, jwk.d, jwk.qi, jwk.p, jwk.q].map(mpint));
      break;
    case "EC":
      secret.push(string(CURVES[jwk.crv ?? ""] ?? ""), string(point(jwk)), mpint(jwk.d));
      break;
    case "OKP":
      secret.push(string(bytes(jwk.x)), string(Buffer.concat([bytes(jwk.d), bytes(jwk.x)])));
      break;
  }
  const check = randomBytes(4);
  const comment = string("");
  const inner = Buffer.concat([check, check, string(open.type), ...secret, comment]);
  const padding = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, i) => i + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    ...[string("none"), string("none"), string("")],
    uint32(1),
    string(open.blob),
    string(Buffer.concat([inner, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

type Jwk = ReturnType<KeyObject["export"]> extends infer T ? Extract<T, { kty?: string }> : never;

const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64url");

/** An uncompressed point (SEC 1 section 2.3.3); the coordinates of a JWK have their full length. */
const point = (jwk: Jwk): Buffer => Buffer.concat([Buffer.from([4]), bytes(jwk.x), bytes(jwk.y)]);

const blob = (type: string, ...parts: Buffer[]): PublicBlob => ({
  type,
  blob: Buffer.concat([string(type), ...parts]),
});

function uint32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

function string(data: string | Buffer): Buffer {
  const content = Buffer.from(data);
  return Buffer.concat([uint32(content.length), content]);
}

/** A positive number without leading zeros, but one where it would look negative (RFC 4251 section 5). */
function mpint(text: string | undefined): Buffer {
  let content = bytes(text);
  while (content[0] === 0) content = content.subarray(1);
  return string(((content[0] ?? 0) & 128) === 0 ? content : Buffer.concat([Buffer.from([0]), content]));
}
