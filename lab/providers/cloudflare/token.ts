// cloudflare.ApiToken and cloudflare.AccountToken. The API tells a token's value once, in its answer to the create.
import type { ResourceType } from "../protocol/resource.ts";
import { matches, object, objectList, oneOf, text, textList, type Fields } from "../protocol/schema.ts";
import { bags, hasUnknown, isBag, omit, text as textOf, written, type Bag, type Plain } from "../protocol/value.ts";
import type { Api } from "./api.ts";
import { found, settle } from "./dns-record.ts";
import { bagFromApi } from "./names.ts";

const required = true;
const computed = true;
const output = true;
const keeps = true;
const secret = true;

const isTime = matches(
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  "must be a time such as 2027-01-01T00:00:00Z",
);

function isResources(value: Plain): string | undefined {
  try {
    const parsed: unknown = JSON.parse(written(value));
    if (isBag(parsed as Plain)) return undefined;
  } catch {
    // Said below.
  }
  return 'must be a JSON object such as {"com.cloudflare.api.account.zone.ZONE_ID":"*"}';
}

/** @param valueKeeps whether the value survives an update in place: the official plugin forgets that of a user's token */
const fields = (own: Fields, valueKeeps: boolean): Fields => ({
  ...own,
  name: text({ required }),
  policies: objectList(
    {
      effect: text({ required, rule: oneOf("allow", "deny") }),
      permissionGroups: objectList({ id: text({ required }) }, { required }),
      resources: text({ required, rule: isResources }),
    },
    { required },
  ),
  condition: object({ requestIp: object({ ins: textList(), notIns: textList() }) }),
  expiresOn: text({ rule: isTime }),
  notBefore: text({ rule: isTime }),
  status: text({ computed, rule: oneOf("active", "disabled", "expired") }),
  issuedOn: text({ output }),
  lastUsedOn: text({ output }),
  modifiedOn: text({ output }),
  value: text({ output, secret, keeps: valueKeeps }),
  creatorEmailAtCreation: text({ output, keeps }),
  provisionerId: text({ output, keeps }),
  provisionerType: text({ output, keeps }),
});

const REMOVABLE = { condition: "condition", expiresOn: "expires_on", notBefore: "not_before" } as const;

function body(planned: Bag): Bag {
  const policies = bags(planned, "policies").map((policy) => ({
    effect: textOf(policy, "effect"),
    permission_groups: bags(policy, "permissionGroups").map((group) => ({ id: textOf(group, "id") })),
    resources: JSON.parse(textOf(policy, "resources")) as Bag,
  }));
  const address = isBag(planned["condition"]) ? planned["condition"]["requestIp"] : undefined;
  const known = (key: string): boolean => planned[key] !== undefined && !hasUnknown(planned[key]);
  return {
    name: textOf(planned, "name"),
    policies,
    ...(isBag(address) ? { condition: { request_ip: lists(address, "ins", "in", "notIns", "not_in") } } : {}),
    ...(known("expiresOn") ? { expires_on: textOf(planned, "expiresOn") } : {}),
    ...(known("notBefore") ? { not_before: textOf(planned, "notBefore") } : {}),
    ...(known("status") ? { status: textOf(planned, "status") } : {}),
  };
}

/** Two lists of addresses under other names. */
function lists(from: Bag, ...[one, asOne, other, asOther]: [string, string, string, string]): Bag {
  const filled = (value: Plain | undefined): value is Plain[] => Array.isArray(value) && value.length > 0;
  return {
    ...(filled(from[one]) ? { [asOne]: from[one] } : {}),
    ...(filled(from[other]) ? { [asOther]: from[other] } : {}),
  };
}

function tokenState(answer: Plain, prior: Bag, names: Fields): Bag {
  const seen = omit(bagFromApi(answer), "id", "condition", "policies");
  const raw = isBag(answer) ? answer : {};
  const state: Bag = Object.fromEntries(Object.entries(seen).filter(([key]) => key in names));
  state["policies"] = bags(raw, "policies").map((policy) => ({
    effect: textOf(policy, "effect"),
    permissionGroups: bags(policy, "permission_groups").map((group) => ({ id: textOf(group, "id") })),
    resources: JSON.stringify(policy["resources"] ?? {}),
  }));
  const address = isBag(raw["condition"]) ? raw["condition"]["request_ip"] : undefined;
  if (isBag(address)) state["condition"] = { requestIp: lists(address, "in", "ins", "not_in", "notIns") };
  for (const key of ["expiresOn", "notBefore"]) {
    // The same moment in another notation is no difference.
    if (Date.parse(textOf(state, key)) === Date.parse(textOf(prior, key))) state[key] = prior[key] ?? null;
  }
  return state;
}

function tokenType(
  token: string,
  own: Fields,
  valueKeeps: boolean,
  path: (state: Bag) => string,
  importId: (id: string) => Bag & { id: string },
): ResourceType<Api> {
  const all = fields(own, valueKeeps);
  const at = (state: Bag, id: string): string => `${path(state)}/${encodeURIComponent(id)}`;
  return {
    token,
    stateVersion: 501,
    fields: all,
    refused: ["meta"],

    async create({ cloudflare, signal }, _inputs, planned) {
      const answer = await cloudflare.ask({ method: "POST", path: path(planned), body: body(planned) }, signal);
      const seen = bagFromApi(answer);
      return { id: textOf(seen, "id"), state: settle(planned, seen) };
    },

    async read({ cloudflare, signal, warn }, id, prior) {
      const { id: tokenId, ...known } = prior === undefined ? importId(id) : { ...prior, id };
      const answer = await found(cloudflare.ask({ method: "GET", path: at(known, tokenId) }, signal));
      if (answer === undefined) return undefined;
      const state = { ...tokenState(answer, known, all), ...pick(known, [...Object.keys(own), "value"]) };
      const status = textOf(state, "status");
      if (prior !== undefined && !["active", "disabled"].includes(status)) {
        warn(`the token is ${status}: it is taken out of the state, and the next update creates another one`);
        return undefined;
      }
      return { id: tokenId, state };
    },

    async update({ cloudflare, signal }, id, { before, planned }) {
      const removed = Object.entries(REMOVABLE)
        .filter(([key]) => before[key] !== undefined && planned[key] === undefined)
        .map(([, name]) => [name, null] as const);
      const content = { ...body(planned), ...Object.fromEntries(removed) };
      const answer = await cloudflare.ask({ method: "PUT", path: at(before, id), body: content }, signal);
      return settle(planned, tokenState(answer, planned, all));
    },

    async remove({ cloudflare, signal }, id, state) {
      await found(cloudflare.ask({ method: "DELETE", path: at(state, id) }, signal));
    },
  };
}

const pick = (state: Bag, keys: string[]): Bag =>
  Object.fromEntries(keys.filter((key) => state[key] !== undefined).map((key) => [key, state[key] ?? null]));

export const apiToken = tokenType(
  "cloudflare:index/apiToken:ApiToken",
  {},
  false,
  () => "/user/tokens",
  (id) => ({ id }),
);

export const accountToken = tokenType(
  "cloudflare:index/accountToken:AccountToken",
  { accountId: text({ required, replaces: true }) },
  true,
  (state) => `/accounts/${encodeURIComponent(textOf(state, "accountId"))}/tokens`,
  (id) => {
    const [accountId, tokenId, ...rest] = id.split("/");
    if (!accountId || !tokenId || rest.length > 0) {
      throw new Error(`'${id}' is no id to import an account token by; it has the form ACCOUNT_ID/TOKEN_ID`);
    }
    return { accountId, id: tokenId };
  },
);
