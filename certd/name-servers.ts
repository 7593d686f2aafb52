// The DNS as its name servers have it: which ones hold a name, and what each of them says. Judges nothing.
import { Resolver } from "node:dns/promises";
import { networkInterfaces } from "node:os";

export interface NameServer {
  readonly host: string;
  readonly address: string;
}

/** The DNS as far as it is needed here. */
export interface Lookups {
  /** Host names of the name servers of exactly this zone; empty if the name is no zone. */
  nameServers(zone: string): Promise<readonly string[]>;
  addresses(host: string): Promise<readonly string[]>;
  /** TXT values at a name as the server at `address` has them, or the machine's own resolver; empty: none. Rejects: no answer. */
  txt(name: string, address?: string): Promise<readonly string[]>;
  /** What a name is an alias of, lower case, asked for in the same way; empty: of nothing. */
  cname(name: string, address?: string): Promise<readonly string[]>;
}

const LACKING = new Set(["ENODATA", "ENOTFOUND"]);

/** An error that says "there is none" turns into an empty list; any other passes. */
async function orNone(answer: Promise<string[]>): Promise<string[]> {
  try {
    return await answer;
  } catch (error) {
    if (LACKING.has((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}

function hasGlobalIpv6(): boolean {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.some(({ family, internal, address }) => family === "IPv6" && !internal && !/^f[cde]/i.test(address));
}

/** The real DNS. A resolver for each question: c-ares would answer a repeated one from its cache. */
export const realLookups: Lookups = {
  nameServers: (zone) => orNone(new Resolver({ timeout: 3000, tries: 2 }).resolveNs(zone)),
  async addresses(host) {
    const resolver = new Resolver({ timeout: 3000, tries: 2 });
    const six = hasGlobalIpv6() ? orNone(resolver.resolve6(host)) : [];
    return (await Promise.all([orNone(resolver.resolve4(host)), six])).flat();
  },
  txt: (name, address) =>
    orNone(
      resolverAt(address)
        .resolveTxt(name)
        .then((values) => values.map((parts) => parts.join(""))),
    ),
  cname: (name, address) =>
    orNone(
      resolverAt(address)
        .resolveCname(name)
        .then((targets) => targets.map((target) => target.toLowerCase().replace(/\.$/, ""))),
    ),
};

/** Asks one server, or the machine's own resolvers. */
function resolverAt(address: string | undefined): Resolver {
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  if (address !== undefined) resolver.setServers([address]);
  return resolver;
}

/** Every address of every name server of the innermost zone that holds a name. */
export async function authoritative(name: string, lookups: Lookups): Promise<readonly NameServer[]> {
  for (let zone = name; zone.includes("."); zone = zone.slice(zone.indexOf(".") + 1)) {
    const hosts = await lookups.nameServers(zone);
    if (hosts.length === 0) continue;
    const all = hosts.map(async (host) => (await lookups.addresses(host)).map((address) => ({ host, address })));
    const servers = (await Promise.all(all)).flat();
    if (servers.length > 0) return servers;
  }
  return [];
}
