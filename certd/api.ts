// certd's HTTP API inside the network: the health report, the status page and metrics for whoever has the token, the MTA-STS
// policy for everybody. Traefik ends TLS in front of it and limits the rate; nothing is decided here.
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { health, type Health } from "./health.ts";
import { metrics } from "./metrics.ts";
import type { Status } from "./status.ts";
import { contentSecurityPolicy, statusPage } from "./status-page.ts";

export interface ApiArgs {
  /** SHA-256 of the bearer token, hex; without one neither health nor its page nor metrics are there. */
  readonly tokenSha256?: string | undefined;
  /** Text of the MTA-STS policy (RFC 8461 section 3.2), if there is one. */
  readonly mtaStsPolicy?: string | undefined;
  readonly status: () => Status;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const json = (status: number, value: unknown, headers = {}): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(value, undefined, 2) + "\n",
  headers: { "cache-control": "no-store", ...headers },
});
const page = (report: Health): Answer => ({
  status: report.ok ? 200 : 503,
  type: "text/html; charset=utf-8",
  body: statusPage(report),
  headers: {
    "cache-control": "no-store",
    "content-security-policy": contentSecurityPolicy,
    "referrer-policy": "no-referrer",
  },
});
const problem = (status: number, error: string, headers = {}): Answer => json(status, { error }, headers);

/** How a token is presented: by programs, and by people whose browser asks for a password. */
type Scheme = "Bearer" | "Basic";

/** The token in an Authorization header: itself (RFC 6750 section 2.1), or the password of any user (RFC 7617 section 2). */
function presented(header: string | undefined, scheme: Scheme): string {
  const [, found = "", credentials = ""] = /^(\w+) +([^\s]+) *$/.exec(header ?? "") ?? [];
  if (found.toLowerCase() !== scheme.toLowerCase()) return "";
  return scheme === "Bearer"
    ? credentials
    : (/^[^:]*:(.*)$/s.exec(Buffer.from(credentials, "base64").toString("utf8"))?.[1] ?? "");
}

/**
 * Whether an Authorization header carries the token. Hashes of equal length are compared in constant time, so neither the
 * token nor its length can be felt out.
 */
export function authorised(header: string | undefined, tokenSha256: string, scheme: Scheme = "Bearer"): boolean {
  const token = presented(header, scheme);
  const given = createHash("sha256").update(token).digest();
  const wanted = Buffer.from(tokenSha256, "hex");
  return given.length === wanted.length && timingSafeEqual(given, wanted) && token !== "";
}

/** The hash that the stack put into a file; `undefined` if there is none, or if it is no SHA-256 in hex. */
export function readTokenHash(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** What a request is answered with. */
export function answer(request: Pick<IncomingMessage, "method" | "url" | "headers">, args: ApiArgs): Answer {
  const path = (request.url ?? "").split("?")[0] ?? "";
  const wanted = protectedPath(path, args) ?? publicPath(path, args);
  if (wanted === undefined) return problem(404, "there is nothing at this path");
  if (request.method !== "GET" && request.method !== "HEAD") {
    return problem(405, "only GET and HEAD are answered here", { allow: "GET, HEAD" });
  }
  const { scheme } = wanted;
  if (scheme !== undefined && !authorised(request.headers.authorization, args.tokenSha256 ?? "", scheme)) {
    const challenge = `${scheme} realm="vectis"${scheme === "Basic" ? ', charset="UTF-8"' : ""}`;
    return problem(401, UNAUTHORISED[scheme], { "www-authenticate": challenge });
  }
  return wanted.make();
}

const UNAUTHORISED: Readonly<Record<Scheme, string>> = {
  Bearer: "the header `Authorization: Bearer TOKEN` is missing or its token is not the one of vectis:healthToken",
  Basic: "the password is missing or not the token of vectis:healthToken; any user name will do",
};

interface Resource {
  /** How the token is to be presented; `undefined`: it is for everybody. */
  readonly scheme: Scheme | undefined;
  readonly make: () => Answer;
}

function protectedPath(path: string, { tokenSha256, status, clock }: ApiArgs): Resource | undefined {
  if (tokenSha256 === undefined) return undefined;
  const report = () => health(status(), clock());
  switch (path) {
    case "/api/v1/health":
      return {
        scheme: "Bearer",
        make: () => {
          const value = report();
          return json(value.ok ? 200 : 503, value);
        },
      };
    case "/status":
      return { scheme: "Basic", make: () => page(report()) };
    case "/metrics":
      return {
        scheme: "Bearer",
        make: () => ({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body: metrics(report()) }),
      };
    default:
      return undefined;
  }
}

function publicPath(path: string, { mtaStsPolicy }: ApiArgs): Resource | undefined {
  if (path !== "/.well-known/mta-sts.txt" || mtaStsPolicy === undefined) return undefined;
  // The media type is prescribed (RFC 8461 section 3.2).
  return { scheme: undefined, make: () => ({ status: 200, type: "text/plain; charset=utf-8", body: mtaStsPolicy }) };
}

/** Answers on a port until it is closed. A request gets five seconds and no body is read. */
export function createApi(args: ApiArgs): Server {
  const server = createServer(
    { headersTimeout: 5000, requestTimeout: 5000, keepAliveTimeout: 5000 },
    (request, response) => respond(request, response, answer(request, args)),
  );
  server.maxConnections = 100;
  return server;
}

function respond(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Answer): void {
  request.resume();
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "x-content-type-options": "nosniff",
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
