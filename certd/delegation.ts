// Challenges delegated to a zone of their own: `_acme-challenge` of each name has to be an alias into that zone before an
// order counts at the CA. The stack makes the aliases where it holds the zone, a person does elsewhere.
import { authoritative, type Lookups, type NameServer, realLookups } from "./name-servers.ts";

/** What a name is an alias of, and who says so; `undefined`: nobody answers. */
async function aliasOf(
  name: string,
  lookups: Lookups,
  server?: NameServer,
): Promise<{ readonly targets: readonly string[]; readonly by: string } | undefined> {
  const by = server === undefined ? "the resolver" : `${server.host} (${server.address})`;
  return lookups.cname(name, server?.address).then(
    (targets) => ({ targets, by }),
    () => undefined,
  );
}

/**
 * Looks at all name servers of each name's zone; if none of them answers (a firewall that lets only the resolver through), at
 * the machine's own resolver. Never rejects.
 * @returns the first name that is something else than an alias of `target` anywhere, as a sentence; `undefined`: none is
 */
export async function undelegated(
  names: readonly string[],
  target: string,
  lookups: Lookups = realLookups,
): Promise<string | undefined> {
  for (const name of names) {
    const servers = await authoritative(name, lookups).catch(() => []);
    const told = await Promise.all(servers.map((server) => aliasOf(name, lookups, server)));
    const answers = told.filter((answer) => answer !== undefined);
    const last = answers.length > 0 ? undefined : await aliasOf(name, lookups);
    if (last !== undefined) answers.push(last);
    if (answers.length === 0) return `${name} cannot be looked up: no name server answers`;
    const wrong = answers.find(({ targets }) => !targets.includes(target));
    if (wrong !== undefined) {
      const what = wrong.targets.length === 0 ? "has no CNAME record" : `leads to ${wrong.targets.join(", ")}`;
      return `${name} is no alias of ${target} yet: at ${wrong.by} it ${what}`;
    }
  }
  return undefined;
}
