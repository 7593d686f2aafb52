// The self-signed placeholder on which services start before any CA has answered.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pair } from "./validate.ts";

/** By this organisation everyone recognises a placeholder. */
export const PLACEHOLDER_ORGANIZATION = "Vectis placeholder";

/**
 * Makes a self-signed pair with openssl: EC P-256, the names as SANs, the first one as CN.
 * @param days lifetime, from now
 * @throws if openssl fails
 */
export function makePlaceholder(names: readonly string[], days: number): Pair {
  const folder = mkdtempSync(join(tmpdir(), "placeholder-"));
  try {
    const key = join(folder, "key.pem");
    const certificate = join(folder, "cert.pem");
    // The common name is limited to 64 characters (RFC 5280, ub-common-name).
    const subject = `/O=${PLACEHOLDER_ORGANIZATION}/CN=${(names[0] ?? "localhost").slice(0, 64)}`;
    const extensions = [
      `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`,
      "extendedKeyUsage=serverAuth",
      "basicConstraints=critical,CA:FALSE",
    ];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    execFileSync(
      "openssl",
      ["req", "-x509", ...curve, "-days", String(days), "-subj", subject, "-keyout", key, "-out", certificate].concat(
        extensions.flatMap((extension) => ["-addext", extension]),
      ),
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    return { fullchain: readFileSync(certificate, "utf8"), privkey: readFileSync(key, "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
