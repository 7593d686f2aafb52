// The functions of the cloudflare package: zones, records and permission groups by what a program knows of them.
import type { Context, ProviderFunction } from "../protocol/resource.ts";
import { int, object, text, type Fields } from "../protocol/schema.ts";
import { bag, isBag, omit, text as textOf, type Bag, type Plain } from "../protocol/value.ts";
import type { Api } from "./api.ts";
import { bagFromApi } from "./names.ts";

const DEFAULT_ITEMS = 1000;

const account = object({ id: text(), name: text() });
const zoneFilter: Fields = { name: text(), status: text(), account, match: text(), order: text(), direction: text() };
const textFilter = object({ exact: text(), contains: text(), startswith: text(), endswith: text() });

/** Arguments as a query: `{account: {id}}` is `account.id`. */
function query(args: Bag, prefix = ""): Record<string, string> {
  const parts: [string, string][] = [];
  for (const [key, value] of Object.entries(args)) {
    if (isBag(value)) parts.push(...Object.entries(query(value, `${prefix}${key}.`)));
    else if (typeof value === "string" || typeof value === "boolean") parts.push([`${prefix}${key}`, String(value)]);
  }
  return Object.fromEntries(parts);
}

/** All pages, up to the first empty one: what a page says about their number is not relied on. */
async function pages(
  { cloudflare, signal }: Context<Api>,
  path: string,
  filters: Record<string, string>,
  most: number,
): Promise<Bag[]> {
  const all: Bag[] = [];
  for (let page = 1; all.length < most; page++) {
    const asked = page === 1 ? filters : { ...filters, page: String(page) };
    const items = await cloudflare.ask({ method: "GET", path, query: asked }, signal);
    const found = Array.isArray(items) ? items.map(bagFromApi) : [];
    if (found.length === 0) break;
    all.push(...found);
  }
  return all.slice(0, most);
}

const most = (args: Bag): number => (typeof args["maxItems"] === "number" ? args["maxItems"] : DEFAULT_ITEMS);

const getZone: ProviderFunction<Api> = {
  token: "cloudflare:index/getZone:getZone",
  fields: { zoneId: text(), filter: object(zoneFilter) },
  refused: ["types"],
  async call(context, args) {
    const zoneId = textOf(args, "zoneId") || (await findZone(context, bag(args, "filter")));
    const path = `/zones/${encodeURIComponent(zoneId)}`;
    const zone = bagFromApi(await context.cloudflare.ask({ method: "GET", path }, context.signal));
    return { ...args, ...zone, zoneId };
  },
};

async function findZone({ cloudflare, signal }: Context<Api>, filter: Bag | undefined): Promise<string> {
  if (filter === undefined)
    throw new Error("getZone needs 'zoneId' or 'filter', for example {filter: {name: 'example.com'}}");
  const answer = await cloudflare.ask({ method: "GET", path: "/zones", query: query(filter) }, signal);
  const zones: Plain[] = Array.isArray(answer) ? answer : [];
  const [zone, ...others] = zones.filter(isBag);
  if (zone === undefined || others.length > 0) {
    const many = zone === undefined ? "no zone" : `${zones.length} zones`;
    throw new Error(`getZone: the filter ${JSON.stringify(filter)} finds ${many} that the token can read, not one`);
  }
  return textOf(zone, "id");
}

const getZones: ProviderFunction<Api> = {
  token: "cloudflare:index/getZones:getZones",
  fields: { ...zoneFilter, maxItems: int() },
  refused: ["types"],
  async call(context, args) {
    return { ...args, results: await pages(context, "/zones", query(args), most(args)) };
  },
};

const getDnsRecords: ProviderFunction<Api> = {
  token: "cloudflare:index/getDnsRecords:getDnsRecords",
  fields: { zoneId: text({ required: true }), type: text(), name: textFilter, content: textFilter, maxItems: int() },
  refused: [
    ...["comment", "direction", "includeShadowMetadata", "match", "order", "proxied", "search"],
    ...["shadowedByName", "shadowingName", "tag", "tagMatch"],
  ],
  async call(context, args) {
    const path = `/zones/${encodeURIComponent(textOf(args, "zoneId"))}/dns_records`;
    const records = await pages(context, path, query(omit(args, "zoneId")), most(args));
    const results = records.map((record) => ({ ...record, meta: JSON.stringify(record["meta"] ?? {}) }));
    return { ...args, results };
  },
};

async function groups(context: Context<Api>, path: string, args: Bag): Promise<Bag> {
  const answer = await context.cloudflare.ask(
    { method: "GET", path: `${path}/tokens/permission_groups`, query: query(omit(args, "accountId")) },
    context.signal,
  );
  const results = Array.isArray(answer) ? answer.map(bagFromApi).slice(0, most(args)) : [];
  return { ...args, results };
}

const groupFields: Fields = { name: text(), scope: text(), maxItems: int() };

const getApiTokenPermissionGroupsList: ProviderFunction<Api> = {
  token: "cloudflare:index/getApiTokenPermissionGroupsList:getApiTokenPermissionGroupsList",
  fields: groupFields,
  refused: [],
  call: (context, args) => groups(context, "/user", args),
};

const getAccountApiTokenPermissionGroupsList: ProviderFunction<Api> = {
  token: "cloudflare:index/getAccountApiTokenPermissionGroupsList:getAccountApiTokenPermissionGroupsList",
  fields: { ...groupFields, accountId: text({ required: true }) },
  refused: [],
  call: (context, args) => groups(context, `/accounts/${encodeURIComponent(textOf(args, "accountId"))}`, args),
};

export const lookups = [
  getZone,
  getZones,
  getDnsRecords,
  getApiTokenPermissionGroupsList,
  getAccountApiTokenPermissionGroupsList,
];
