// Whether a Cloudflare token can do what the stack, or the challenge, needs it for.
import type { Reply, TokenFacts, TokenQuestion } from "../facts/cloudflare.ts";
import { error, note, warning, type Finding } from "./finding.ts";

export interface TokenUse {
  /** The key that holds it. */
  readonly key: "cloudflare:apiToken" | "vectis:challengeToken";
  /** Names that it has to write records for, by the id of their zone. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

const day = 86_400_000;
const soonDays = 14;
const scope = "Zone > DNS > Edit and Zone > Zone > Read";

const refused = (reply: Reply<unknown>) => (reply.is === "refused" ? reply : undefined);

/** The stack makes records at Cloudflare and has nothing to get in by. */
export const missingToken = (): Finding =>
  error(
    "cloudflare:apiToken",
    `is missing, and vectis:dns.provider is cloudflare; make a token with ${scope} on the zones, ` +
      "and set it with `pulumi config set --secret cloudflare:apiToken`",
  );

/** Records, and so what others have put beside them, are not looked at without a token. */
export const globalKeyNote = (): Finding =>
  note(
    "cloudflare:apiKey",
    "is an account's key, which may do everything: zones were not checked; use cloudflare:apiToken",
  );

/** `now` in milliseconds since the epoch. */
export function tokenFindings(
  { key, names, accountId }: TokenUse & Pick<TokenQuestion, "accountId">,
  facts: TokenFacts,
  now: number,
): Finding[] {
  const set = `set a new one with \`pulumi config set --secret ${key}\``;
  const replies = [
    facts.status,
    ...(facts.tokens ? [facts.tokens] : []),
    ...Object.values(facts.zones).flatMap(({ zone, records }) => [zone, records]),
  ];
  const elsewhere = replies.flatMap((reply) => refused(reply) ?? []).find(({ why }) => /from location/.test(why));
  if (elsewhere !== undefined) {
    // The challenge is solved on the Docker host, so such a filter may be right.
    return key === "vectis:challengeToken"
      ? [note(key, "does not work from this machine because of its address filter: it was not checked")]
      : [error(key, `does not work from this machine (${elsewhere.why}); add the machine to its address filter`)];
  }
  const silent = replies.find((reply) => reply.is === "unanswered");
  if (silent?.is === "unanswered") {
    return [warning(key, `was not checked: Cloudflare's API did not answer (${silent.why})`)];
  }
  const zones = Object.entries(facts.zones).flatMap(([id, { zone, records }]) => {
    // acme.sh reads the zone itself, the provider does not.
    const no = refused(records) ?? (key === "vectis:challengeToken" ? refused(zone) : undefined);
    if (no !== undefined) {
      return [error(key, `has no access to the zone ${id} (${no.why}, ${no.code}); give it ${scope} on that zone`)];
    }
    return zone.is === "result" ? zoneFindings(key, id, zone.result, names[id] ?? []) : [];
  });
  const status = facts.status.is === "result" ? facts.status.result : undefined;
  if (status !== undefined && status.status !== "active") return [error(key, `is ${status.status}; ${set}`)];
  // A token that belongs to an account is unknown where users' tokens are verified, but it works.
  if (status === undefined && zones.length > 0) {
    const why = refused(facts.status)?.why ?? "";
    return [error(key, `is not valid (${why}); ${set}, with ${scope} on the zones`)];
  }
  const noTokens = facts.tokens && refused(facts.tokens);
  const maker = accountId === undefined ? "User > API Tokens > Edit" : "Account > Account API Tokens > Edit";
  const making =
    noTokens === undefined
      ? []
      : [
          error(
            key,
            `may not make the token for DNS-01 (${noTokens.why}, ${noTokens.code}); give it ${maker}, ` +
              "or set vectis:challengeToken to a token of your own",
          ),
        ];
  const left = status?.expires_on === undefined ? Infinity : Date.parse(status.expires_on) - now;
  const ends =
    left < soonDays * day ? [warning(key, `expires on ${status?.expires_on ?? ""}; ${set} before that`)] : [];
  return [...zones, ...making, ...ends];
}

function zoneFindings(
  key: TokenUse["key"],
  id: string,
  zone: { readonly name: string; readonly permissions?: readonly string[] },
  names: readonly string[],
): Finding[] {
  const stray = names.find((name) => name !== zone.name && !name.endsWith(`.${zone.name}`));
  if (stray !== undefined) {
    const right = "take the id from that zone's overview page";
    return [error("vectis:dns", `has the id ${id} for ${stray}, but that is the zone ${zone.name}; ${right}`)];
  }
  const may = zone.permissions ?? [];
  if (may.length === 0 || may.includes("#dns_records:edit")) return [];
  return [error(key, `may read the zone ${zone.name} but not change its DNS records; give it ${scope} on that zone`)];
}
