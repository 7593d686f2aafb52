// Asks an ACME CA cheap questions over HTTPS: is it there, does it still know a certificate.
// Orders are acme.sh's business.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";
import type { LeafFacts } from "./validate.ts";

/** The CA's directory as far as certd uses it. */
export interface Directory {
  /** Base URL of renewal information (RFC 9773), if the CA offers it. */
  readonly renewalInfo?: string;
}

export type DirectoryAnswer =
  { readonly kind: "answers"; readonly directory: Directory } | { readonly kind: "silent"; readonly cause: string };

/** `unknown`: the CA answered that it does not know the certificate; `unclear`: no usable answer. */
export type Knowledge = "known" | "unknown" | "unclear";

interface Reply {
  readonly status: number;
  readonly body: string;
}

const SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt";
const LONGEST_BODY = 64 * 1024;

/** The certificate's identifier for renewal information (RFC 9773 section 4.1); `undefined` without a key identifier. */
export function renewalId(leaf: Pick<LeafFacts, "authorityKeyId" | "serial">): string | undefined {
  if (leaf.authorityKeyId === "") return undefined;
  const even = leaf.serial.length % 2 === 0 ? leaf.serial : `0${leaf.serial}`;
  // The DER content octets of a positive INTEGER: a leading zero octet where the first bit is set.
  const serial = parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
  const encode = (hex: string): string => Buffer.from(hex, "hex").toString("base64url");
  return `${encode(leaf.authorityKeyId)}.${encode(serial)}`;
}

export class CaClient {
  private readonly url: string;
  private readonly roots: string | undefined;
  private context: SecureContext | undefined;

  /**
   * @param url the directory URL
   * @param roots PEM roots instead of the system's; default the system's
   */
  constructor(url: string, roots?: string) {
    this.url = url;
    this.roots = roots;
  }

  private get(url: string): Promise<Reply> {
    // Made once: parsing the system's roots costs tens of milliseconds.
    this.context ??= createSecureContext({ ca: this.roots ?? readFileSync(SYSTEM_ROOTS, "utf8") });
    const secureContext = this.context;
    return new Promise((resolve, reject) => {
      const options = { agent: false, secureContext, headers: { "user-agent": "vectis-certd", connection: "close" } };
      const call = request(url, options, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > LONGEST_BODY) call.destroy(new Error("the answer is too long"));
        });
        response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
        response.once("error", reject);
      });
      const timer = setTimeout(() => call.destroy(new Error("no answer within 10 s")), 10_000);
      call.once("close", () => clearTimeout(timer));
      call.once("error", reject);
      call.end();
    });
  }

  /** Fetches the directory. Never rejects. */
  async directory(): Promise<DirectoryAnswer> {
    try {
      const reply = await this.get(this.url);
      if (reply.status !== 200) return { kind: "silent", cause: `it answers ${reply.status}` };
      const value = JSON.parse(reply.body) as Partial<Record<string, unknown>> | null;
      if (typeof value?.["newOrder"] !== "string") return { kind: "silent", cause: "the answer is no ACME directory" };
      const renewalInfo = value["renewalInfo"];
      return { kind: "answers", directory: typeof renewalInfo === "string" ? { renewalInfo } : {} };
    } catch (error) {
      return { kind: "silent", cause: error instanceof Error ? error.message || error.name : String(error) };
    }
  }

  /**
   * Whether the CA knows a certificate, by asking for its renewal information. Never rejects.
   * A CA that lost its data answers 404, or 400 because not even the issuer is known to it (Pebble).
   */
  async knows(directory: Directory, leaf: LeafFacts): Promise<Knowledge> {
    const id = renewalId(leaf);
    if (directory.renewalInfo === undefined || id === undefined) return "unclear";
    try {
      const { status } = await this.get(`${directory.renewalInfo.replace(/\/$/, "")}/${id}`);
      if (status === 200) return "known";
      return status === 400 || status === 404 || status === 410 ? "unknown" : "unclear";
    } catch {
      return "unclear";
    }
  }
}
