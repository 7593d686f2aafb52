// Asks an ACME CA cheap questions over HTTPS: is it there, does it know a certificate, when should that be renewed.
// Orders are acme.sh's business.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";
import type { RenewalWindow } from "./schedule.ts";
import type { LeafFacts } from "./validate.ts";

/** The CA's directory as far as certd uses it. */
export interface Directory {
  /** Base URL of renewal information (RFC 9773), if the CA offers it. */
  readonly renewalInfo?: string;
}

export type DirectoryAnswer =
  | {
      readonly kind: "answers";
      readonly directory: Directory;
      /** The time at the CA, milliseconds since the epoch; `undefined` if it does not say. */
      readonly time: number | undefined;
    }
  | {
      readonly kind: "silent";
      readonly cause: string;
      readonly retryAfter: number | undefined;
      /** The time that it states, if all that is wrong is that by this machine's clock its certificate is out of date. */
      readonly time?: number | undefined;
    };

/**
 * What a CA says about a certificate. `unknown`: it answered that it does not know it; `unclear`: no usable answer.
 * `retryAfter`: how long the CA wants to be left alone, in milliseconds.
 */
export type RenewalInfo =
  | {
      readonly kind: "known";
      /** When the CA would like it renewed; `undefined` if it gave no valid window. */
      readonly window: RenewalWindow | undefined;
      /** A page that tells a person why. */
      readonly explanationUrl: string | undefined;
      readonly retryAfter: number | undefined;
    }
  | { readonly kind: "unknown" }
  | { readonly kind: "unclear"; readonly retryAfter: number | undefined };

interface Reply {
  readonly status: number;
  readonly body: string;
  /** The headers of these names. */
  readonly retryAfter: string | undefined;
  readonly date: string | undefined;
}

/** PEM text of the roots that the system trusts. */
export const systemRoots = (): string => readFileSync("/etc/ssl/certs/ca-certificates.crt", "utf8");
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

  /** @param rejectUnauthorized false: whoever answers is believed to be the CA */
  private get(url: string, rejectUnauthorized = true): Promise<Reply> {
    // Made once: parsing the system's roots costs tens of milliseconds.
    this.context ??= createSecureContext({ ca: this.roots ?? systemRoots() });
    const secureContext = this.context;
    return new Promise((resolve, reject) => {
      const headers = { "user-agent": "vectis-certd", connection: "close" };
      const options = { agent: false, secureContext, rejectUnauthorized, headers };
      const call = request(url, options, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > LONGEST_BODY) call.destroy(new Error("the answer is too long"));
        });
        response.once("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            body,
            retryAfter: response.headers["retry-after"],
            date: response.headers.date,
          }),
        );
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
    let retryAfter: number | undefined;
    try {
      const reply = await this.get(this.url);
      retryAfter = parseRetryAfter(reply.retryAfter, Date.now());
      if (reply.status !== 200) return { kind: "silent", cause: `it answers ${reply.status}`, retryAfter };
      const { newOrder, renewalInfo } = JSON.parse(reply.body) as Partial<Record<string, unknown>>;
      if (typeof newOrder !== "string") return { kind: "silent", cause: "the answer is no ACME directory", retryAfter };
      const directory = typeof renewalInfo === "string" ? { renewalInfo } : {};
      return { kind: "answers", directory, time: timeOf(reply) };
    } catch (error) {
      const silent = { kind: "silent", cause: errorText(error), retryAfter } as const;
      const code = (error as NodeJS.ErrnoException).code ?? "";
      if (code !== "CERT_NOT_YET_VALID" && code !== "CERT_HAS_EXPIRED") return silent;
      return { ...silent, time: await this.statedTime() };
    }
  }

  /**
   * The time by the Date header of an answer from whoever it may be. Good for telling that a clock is wrong, and for no
   * order: each begins with a directory that can be trusted.
   */
  private async statedTime(): Promise<number | undefined> {
    try {
      return timeOf(await this.get(this.url, false));
    } catch {
      return undefined;
    }
  }

  /**
   * Asks for a certificate's renewal information (RFC 9773 section 4.1), which also tells whether the CA knows the
   * certificate. Never rejects. A CA that lost its data answers 404, or 400 because not even the issuer is known to it
   * (Pebble).
   */
  async renewalInfo(directory: Directory, leaf: LeafFacts): Promise<RenewalInfo> {
    const id = renewalId(leaf);
    if (directory.renewalInfo === undefined || id === undefined) return { kind: "unclear", retryAfter: undefined };
    try {
      const reply = await this.get(`${directory.renewalInfo.replace(/\/$/, "")}/${id}`);
      const retryAfter = parseRetryAfter(reply.retryAfter, Date.now());
      if (reply.status === 200) return { kind: "known", ...parseRenewalInfo(reply.body), retryAfter };
      if (reply.status === 400 || reply.status === 404 || reply.status === 410) return { kind: "unknown" };
      return { kind: "unclear", retryAfter };
    } catch {
      return { kind: "unclear", retryAfter: undefined };
    }
  }
}

/** What a reply's Date header says, milliseconds since the epoch. */
function timeOf({ date = "" }: Reply): number | undefined {
  const time = Date.parse(date);
  return Number.isNaN(time) ? undefined : time;
}

/** Several failed addresses make an error without a message, but with a code. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}

/**
 * A renewal information object (RFC 9773 section 4.2). One whose window ends before it starts is invalid; whatever
 * cannot be read is left out.
 */
export function parseRenewalInfo(body: string): {
  readonly window: RenewalWindow | undefined;
  readonly explanationUrl: string | undefined;
} {
  const { suggestedWindow, explanationURL: url } = parseObject(body);
  const time = (text: unknown): number => (typeof text === "string" ? Date.parse(text) : NaN);
  const [start, end] = [time(suggestedWindow?.start), time(suggestedWindow?.end)];
  return {
    window: end > start ? { start, end } : undefined,
    // It goes into a log: a URL as the parser writes it, and nothing else.
    explanationUrl:
      typeof url === "string" && /^https?:/.test(url) && URL.canParse(url) ? new URL(url).href : undefined,
  };
}

function parseObject(body: string): {
  readonly suggestedWindow?: { readonly start?: unknown; readonly end?: unknown } | null;
  readonly explanationURL?: unknown;
} {
  try {
    return Object(JSON.parse(body)) as object;
  } catch {
    return {};
  }
}

/**
 * A Retry-After header (RFC 9110 section 10.2.3), which is a number of seconds or a date, as milliseconds from `now`;
 * `undefined` if absent or unreadable.
 */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
