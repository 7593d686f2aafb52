// certd's HTTP API inside the network: the health report and metrics for whoever has the token, the MTA-STS policy for
// everybody. Traefik ends TLS in front of it and limits the rate; nothing is decided here.
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { health } from "./health.ts";
import { metrics } from "./metrics.ts";
import type { Status } from "./status.ts";

export interface ApiArgs {
  /** SHA-256 of the bearer token, hex; without one neither health nor metrics are there. */
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
const problem = (status: number, error: string, headers = {}): Answer => json(status, { error }, headers);

/**
 * Whether an Authorization header (RFC 6750 section 2.1) carries the token. Hashes of equal length are compared in
 * constant time, so neither the token nor its length can be felt out.
 */
export function authorised(header: string | undefined, tokenSha256: string): boolean {
  const token = /^Bearer +([^\s]+) *$/i.exec(header ?? "")?.[1] ?? "";
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
  if (wanted.needsToken && !authorised(request.headers.authorization, args.tokenSha256 ?? "")) {
    const error =
      "the header `Authorization: Bearer TOKEN` is missing or its token is not the one of vectis:healthToken";
    return problem(401, error, { "www-authenticate": 'Bearer realm="vectis"' });
  }
  return wanted.make();
}

interface Resource {
  readonly needsToken: boolean;
  readonly make: () => Answer;
}

function protectedPath(path: string, { tokenSha256, status, clock }: ApiArgs): Resource | undefined {
  if (tokenSha256 === undefined) return undefined;
  const report = () => health(status(), clock());
  switch (path) {
    case "/api/v1/health":
      return {
        needsToken: true,
        make: () => {
          const value = report();
          return json(value.ok ? 200 : 503, value);
        },
      };
    case "/metrics":
      return {
        needsToken: true,
        make: () => ({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body: metrics(report()) }),
      };
    default:
      return undefined;
  }
}

function publicPath(path: string, { mtaStsPolicy }: ApiArgs): Resource | undefined {
  if (path !== "/.well-known/mta-sts.txt" || mtaStsPolicy === undefined) return undefined;
  // The media type is prescribed (RFC 8461 section 3.2).
  return { needsToken: false, make: () => ({ status: 200, type: "text/plain; charset=utf-8", body: mtaStsPolicy }) };
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
