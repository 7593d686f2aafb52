// Real certificates for tests, made by openssl: roots, intermediates and leaves with whatever is wrong with them.
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Issued {
  /** The certificate alone. */
  readonly pem: string;
  readonly key: string;
  /** Serial number, hex. */
  readonly serial: string;
  readonly paths: { readonly pem: string; readonly key: string };
}

export interface Request {
  readonly subject: string;
  readonly names?: readonly string[];
  /** Issuer; default: self-signed. */
  readonly by?: Issued;
  readonly ca?: boolean;
  /** openssl's name for the key: an EC curve or rsa:<bits>; default P-256. */
  readonly key?: string;
  /** The key of an earlier certificate instead of a new one. */
  readonly reuse?: Issued;
  readonly usage?: string;
  /** Lifetime from now, default 90. */
  readonly days?: number;
}

export class TestPki {
  private readonly folder = mkdtempSync(join(tmpdir(), "certd-pki-"));
  private count = 0;

  private openssl(...args: string[]): void {
    execFileSync("openssl", args, { stdio: "ignore" });
  }

  issue(request: Request): Issued {
    const base = join(this.folder, String(this.count++));
    const paths = { pem: `${base}.pem`, key: request.reuse?.paths.key ?? `${base}.key` };
    const kind = request.key ?? "prime256v1";
    const algorithm = kind.startsWith("rsa:")
      ? ["-newkey", kind]
      : kind === "ed25519"
        ? ["-newkey", "ed25519"]
        : ["-newkey", "ec", "-pkeyopt", `ec_paramgen_curve:${kind}`];
    const key = request.reuse ? ["-key", paths.key] : [...algorithm, "-nodes", "-keyout", paths.key];
    this.openssl("req", "-new", ...key, "-subj", request.subject, "-out", `${base}.csr`);
    const extensions = [
      `basicConstraints=critical,CA:${request.ca === true ? "TRUE" : "FALSE"}`,
      ...(request.names === undefined ? [] : [`subjectAltName=${request.names.map((n) => `DNS:${n}`).join(",")}`]),
      ...(request.usage === undefined ? [] : [`extendedKeyUsage=${request.usage}`]),
      "subjectKeyIdentifier=hash",
      ...(request.by === undefined ? [] : ["authorityKeyIdentifier=keyid"]),
    ];
    writeFileSync(`${base}.ext`, extensions.join("\n"));
    const signer = request.by
      ? ["-CA", request.by.paths.pem, "-CAkey", request.by.paths.key, "-CAcreateserial"]
      : ["-signkey", paths.key];
    const days = String(request.days ?? 90);
    this.openssl(
      "x509",
      "-req",
      "-in",
      `${base}.csr`,
      ...signer,
      "-days",
      days,
      "-extfile",
      `${base}.ext`,
      "-out",
      paths.pem,
    );
    const pem = readFileSync(paths.pem, "utf8");
    return { pem, key: readFileSync(paths.key, "utf8"), serial: new X509Certificate(pem).serialNumber, paths };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until a condition holds, looking often. @throws after the time limit, with the name of what was awaited */
export async function until(what: string, condition: () => boolean, limitMs = 20_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
