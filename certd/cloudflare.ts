// The few calls of the Cloudflare API that certd makes itself: may this token change that zone, and is a TXT record gone.
// Records are made by acme.sh. The token is read from its file for every call and is never part of a message.
import { readFileSync } from "node:fs";
import { request, type RequestOptions } from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";

export type ApiResult<T> =
  | { readonly kind: "ok"; readonly result: T }
  /** Asking again will not help: something has to be changed first. */
  | { readonly kind: "refused"; readonly cause: string }
  /** The API is out of order or overloaded; `retryAfter` in milliseconds, if it says so. */
  | { readonly kind: "unavailable"; readonly cause: string; readonly retryAfter?: number };

export interface TxtRecord {
  readonly id: string;
  readonly name: string;
  /** As it was meant: without the quotes in which the API may return it. */
  readonly value: string;
}

interface Reply {
  readonly status: number;
  readonly retryAfter: number | undefined;
  readonly body: string;
}

const API = "https://api.cloudflare.com/client/v4/";
const LONGEST_BODY = 1024 * 1024;
const TIMEOUT = 15_000;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(body: string): Fields {
  try {
    const value: unknown = JSON.parse(body);
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}

/** The first error of an answer as ` (code: message)`; empty if it names none. */
function detail(body: Fields): string {
  const { errors } = body;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return isFields(first) ? ` (${String(first["code"])}: ${String(first["message"])})` : "";
}

/** A TXT content without the quotes of RFC 1035; parts of a long one are joined. */
export function txtValue(content: string): string {
  if (!content.startsWith('"')) return content;
  return [...content.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part = ""]) => part.replace(/\\(.)/g, "$1")).join("");
}

/** Milliseconds that a Retry-After header asks for: seconds or a date (RFC 9110 section 10.2.3). */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

export class CloudflareClient {
  private readonly tokenFile: string;
  private readonly roots: () => string;
  private readonly accountId: string | undefined;
  private readonly options: RequestOptions;
  private context: SecureContext | undefined;

  /**
   * @param tokenFile where the API token is
   * @param roots PEM certificates that the API's own certificate may chain to; read when first needed
   * @param accountId the account that owns the token; default: a user does
   * @param options of the connection, for tests
   */
  constructor(tokenFile: string, roots: () => string, accountId?: string, options: RequestOptions = {}) {
    this.tokenFile = tokenFile;
    this.roots = roots;
    this.accountId = accountId;
    this.options = options;
  }

  /** Whether the zone may be read and its records listed: what acme.sh will do, short of a change. Never rejects. */
  async mayUse(zone: string): Promise<ApiResult<string>> {
    if (this.token() === "") return this.tokenMissing();
    const found = await this.call("GET", `zones/${zone}`);
    if (found.kind === "refused") return this.explain(found.cause, zone);
    if (found.kind !== "ok") return found;
    const records = await this.call("GET", `zones/${zone}/dns_records?type=TXT&per_page=5`);
    if (records.kind === "refused") return this.explain(records.cause, zone);
    if (records.kind !== "ok") return records;
    return { kind: "ok", result: isFields(found.result) ? String(found.result["name"]) : "" };
  }

  /** TXT records at a name. Never rejects. */
  async txtRecords(zone: string, name: string): Promise<ApiResult<readonly TxtRecord[]>> {
    const query = `type=TXT&per_page=100&name=${encodeURIComponent(name)}`;
    const answer = await this.call("GET", `zones/${zone}/dns_records?${query}`);
    if (answer.kind !== "ok") return answer;
    const list: readonly unknown[] = Array.isArray(answer.result) ? answer.result : [];
    const records = list.filter(isFields).map((record) => ({
      id: String(record["id"]),
      name: String(record["name"]),
      value: txtValue(String(record["content"])),
    }));
    return { kind: "ok", result: records };
  }

  /** Removes a record; one that is not there any more counts as removed. Never rejects. */
  remove(zone: string, id: string): Promise<ApiResult<unknown>> {
    return this.call("DELETE", `zones/${zone}/dns_records/${id}`, [404]);
  }

  /** Read for every call, so that a replaced one counts at once; empty if there is none. */
  private token(): string {
    try {
      return readFileSync(this.tokenFile, "utf8").trim();
    } catch {
      return "";
    }
  }

  private tokenMissing(): ApiResult<never> {
    return { kind: "refused", cause: `there is no API token in ${this.tokenFile}` };
  }

  /** A refusal with what the API says about the token itself: "invalid domain" is all that acme.sh would say. */
  private async explain(cause: string, zone: string): Promise<ApiResult<never>> {
    let verified = await this.call("GET", "user/tokens/verify");
    if (verified.kind === "refused" && this.accountId !== undefined) {
      verified = await this.call("GET", `accounts/${this.accountId}/tokens/verify`);
    }
    const status = verified.kind === "ok" && isFields(verified.result) ? verified.result["status"] : undefined;
    const verdict =
      status === "active"
        ? `the token is valid, but not for zone ${zone}: it needs DNS Write there, and its address filter must let this host pass`
        : typeof status === "string"
          ? `the token is ${status}`
          : verified.kind === "refused"
            ? "the token is not valid (any more), or its address filter keeps this host out"
            : "what is wrong with the token cannot be asked at the moment";
    return { kind: "refused", cause: `${cause}; ${verdict}` };
  }

  private async call(
    method: "GET" | "DELETE",
    path: string,
    fine: readonly number[] = [],
  ): Promise<ApiResult<unknown>> {
    const token = this.token();
    if (token === "") return this.tokenMissing();
    let reply: Reply;
    try {
      reply = await this.send(method, `${API}${path}`, token);
    } catch (error) {
      const cause = error instanceof Error ? error.message || error.name : String(error);
      return { kind: "unavailable", cause: `Cloudflare does not answer (${cause})` };
    }
    const body = parse(reply.body);
    const { status } = reply;
    if (fine.includes(status) || (status >= 200 && status < 300 && body["success"] === true)) {
      return { kind: "ok", result: body["result"] };
    }
    const cause = `Cloudflare answers ${status}${detail(body)}`;
    if (status === 429 || status === 408 || status >= 500) {
      return {
        kind: "unavailable",
        cause,
        ...(reply.retryAfter === undefined ? {} : { retryAfter: reply.retryAfter }),
      };
    }
    return { kind: "refused", cause };
  }

  private send(method: string, url: string, token: string): Promise<Reply> {
    this.context ??= createSecureContext({ ca: this.roots() });
    const headers = { authorization: `Bearer ${token}`, "user-agent": "vectis-certd", connection: "close" };
    const options = { ...this.options, method, agent: false, secureContext: this.context, headers };
    return new Promise((resolve, reject) => {
      const call = request(url, options, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > LONGEST_BODY) call.destroy(new Error("the answer is too long"));
        });
        response.once("end", () => {
          const wait = retryAfter(response.headers["retry-after"], Date.now());
          resolve({ status: response.statusCode ?? 0, retryAfter: wait, body });
        });
        response.once("error", reject);
      });
      const timer = setTimeout(() => call.destroy(new Error(`no answer within ${TIMEOUT / 1000} s`)), TIMEOUT);
      call.once("close", () => clearTimeout(timer));
      call.once("error", reject);
      call.end();
    });
  }
}
