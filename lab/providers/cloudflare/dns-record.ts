// cloudflare.DnsRecord: zone and type replace, all else is one PUT. What the API normalises shows as drift after a refresh.
import type { Problem } from "../protocol/schema.ts";
import { flag, int, object, oneOf, text, textSet, type Fields } from "../protocol/schema.ts";
import type { ResourceType } from "../protocol/resource.ts";
import { hasUnknown, isBag, isEmpty, omit, text as textOf, UNKNOWN, type Bag, type Plain } from "../protocol/value.ts";
import { ApiError, type Api } from "./api.ts";
import { bagFromApi, toApi } from "./names.ts";

const TYPES = [
  ...["A", "AAAA", "CNAME", "MX", "NS", "OPENPGPKEY", "PTR", "TXT"],
  ...["CAA", "CERT", "DNSKEY", "DS", "HTTPS", "NAPTR", "SMIMEA", "SRV", "SSHFP", "SVCB", "TLSA", "URI"],
];

const required = true;
const replaces = true;
const computed = true;
const output = true;
const keeps = true;

const dataFields: Fields = {
  flags: int(),
  tag: text(),
  value: text(),
  usage: int(),
  selector: int(),
  matchingType: int(),
  certificate: text(),
  priority: int(),
  weight: int(),
  port: int(),
  target: text(),
  service: text(),
  order: int(),
  preference: int(),
  regex: text(),
  replacement: text(),
  algorithm: int(),
  type: int(),
  fingerprint: text(),
  keyTag: int(),
  digestType: int(),
  digest: text(),
  protocol: int(),
  publicKey: text(),
};

const CNAME_SETTINGS = ["flattenCname", "ipv4Only", "ipv6Only"];

const fields: Fields = {
  zoneId: text({ required, replaces }),
  name: text({ required }),
  type: text({
    required,
    replaces,
    rule: oneOf(...TYPES),
  }),
  ttl: int({ required }),
  content: text({ computed, keeps }),
  data: object(dataFields),
  priority: int({
    rule: (value) => (Number(value) < 0 || Number(value) > 65535 ? "must be between 0 and 65535" : undefined),
  }),
  proxied: flag({ default: false }),
  comment: text(),
  tags: textSet({ computed, keeps }),
  settings: object(Object.fromEntries(CNAME_SETTINGS.map((name) => [name, flag()])), { computed, keeps }),
  commentModifiedOn: text({ output }),
  createdOn: text({ output, keeps }),
  meta: text({ output, keeps }),
  modifiedOn: text({ output }),
  proxiable: flag({ output, keeps }),
  tagsModifiedOn: text({ output }),
};

const SENT = ["name", "type", "ttl", "content", "data", "priority", "proxied", "comment", "tags", "settings"];
/** What can be taken away again; the API keeps a property that an update leaves out of sight. */
const REMOVABLE = ["comment", "priority"];
/** A change of any other property leaves the record's time of modification alone. */
const MODIFIES = new Set(SENT);

function rules(inputs: Bag): Problem[] {
  const problems: Problem[] = [];
  const has = (key: string): boolean => inputs[key] !== undefined;
  if (has("content") && has("data")) {
    problems.push({ path: "data", reason: "'content' cannot be set together with 'data'" });
    problems.push({ path: "content", reason: "'data' cannot be set together with 'content'" });
  }
  if (inputs["proxied"] === true && has("ttl") && inputs["ttl"] !== 1 && inputs["ttl"] !== UNKNOWN) {
    problems.push({ path: "ttl", reason: "'ttl' must be 1 (automatic) when 'proxied' is true" });
  }
  return problems;
}

function adjust(planned: Bag, before: Bag | undefined): string[] {
  if (before !== undefined) {
    planned["name"] = sameName(textOf(before, "name"), textOf(planned, "name"));
    const isCname = planned["type"] === "CNAME";
    if (isCname && textOf(planned, "content").toLowerCase() === textOf(before, "content").toLowerCase()) {
      planned["content"] = before["content"] ?? null;
    }
    if (isEmpty(planned["settings"])) planned["settings"] = before["settings"] ?? null;
    if (isCname && planned["settings"] !== UNKNOWN) planned["settings"] = cnameSettings(planned["settings"]);
    const modified = [...MODIFIES].some((key) => differs(before[key], planned[key]));
    planned["modifiedOn"] = modified ? UNKNOWN : (before["modifiedOn"] ?? null);
  }
  for (const [key, when] of [
    ["comment", "commentModifiedOn"],
    ["tags", "tagsModifiedOn"],
  ] as const) {
    const same = before !== undefined && !differs(before[key], planned[key]);
    if (isEmpty(planned[key])) planned[when] = null;
    else planned[when] = same ? (before[when] ?? null) : UNKNOWN;
  }
  return [];
}

const differs = (before: Plain | undefined, after: Plain | undefined): boolean =>
  JSON.stringify(sorted(before ?? null)) !== JSON.stringify(sorted(after ?? null));

function sorted(value: Plain): Plain {
  if (Array.isArray(value)) return [...value].sort();
  if (!isBag(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A name relative to the zone is the same as the full name that the API answers with. The zone's own name is not known here. */
function sameName(before: string, after: string): string {
  const relative = (after === "@" && before.includes(".")) || (after !== "" && before.startsWith(`${after}.`));
  return relative ? before : after;
}

function cnameSettings(settings: Plain | undefined): Bag {
  const given = isBag(settings) ? settings : {};
  return Object.fromEntries(CNAME_SETTINGS.map((name) => [name, given[name] ?? false]));
}

/** The request body of a planned state: what is known and not null. */
function body(planned: Bag): Bag {
  const known = SENT.filter((key) => planned[key] !== undefined && planned[key] !== null && !hasUnknown(planned[key]));
  return Object.fromEntries(known.map((key) => [key, toApi(planned[key] ?? null)]));
}

function recordState(answer: Plain, zoneId: string): Bag {
  const { data, ...seen } = bagFromApi(answer);
  const raw = isBag(answer) ? answer["meta"] : undefined;
  const state: Bag = Object.fromEntries(Object.entries(omit(seen, "meta")).filter(([key]) => key in fields));
  if (raw !== undefined && raw !== null) state["meta"] = JSON.stringify(raw);
  if (data !== undefined && isBag(data)) {
    state["data"] = Object.fromEntries(Object.entries(data).filter(([key]) => key in dataFields));
  }
  if (state["comment"] === "") delete state["comment"];
  if (state["type"] === "CNAME") state["settings"] = cnameSettings(state["settings"]);
  return { ...state, zoneId };
}

/** After a create or an update: what was planned stays as planned, the API fills in what was left open. */
export function settle(planned: Bag, seen: Bag): Bag {
  const open = Object.keys(planned).filter((key) => hasUnknown(planned[key]));
  return { ...planned, ...Object.fromEntries(open.map((key) => [key, seen[key] ?? null])) };
}

const records = (zoneId: string, id?: string): string =>
  `/zones/${encodeURIComponent(zoneId)}/dns_records${id === undefined ? "" : `/${encodeURIComponent(id)}`}`;

export const dnsRecord: ResourceType<Api> = {
  token: "cloudflare:index/dnsRecord:DnsRecord",
  stateVersion: 500,
  fields,
  refused: [
    ...["includeShadowMetadata", "privateRouting"],
    ...["altitude", "latDegrees", "latDirection", "latMinutes", "latSeconds", "longDegrees", "longDirection"],
    ...["longMinutes", "longSeconds", "precisionHorz", "precisionVert", "size"],
  ],
  rules,
  adjust,

  async create({ cloudflare, signal }, _inputs, planned) {
    const zoneId = textOf(planned, "zoneId");
    const answer = await cloudflare.ask({ method: "POST", path: records(zoneId), body: body(planned) }, signal);
    const state = settle(planned, recordState(answer, zoneId));
    return { id: isBag(answer) ? textOf(answer, "id") : "", state };
  },

  async read({ cloudflare, signal }, id, prior) {
    const [zoneId, recordId] = prior === undefined ? importId(id) : [textOf(prior, "zoneId"), id];
    const answer = await found(cloudflare.ask({ method: "GET", path: records(zoneId, recordId) }, signal));
    return answer === undefined ? undefined : { id: recordId, state: recordState(answer, zoneId) };
  },

  async update({ cloudflare, signal }, id, { before, planned }) {
    const zoneId = textOf(before, "zoneId");
    const removed = REMOVABLE.filter((key) => before[key] !== undefined && planned[key] === undefined);
    const content = { ...body(planned), ...Object.fromEntries(removed.map((key) => [key, null])) };
    const answer = await cloudflare.ask({ method: "PUT", path: records(zoneId, id), body: content }, signal);
    return settle(planned, recordState(answer, zoneId));
  },

  async remove({ cloudflare, signal }, id, state) {
    await found(cloudflare.ask({ method: "DELETE", path: records(textOf(state, "zoneId"), id) }, signal));
  },
};

function importId(id: string): [string, string] {
  const [zoneId, recordId, ...rest] = id.split("/");
  if (!zoneId || !recordId || rest.length > 0) {
    throw new Error(`'${id}' is no id to import a DNS record by; it has the form ZONE_ID/RECORD_ID`);
  }
  return [zoneId, recordId];
}

/** Undefined in place of "404 Not Found"; every other failure is thrown. */
export async function found(answer: Promise<Plain>): Promise<Plain | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
