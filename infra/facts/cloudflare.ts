// What Cloudflare's API answers to a token: whether it is valid, and what it may see of a zone. Asks; judges nothing.
import type { ZoneRecord } from "../checks/zone.ts";

/** How the provider reaches the API. */
export interface Access {
  /** Without a slash at its end. */
  readonly address: string;
  /** Undefined if there is none, or an account's key in its place. */
  readonly token: string | undefined;
  /** Whether an account's key is there; it may do everything. */
  readonly globalKey: boolean;
}

/** From the provider's own keys, else from the environment, as the provider has it. */
export function access(
  config: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Access {
  const value = (key: string, variable: string) => config[`cloudflare:${key}`] || environment[variable] || undefined;
  return {
    address: (value("baseUrl", "CLOUDFLARE_BASE_URL") ?? "https://api.cloudflare.com/client/v4").replace(/\/+$/, ""),
    token: value("apiToken", "CLOUDFLARE_API_TOKEN"),
    globalKey: value("apiKey", "CLOUDFLARE_API_KEY") !== undefined,
  };
}

export type Reply<T> =
  | { readonly is: "result"; readonly result: T }
  /** The API has understood and says no; its code and sentence. */
  | { readonly is: "refused"; readonly code: number; readonly why: string }
  /** Nothing that tells about the token: no answer, an overloaded or broken API. */
  | { readonly is: "unanswered"; readonly why: string };

export interface TokenStatus {
  /** `active`, `disabled` or `expired`. */
  readonly status: string;
  /** RFC 3339; absent if it never ends. */
  readonly expires_on?: string;
}

export interface Zone {
  readonly name: string;
  /** What the token may do there, for example `#dns_records:edit`; empty or absent if the API does not say. */
  readonly permissions?: readonly string[];
}

/** What the API names otherwise than the provider, or says by null. */
type ApiRecord = Omit<ZoneRecord, "zoneId" | "comment" | "createdOn"> & {
  readonly comment?: string | null;
  readonly created_on?: string;
};

const zoneRecord = (zoneId: string, { comment, created_on: createdOn, ...record }: ApiRecord): ZoneRecord => ({
  ...record,
  zoneId,
  ...(comment == null ? {} : { comment }),
  ...(createdOn === undefined ? {} : { createdOn }),
});

export interface TokenFacts {
  readonly status: Reply<TokenStatus>;
  /** Whether it sees tokens, as one that makes them does; undefined if it has to make none. */
  readonly tokens?: Reply<unknown>;
  readonly zones: Readonly<
    Record<
      string,
      { readonly zone: Reply<Zone>; /** One of them, or all. */ readonly records: Reply<readonly ZoneRecord[]> }
    >
  >;
}

/** A token, with what it is there for. */
export interface TokenQuestion {
  readonly token: string;
  /** The account that may own it; by default a user does. */
  readonly accountId: string | undefined;
  readonly zoneIds: readonly string[];
  /** Whether all records of the zones are wanted. */
  readonly listing: boolean;
  /** Whether it has to make another token. */
  readonly makesToken: boolean;
}

/** Records in one answer; the API takes more, but nobody's zone has. */
const pageSize = 5000;

/** Asks everything at once: three requests for a token with one zone, two more for each further zone. */
export async function tokenFacts(
  address: string,
  { token, accountId, zoneIds, listing, makesToken }: TokenQuestion,
  milliseconds: number,
): Promise<TokenFacts> {
  const signal = AbortSignal.timeout(milliseconds);
  const ask = <T>(path: string) => request<T>(`${address}${path}`, token, signal);
  const owner = accountId === undefined ? "user" : `accounts/${accountId}`;
  const verified = async () => {
    // A user's token may work for an account, too.
    const status = await ask<TokenStatus>("/user/tokens/verify");
    return status.is === "refused" && accountId !== undefined ? ask<TokenStatus>(`/${owner}/tokens/verify`) : status;
  };
  const recordsOf = async (id: string): Promise<Reply<readonly ZoneRecord[]>> => {
    const all: ZoneRecord[] = [];
    for (let page = 1; ; page++) {
      const size = listing ? pageSize : 1;
      const reply = await ask<readonly ApiRecord[]>(`/zones/${id}/dns_records?per_page=${size}&page=${page}`);
      if (reply.is !== "result") return reply;
      all.push(...reply.result.map((record) => zoneRecord(id, record)));
      if (!listing || reply.result.length < size) return { is: "result", result: all };
    }
  };
  const zoneOf = async (id: string) => {
    const [zone, records] = await Promise.all([ask<Zone>(`/zones/${id}`), recordsOf(id)]);
    return [id, { zone, records }] as const;
  };
  const [status, tokens, zones] = await Promise.all([
    verified(),
    makesToken ? ask<unknown>(`/${owner}/tokens?per_page=5`) : undefined,
    Promise.all(zoneIds.map(zoneOf)),
  ]);
  return { status, ...(tokens === undefined ? {} : { tokens }), zones: Object.fromEntries(zones) };
}

interface Body<T> {
  readonly success?: boolean;
  readonly result?: T;
  readonly errors?: readonly { readonly code: number; readonly message: string }[];
}

async function request<T>(url: string, token: string, signal: AbortSignal): Promise<Reply<T>> {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(url, { headers, signal });
    if (answer.status === 429 || answer.status >= 500) return { is: "unanswered", why: `it answered ${answer.status}` };
    const { success, result, errors = [] } = (await answer.json()) as Body<T>;
    if (success === true && result !== undefined) return { is: "result", result };
    const [first = { code: answer.status, message: answer.statusText }] = errors;
    return { is: "refused", code: first.code, why: first.message };
  } catch (failure) {
    // fetch says "fetch failed" and keeps the reason to itself.
    const cause = failure instanceof Error && failure.cause instanceof Error ? failure.cause : failure;
    return { is: "unanswered", why: cause instanceof Error ? cause.message : String(cause) };
  }
}
