// The API itself: who asks, what for, whether that token may, and the answer. Knows neither HTTP servers nor DNS.
import { isBag, type Bag, type Plain } from "../providers/protocol/value.ts";
import { list, type Listing, type Page, type Query } from "./list.ts";
import {
  may,
  permissionGroups,
  type Access,
  type Permission,
  type PermissionGroup,
  type Target,
} from "./permissions.ts";
import { readRecord } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { account, deploymentToken, user, zones, type Zone } from "./seed.ts";
import { checkUsable, hashOf, newId, newValue, readToken, statusAt, type KeptToken, type Owner } from "./tokens.ts";
import { answerRecord, bodyOf, checkBeside, recordListing, stamp, type DnsRecord } from "./zone-records.ts";

/** Everything that outlives a restart. */
export interface State {
  /** By zone id. */
  readonly records: Record<string, DnsRecord[]>;
  tokens: KeptToken[];
}

export interface Request {
  readonly method: string;
  /** Below /client/v4, with its leading slash. */
  readonly path: string;
  readonly query: Query;
  /** Parsed; undefined where none was sent. */
  readonly body?: Plain | undefined;
  readonly authorization: string | undefined;
  /** The client's address. */
  readonly from: string;
}

export interface Answer {
  readonly result: Plain;
  readonly info?: Page<unknown>["info"];
  readonly messages?: readonly Bag[];
  /** What the zone's DNS has to take up. */
  readonly changed?: { readonly zone: Zone; readonly names: readonly string[] };
}

interface Call {
  readonly query: Query;
  readonly body: Plain | undefined;
  readonly caller: KeptToken;
  readonly now: Date;
}

export function firstState(now: Date): State {
  const time = now.toISOString();
  const all = (ids: readonly string[], resources: Bag) => ({
    effect: "allow",
    permission_groups: ids.map((id) => ({ id })),
    resources,
  });
  const groups = (scope: string) => permissionGroups.filter(({ scopes }) => scopes[0] === scope).map(({ id }) => id);
  const fields = readToken(
    {
      name: "deployment",
      policies: [
        all(groups("com.cloudflare.api.account.zone"), { "com.cloudflare.api.account.zone.*": "*" }),
        all(groups("com.cloudflare.api.account"), { [`com.cloudflare.api.account.${account.id}`]: "*" }),
        all(groups("com.cloudflare.api.user"), { [`com.cloudflare.api.user.${user.id}`]: "*" }),
      ],
    },
    "user",
    now,
  );
  return {
    records: Object.fromEntries(zones.map(({ id }) => [id, []])),
    tokens: [
      {
        owner: "user",
        hash: hashOf(deploymentToken),
        token: { id: hashOf("deployment").slice(0, 32), issued_on: time, modified_on: time, ...fields },
      },
    ],
  };
}

export class Api {
  readonly #state: State;
  readonly #now: () => Date;

  constructor(state: State, now: () => Date = () => new Date()) {
    this.#state = state;
    this.#now = now;
  }

  /** The token that a request comes with, whatever it may do. */
  caller(authorization: string | undefined): KeptToken | undefined {
    const hash = hashOf(/^Bearer (\S+)$/.exec(authorization ?? "")?.[1] ?? "");
    return this.#state.tokens.find((kept) => kept.hash === hash);
  }

  /** @throws Refusal */
  answer(request: Request): Answer {
    const { method, path, query, body, authorization, from } = request;
    const now = this.#now();
    if (authorization === undefined) {
      throw new Refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
    }
    if (!/^Bearer [A-Za-z0-9_-]{30,200}$/.test(authorization)) {
      const chain = [{ code: 6111, message: "Invalid format for Authorization header" }];
      throw new Refusal(400, 6003, "Invalid request headers", { chain });
    }
    const caller = this.caller(authorization);
    const verify = /^\/(user|accounts\/[^/]+)\/tokens\/verify$/.exec(path);
    if (verify !== null && method === "GET") {
      return this.#verify(verify[1] === "user" ? "user" : "account", caller, from, now);
    }
    if (caller === undefined) throw new Refusal(403, 9109, "Invalid access token");
    checkUsable(caller.token, from, now);
    const call: Call = { query, body, caller, now };
    const answer = this.#route(method, path.split("/").slice(1), call);
    if (answer === undefined) throw new Refusal(404, 7000, `No route for that URI: ${method} ${path}`);
    this.#used(caller, now);
    return answer;
  }

  #route(method: string, [first, second, third, fourth, fifth, ...rest]: readonly string[], call: Call) {
    if (rest.length > 0) return undefined;
    if (first === "zones" && fifth === undefined) {
      if (second === undefined) return method === "GET" ? this.#zones(call) : undefined;
      const zone = zones.find(({ id }) => id === second);
      if (zone === undefined) throw notRouted(`/zones/${second}`);
      if (third === undefined) return method === "GET" ? this.#zone(zone, call) : undefined;
      return third === "dns_records" ? this.#records(method, zone, fourth, call) : undefined;
    }
    if (first === "user" && second === "tokens" && fifth === undefined) {
      return this.#tokens("user", method, third, fourth, call);
    }
    if (first === "accounts" && third === "tokens") {
      if (second !== account.id) throw notRouted(`/accounts/${second ?? ""}`);
      return this.#tokens("account", method, fourth, fifth, call);
    }
    return undefined;
  }

  #zones({ query, caller }: Call): Answer {
    // A token for single zones cannot list any (acme.sh#2398).
    if (!may(caller.token.policies, "Zone", "Read", { kind: "zones" })) {
      const actor = `com.cloudflare.api.token.${caller.token.id}`;
      const needed = "com.cloudflare.api.account.zone.list";
      throw new Refusal(403, 0, `Actor '${actor}' requires permission '${needed}' to list zones`);
    }
    const page = list(zones, query, zoneListing);
    return { result: page.items.map((zone) => answerZone(zone)), info: page.info };
  }

  #zone(zone: Zone, { caller }: Call): Answer {
    demand(caller, "Zone", "Read", { kind: "zone", id: zone.id });
    return { result: answerZone(zone) };
  }

  #records(method: string, zone: Zone, id: string | undefined, call: Call): Answer | undefined {
    const records = (this.#state.records[zone.id] ??= []);
    const { caller, query, now } = call;
    demand(caller, "DNS", method === "GET" ? "Read" : "Write", { kind: "zone", id: zone.id });
    if (id === undefined) {
      if (method === "GET") {
        const page = list(records, query, recordListing);
        return { result: page.items.map(answerRecord), info: page.info };
      }
      if (method !== "POST") return undefined;
      const record = stamp(readRecord(zone.name, bodyIn(call)), now, newId());
      checkBeside(record, records);
      records.push(record);
      return { result: answerRecord(record), changed: { zone, names: [record.name] } };
    }
    const at = records.findIndex((record) => record.id === id);
    const before = records[at];
    if (before === undefined) throw new Refusal(404, 81044, "Record does not exist.");
    switch (method) {
      case "GET":
        return { result: answerRecord(before) };
      case "DELETE":
        records.splice(at, 1);
        return { result: { id }, changed: { zone, names: [before.name] } };
      case "PUT":
      case "PATCH": {
        const body = method === "PUT" ? bodyIn(call) : { ...bodyOf(before), ...bodyIn(call) };
        const record = stamp(readRecord(zone.name, body), now, id, before);
        checkBeside(record, records.toSpliced(at, 1));
        records[at] = record;
        return { result: answerRecord(record), changed: { zone, names: [before.name, record.name] } };
      }
      default:
        return undefined;
    }
  }

  #tokens(owner: Owner, method: string, id: string | undefined, part: string | undefined, call: Call) {
    const { caller, query, now } = call;
    // What belongs to the user answers to the user's tokens only.
    if (owner === "user" && caller.owner !== "user")
      throw new Refusal(403, 9109, "Unauthorized to access requested resource");
    const permission = owner === "user" ? "API Tokens" : "Account API Tokens";
    demand(caller, permission, method === "GET" ? "Read" : "Write", { kind: owner });
    const own = this.#state.tokens.filter((kept) => kept.owner === owner);
    if (id === undefined) {
      if (method === "GET") {
        const page = list(own, query, tokenListing);
        return { result: page.items.map((kept) => answerToken(kept, now)), info: page.info };
      }
      if (method !== "POST") return undefined;
      const [value, time] = [newValue(), now.toISOString()];
      const fields = readToken(bodyIn(call), owner, now);
      const token = { id: newId(), issued_on: time, modified_on: time, ...fields };
      const kept: KeptToken = { owner, hash: hashOf(value), token };
      this.#state.tokens.push(kept);
      return { result: { ...answerToken(kept, now), value } };
    }
    if (id === "permission_groups") {
      if (method !== "GET" || part !== undefined) return undefined;
      const page = list(permissionGroups, query, groupListing);
      return { result: page.items.map(({ id, name, scopes }) => ({ id, name, scopes: [...scopes] })) };
    }
    const kept = own.find(({ token }) => token.id === id);
    if (kept === undefined) throw new Refusal(404, 1001, "Token not found");
    if (part !== undefined) return method === "PUT" && part === "value" ? this.#roll(kept, call) : undefined;
    switch (method) {
      case "GET":
        return { result: answerToken(kept, now) };
      case "DELETE":
        this.#state.tokens = this.#state.tokens.filter((other) => other !== kept);
        return { result: { id } };
      case "PUT": {
        const { id: own, issued_on, last_used_on } = kept.token;
        const fields = readToken(bodyIn(call), owner, now);
        const used = last_used_on === undefined ? {} : { last_used_on };
        const changed = { ...kept, token: { id: own, issued_on, modified_on: now.toISOString(), ...used, ...fields } };
        this.#replace(kept, changed);
        return { result: answerToken(changed, now) };
      }
      default:
        return undefined;
    }
  }

  #roll(kept: KeptToken, call: Call): Answer {
    if (!isBag(call.body) || Object.keys(call.body).length > 0) throw new Refusal(400, 1001, "the body must be {}");
    const value = newValue();
    this.#replace(kept, { ...kept, hash: hashOf(value) });
    return { result: value };
  }

  #verify(owner: Owner, caller: KeptToken | undefined, from: string, now: Date): Answer {
    if (caller?.owner !== owner) throw new Refusal(401, 1000, "Invalid API Token");
    const { token } = caller;
    const status = statusAt(token, now);
    if (status === "active") checkUsable(token, from, now);
    const { id, not_before, expires_on } = token;
    const times = { ...(not_before && { not_before }), ...(expires_on && { expires_on }) };
    const active = { code: 10000, message: "This API Token is valid and active", type: null };
    return { result: { id, status, ...times }, messages: status === "active" ? [active] : [] };
  }

  #used(caller: KeptToken, now: Date): void {
    // To the second, as the real API does.
    const last_used_on = `${now.toISOString().slice(0, 19)}Z`;
    const current = this.#state.tokens.find(({ token }) => token.id === caller.token.id);
    if (current !== undefined) this.#replace(current, { ...current, token: { ...current.token, last_used_on } });
  }

  #replace(one: KeptToken, by: KeptToken): void {
    this.#state.tokens = this.#state.tokens.map((kept) => (kept === one ? by : kept));
  }
}

const notRouted = (path: string): Refusal =>
  new Refusal(404, 7003, `Could not route to ${path}, perhaps your object identifier is invalid?`);

function demand({ token }: KeptToken, permission: Permission, access: Access, target: Target): void {
  if (may(token.policies, permission, access, target)) return;
  // The real API words the same refusal in two ways.
  if (permission === "DNS") throw new Refusal(403, 10000, "Authentication error");
  throw new Refusal(403, 9109, "Unauthorized to access requested resource");
}

function bodyIn({ body }: Call): Bag {
  if (!isBag(body)) throw new Refusal(400, 9207, "Request body is invalid.");
  return body;
}

/** acme.sh takes the first `"id"` and the first `"name"` of an answer as the zone's. */
function answerZone({ id, name }: Zone): Bag {
  return {
    id,
    name,
    status: "active",
    paused: false,
    type: "full",
    development_mode: 0,
    name_servers: [`ns.${name}`],
    account: { ...account },
    owner: { id: user.id, type: "user" },
    plan: { name: "Free Website" },
    meta: {},
    permissions: [],
  };
}

function answerToken({ token }: KeptToken, now: Date): Bag {
  const { policies, condition, ...rest } = token;
  return JSON.parse(JSON.stringify({ ...rest, status: statusAt(token, now), policies, condition })) as Bag;
}

const zoneListing: Listing<Zone> = {
  fields: {
    name: ({ name }) => name,
    status: () => "active",
    "account.id": () => account.id,
    "account.name": () => account.name,
  },
  searched: [],
  perPage: 20,
  most: 50,
};

const tokenListing: Listing<KeptToken> = {
  fields: { name: ({ token }) => token.name },
  searched: [],
  perPage: 20,
  most: 50,
};

const groupListing: Listing<PermissionGroup> = {
  fields: { name: ({ name }) => name, scope: ({ scopes }) => scopes[0] },
  searched: [],
  perPage: permissionGroups.length,
  most: 1000,
};
