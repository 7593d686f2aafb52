// A Cloudflare API for tests of the plugin: keeps records and tokens in memory, logs every request, and is as lenient as the
// double that the official plugin was recorded against. The strict one, with scopes and a DNS server, is lab/cloudflare/.
import { randomBytes } from "node:crypto";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { isBag, list, omit, text, written, type Bag, type Plain } from "../protocol/value.ts";

export const ZONE = randomBytes(16).toString("hex");
export const ACCOUNT = randomBytes(16).toString("hex");

const GROUPS = [
  ["4755a26eedb94da69e1066d98aa820be", "DNS Write"],
  ["c8fed203ed3043cba015a93ad1616f1f", "Zone Read"],
] as const;

const SHORT_ZONE: Bag = {
  id: ZONE,
  name: "example.com",
  status: "active",
  account: { id: ACCOUNT, name: "acc" },
  type: "full",
};

/** What the double answers to the next request in place of what it would. */
export interface Answer {
  readonly status: number;
  readonly errors?: { code: number; message: string }[];
  readonly headers?: Record<string, string>;
  /** Closes the connection without an answer. */
  readonly drop?: boolean;
}

export type Double = Awaited<ReturnType<typeof start>>;

/** @param identity key and certificate in PEM form to serve over TLS */
export async function start(identity?: { readonly key: string; readonly cert: string }) {
  const log: Bag[] = [];
  const records = new Map<string, Bag>();
  const tokens = new Map<string, Bag>();
  /** Whether TXT contents are answered in quotes that nobody sent. */
  const habits = { quotes: false };
  const next: Answer[] = [];

  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const sent = Buffer.concat(chunks).toString();
      const body = sent === "" ? undefined : (JSON.parse(sent) as Bag);
      const url = new URL(request.url ?? "/", "http://localhost");
      const method = request.method ?? "";
      const query = Object.fromEntries(url.searchParams);
      log.push({
        method,
        path: url.pathname,
        ...(Object.keys(query).length > 0 ? { query } : {}),
        ...(body === undefined ? {} : { body }),
        authorization: request.headers.authorization ?? "",
      });
      const prepared = next.shift();
      if (prepared?.drop === true) response.destroy();
      else if (prepared !== undefined) send(response, prepared.status, null, prepared.errors, prepared.headers);
      else answer(response, method, url, body ?? {});
    });
  };
  const server = identity === undefined ? createServer(listener) : createTlsServer(identity, listener);

  function answer(response: ServerResponse, method: string, url: URL, body: Bag): void {
    const path = url.pathname;
    const ok = (result: Plain): void => send(response, 200, result);
    const fail = (status: number, code: number, message: string): void =>
      send(response, status, null, [{ code, message }]);
    if (path === "/zones") {
      const firstPage = Number(url.searchParams.get("page") ?? 1) === 1;
      ok(firstPage ? [{ ...SHORT_ZONE, name_servers: ["a.ns"] }] : []);
      return;
    }
    if (/^\/zones\/[^/]+$/.test(path)) return ok(zone());
    const record = /^\/zones\/[^/]+\/dns_records(?:\/([^/]+))?$/.exec(path);
    if (record !== null) {
      const id = record[1] ?? "";
      if (method === "GET" && id === "") return ok(url.searchParams.has("page") ? [] : [...records.values()]);
      if (method === "POST") return post(body, ok, fail);
      const known = records.get(id);
      if (known === undefined) return fail(404, 81044, "Record does not exist.");
      if (method === "PUT") records.set(id, normal({ ...known, ...body, modified_on: now() }));
      if (method === "DELETE") records.delete(id);
      return ok(records.get(id) ?? { id });
    }
    if (path.endsWith("/tokens/permission_groups")) {
      return ok(GROUPS.map(([id, name]) => ({ id, name, scopes: ["com.cloudflare.api.account.zone"] })));
    }
    const token = /^\/(?:user|accounts\/[^/]+)\/tokens(?:\/([^/]+))?$/.exec(path);
    if (token !== null) {
      const id = token[1] ?? hex();
      if (method === "POST") {
        const made = { id, status: "active", issued_on: now(), modified_on: now(), last_used_on: null, ...body };
        tokens.set(id, { ...made, policies: list(made, "policies").map(policy) });
        return ok({ ...tokens.get(id), value: `secret-value-${id}` });
      }
      const known = tokens.get(id);
      if (known === undefined) return fail(404, 1001, "Token not found");
      if (method === "PUT") tokens.set(id, { ...known, ...body });
      if (method === "DELETE") tokens.delete(id);
      return ok(tokens.get(id) ?? { id });
    }
    fail(404, 7003, `no route ${path}`);
  }

  function post(body: Bag, ok: (result: Plain) => void, fail: (status: number, code: number, text: string) => void) {
    const same = (known: Bag): boolean => ["type", "name", "content"].every((key) => known[key] === body[key]);
    if ([...records.values()].some(same)) return fail(400, 81058, "An identical record already exists.");
    const made = normal({
      id: hex(),
      comment: null,
      tags: [],
      proxied: false,
      ...body,
      proxiable: ["A", "AAAA", "CNAME"].includes(text(body, "type")),
      created_on: now(),
      modified_on: now(),
      settings: {},
      meta: {},
    });
    records.set(text(made, "id"), made);
    ok(made);
  }

  /** Data wins over content; its hexadecimal digits become upper case in the logged request too, as they did in the recording. */
  function normal(record: Bag): Bag {
    const data = isBag(record["data"]) ? record["data"] : undefined;
    record["name"] = text(record, "name").toLowerCase();
    const join = (...keys: string[]): string => keys.map((key) => written(data?.[key])).join(" ");
    switch (data === undefined ? "" : text(record, "type")) {
      case "CAA":
        record["content"] = `${join("flags", "tag")} "${join("value")}"`;
        break;
      case "TLSA":
        if (data !== undefined) data["certificate"] = text(data, "certificate").toUpperCase();
        record["content"] = join("usage", "selector", "matching_type", "certificate");
        break;
      case "SRV":
        record["content"] = join("weight", "port", "target");
        record["priority"] = data?.["priority"] ?? null;
        break;
    }
    const content = text(record, "content");
    if (record["type"] === "TXT" && habits.quotes && !content.startsWith('"')) record["content"] = `"${content}"`;
    return record;
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http${identity === undefined ? "" : "s"}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    habits,
    next,
    tokens,
    /** The requests since the last call, without their authorization. */
    take: (): Bag[] => log.splice(0).map((request) => omit(request, "authorization")),
    close: (): void => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const hex = (): string => randomBytes(16).toString("hex");
const now = (): string => new Date().toISOString();

function send(
  response: ServerResponse,
  status: number,
  result: Plain,
  errors: { code: number; message: string }[] = [],
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ success: status < 400, errors, messages: [], result }));
}

function zone(): Bag {
  return {
    ...SHORT_ZONE,
    name_servers: ["a.ns", "b.ns"],
    paused: false,
    development_mode: 0,
    created_on: now(),
    modified_on: now(),
    activated_on: now(),
    meta: {},
    owner: {},
    plan: {},
    permissions: [],
  };
}

/** Permission groups come back sorted by id and with more than was sent. */
function policy(given: Plain): Plain {
  if (!isBag(given)) return given;
  const groups = list(given, "permission_groups").filter(isBag);
  return {
    id: hex(),
    ...given,
    permission_groups: groups
      .sort((a, b) => (text(a, "id") < text(b, "id") ? -1 : 1))
      .map((group) => ({ ...group, name: "n" })),
  };
}
