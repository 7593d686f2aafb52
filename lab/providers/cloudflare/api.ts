// The Cloudflare API over HTTP: authentication, bounded retries, time limits, and errors a person can read. Never repeats the token.
import { setTimeout as wait } from "node:timers/promises";
import { isBag, written, type Bag, type Plain } from "../protocol/value.ts";

const DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4";
const TIMEOUT_SECONDS = 30;
const ATTEMPTS = 4;
/** A rate limit that lasts longer is an error to show, not a time to wait. */
const LONGEST_WAIT_SECONDS = 60;

type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface Request {
  readonly method: Method;
  /** Below the base URL, with its leading slash. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Bag;
}

/** What the API answered instead of a result. */
export class ApiError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

export interface Cloudflare {
  /** The `result` of the answer. @throws ApiError with status, code and message */
  readonly ask: (request: Request, signal: AbortSignal) => Promise<Plain>;
}

export interface Api {
  readonly cloudflare: Cloudflare;
}

/** @throws Error that names the key and a good value */
export function checkBaseUrl(value: string): void {
  const url = URL.parse(value);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new Error(
      `'${value}' is no base URL; set cloudflare:baseUrl (or CLOUDFLARE_BASE_URL) to one such as ${DEFAULT_BASE_URL}`,
    );
  }
}

/** @throws Error that names the key */
export function checkToken(value: string): void {
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new Error("cloudflare:apiToken (or CLOUDFLARE_API_TOKEN) has a space or a character that no API token has");
  }
}

export function connect(config: Readonly<Record<string, string>>): Api {
  const token = config["apiToken"] || process.env["CLOUDFLARE_API_TOKEN"] || "";
  const base = (config["baseUrl"] || process.env["CLOUDFLARE_BASE_URL"] || DEFAULT_BASE_URL).replace(/\/+$/, "");
  if (token === "") {
    throw new Error(
      "no Cloudflare API token: set it with 'pulumi config set --secret cloudflare:apiToken', or CLOUDFLARE_API_TOKEN",
    );
  }
  checkToken(token);
  checkBaseUrl(base);

  const once = async ({ method, path, query, body }: Request, signal: AbortSignal): Promise<Attempt> => {
    const url = new URL(`${base}${path}`);
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    const answer = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_SECONDS * 1000)]),
    });
    const { status, statusText, headers } = answer;
    return { status, statusText, retryAfter: headers.get("retry-after"), text: await answer.text() };
  };

  const ask = async (request: Request, signal: AbortSignal): Promise<Plain> => {
    const what = `${request.method} "${base}${request.path}"`;
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      let pause = Math.min(0.5 * 2 ** (attempt - 1), 8);
      try {
        const answer = await once(request, signal);
        const content = parse(answer.text);
        if (answer.status < 300 && content?.["success"] !== false) return content?.["result"] ?? null;
        const asked = seconds(answer.retryAfter);
        const error = new ApiError(`${what}: ${explain(answer, content, asked)}`, answer.status);
        if (attempt === ATTEMPTS || !again(request.method, answer.status)) throw error;
        if (asked !== undefined) pause = asked;
        if (pause > LONGEST_WAIT_SECONDS) throw error;
      } catch (error) {
        if (error instanceof ApiError) throw error;
        signal.throwIfAborted();
        // After a lost connection nobody knows whether a POST was carried out.
        if (attempt === ATTEMPTS || request.method === "POST" || isTimeout(error) || isDistrust(error)) {
          throw new Error(`${what}: ${cause(error)}`, { cause: error });
        }
      }
      await wait(pause * 1000, undefined, { signal });
    }
  };
  return {
    cloudflare: { ask: (request, signal) => ask(request, signal).catch((error: unknown) => hide(error, token)) },
  };
}

interface Attempt {
  readonly status: number;
  readonly statusText: string;
  readonly retryAfter: string | null;
  readonly text: string;
}

function hide(error: unknown, token: string): never {
  if (error instanceof Error) error.message = error.message.replaceAll(token, "[token]");
  throw error;
}

/** A rate limit refuses before anything is done; after other failures only what can be repeated is. */
const again = (method: Method, status: number): boolean =>
  status === 429 || (method !== "POST" && (status === 408 || status >= 500));

function parse(text: string): Bag | undefined {
  try {
    const content: unknown = JSON.parse(text);
    return isBag(content as Plain) ? (content as Bag) : undefined;
  } catch {
    return undefined;
  }
}

/** The API's own codes and messages; they say more than the status. */
function explain(answer: Attempt, content: Bag | undefined, retryAfter: number | undefined): string {
  const told = [content?.["errors"] ?? []].flat().filter(isBag).flatMap(withChain);
  const said = told.map(({ code, message }) => `${written(message)} (code ${written(code)})`).join("; ");
  const later = retryAfter === undefined ? "" : `; it asks to wait ${retryAfter} s`;
  return `${answer.status} ${answer.statusText}: ${said || answer.text.trim().slice(0, 200) || "an empty answer"}${later}`;
}

function withChain(error: Bag): Bag[] {
  const chain = error["error_chain"];
  return [error, ...(Array.isArray(chain) ? chain.filter(isBag) : [])];
}

/** Retry-After in seconds: a number, or a date (RFC 9110, section 10.2.3). */
function seconds(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(retryAfter)) return Number(retryAfter);
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - Date.now()) / 1000));
}

const isDistrust = (error: unknown): boolean => /certificate/i.test(rootOf(error));
const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === "TimeoutError";

function cause(error: unknown): string {
  if (isTimeout(error)) return `no answer within ${TIMEOUT_SECONDS} s`;
  return isDistrust(error) ? `${rootOf(error)} (NODE_EXTRA_CA_CERTS names a file with further roots)` : rootOf(error);
}

/** What lies below "fetch failed". */
function rootOf(error: unknown): string {
  const inner: unknown = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(inner instanceof Error)) return String(inner);
  return inner.message || ("code" in inner ? String(inner.code) : inner.name);
}
