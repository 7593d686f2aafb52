// The lab's stand-in for the Cloudflare API as a server: over TLS as api.cloudflare.com, over plain HTTP for those outside
// the lab's network, and there also what a test may see and order (/lab/…).
//   main.mjs DNS-SERVER'S-ADDRESS ALGORITHM:NAME SECRET      the TSIG key of its updates
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import type { Bag, Plain } from "../providers/protocol/value.ts";
import { Api, type Answer } from "./api.ts";
import { Faults, readFault, refusalOf } from "./faults.ts";
import { Keeper } from "./keeper.ts";
import type { LoggedRequest } from "./log.ts";
import { Refusal } from "./refusal.ts";

const [address = "", key = "", secret = ""] = process.argv.slice(2);
const keeper = new Keeper("/var/lib/lab-cloudflare/state.json", { address, key: `${key} ${secret}` });
const api = new Api(keeper.state);
const faults = new Faults();
const log: LoggedRequest[] = [];
const root = "/client/v4";

const listener =
  (via: LoggedRequest["via"]): RequestListener =>
  (request, response) => {
    handle(via, request, response).catch((error: unknown) => {
      console.error(error);
      response.destroy();
    });
  };

async function handle(via: LoggedRequest["via"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const start = performance.now();
  const sent = await readBody(request);
  const url = new URL(request.url ?? "/", "http://localhost");
  const method = request.method ?? "";
  if (via === "http" && url.pathname.startsWith("/lab/")) {
    answerLab(method, url.pathname, sent, response);
    return;
  }
  const path = url.pathname.startsWith(`${root}/`) ? url.pathname.slice(root.length) : url.pathname;
  const query = Object.fromEntries(url.searchParams);
  const from = (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const { authorization } = request.headers;
  const token = api.caller(authorization)?.token.id ?? null;
  const fault = faults.take(method, path);
  if (fault?.delay !== undefined) await wait(fault.delay);
  let body: Plain | undefined;
  let status: number | null = null;
  try {
    if (fault?.down === true) {
      response.destroy();
      return;
    }
    body = sent === "" ? undefined : parse(sent);
    const refusal = fault && refusalOf(fault);
    if (refusal !== undefined) throw refusal;
    if (path === url.pathname) throw new Refusal(404, 7000, `No route for that URI: ${path}`);
    const answer = api.answer({ method, path, query, body, authorization, from });
    await keep(method, answer, fault?.publishAfter);
    status = send(response, 200, envelope(answer));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const headers = error.retryAfter === undefined ? {} : { "retry-after": error.retryAfter };
    status = send(response, error.status, failure(error), headers);
  } finally {
    const seen = body === undefined ? {} : { body };
    log.push({ at: new Date().toISOString(), via, from, method, path, query, ...seen, token, status });
    const took = Math.round(performance.now() - start);
    console.log(
      `${method} ${path}${url.search} ${status ?? "closed"} by ${token ?? "nobody"} from ${from} in ${took} ms`,
    );
  }
}

async function keep(method: string, { changed }: Answer, publishAfter: number | undefined): Promise<void> {
  if (method === "GET") return;
  if (changed !== undefined && publishAfter !== undefined) {
    setTimeout(() => {
      keeper.note(changed);
      void keeper.commit();
    }, publishAfter);
  } else if (changed !== undefined) keeper.note(changed);
  await keeper.commit();
}

function answerLab(method: string, path: string, sent: string, response: ServerResponse): void {
  try {
    const requests = path === "/lab/requests";
    if (!requests && path !== "/lab/faults") throw new Refusal(404, 7000, `No route for that URI: ${path}`);
    if (method === "DELETE" && requests) log.length = 0;
    else if (method === "DELETE") faults.set(undefined);
    else if (method === "POST" && !requests) faults.set(readFault(parse(sent)));
    else if (method !== "GET") throw new Refusal(405, 7000, `${path} does not take ${method}`);
    send(response, 200, JSON.stringify(requests ? log : (faults.current ?? null)));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    send(response, error.status, failure(error));
  }
}

function parse(sent: string): Plain {
  try {
    return JSON.parse(sent) as Plain;
  } catch {
    throw new Refusal(400, 9207, "Request body is invalid.");
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Without a space between tokens: acme.sh reads it with patterns. */
function envelope({ result, info, messages = [] }: Answer): string {
  return JSON.stringify({
    result,
    success: true,
    errors: [],
    messages,
    ...(info === undefined ? {} : { result_info: info }),
  });
}

function failure({ code, message, chain }: Refusal): string {
  const error: Bag = { code, message };
  const errors = [chain.length === 0 ? error : { ...error, error_chain: chain }];
  return JSON.stringify({ result: null, success: false, errors, messages: [] });
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): number {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body);
  return status;
}

process.on("SIGTERM", () => process.exit(0));
await keeper.resync();
const pem = (name: string) => readFileSync(`/etc/lab-cloudflare/${name}.pem`, "utf8");
createTlsServer({ cert: pem("leaf"), key: pem("leaf-key") }, listener("https")).listen(443);
// Last: it answering is what the container's health check looks for.
createServer(listener("http")).listen(8080, () => console.log("answers as api.cloudflare.com"));
