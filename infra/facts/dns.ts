// What DNS says now about the mail host and its domains. Asks; judges nothing.
import { Resolver } from "node:dns/promises";

export interface CaaRecord {
  /** Whether a CA that does not know the tag must not issue (RFC 8659 section 4.1). */
  readonly critical: boolean;
  readonly tag: string;
  readonly value: string;
}

/** The data of each record type that is asked for; names without a trailing dot, in lower case. */
export interface RecordData {
  readonly A: string;
  readonly AAAA: string;
  readonly CNAME: string;
  readonly CAA: CaaRecord;
  readonly MX: string;
  readonly TXT: string;
}

export type RecordType = keyof RecordData;

/** The records of a name and type, none included; or that nobody answered, which tells nothing. */
export type Answer<T> = readonly T[] | { readonly unanswered: string };

/** Answers by type and name. A name that was not asked for is missing. */
export type DnsFacts = { readonly [T in RecordType]: Readonly<Record<string, Answer<RecordData[T]>>> };

export interface DnsQuestions {
  /** Names whose addresses and CNAME matter. */
  readonly hosts: readonly string[];
  /** Names that certificates are ordered for; their CAA records are looked up along the tree. */
  readonly certificateNames: readonly string[];
  /** Names that matter as aliases alone. */
  readonly aliases: readonly string[];
  /** Domains whose MX and TXT records matter. */
  readonly domains: readonly string[];
}

/** The name itself and its ancestors up to the top-level domain, as CAA is looked up (RFC 8659 section 3). */
export function climb(name: string): string[] {
  const labels = name.replace(/^\*\./, "").split(".");
  return labels.map((_, index) => labels.slice(index).join("."));
}

/** The records of an answer; none where nobody answered or asked. */
export function recordsOf<T>(answer: Answer<T> | undefined): readonly T[] {
  return answer === undefined || "unanswered" in answer ? [] : answer;
}

/** Whether the answer says that there is nothing. */
export const isEmpty = <T>(answer: Answer<T> | undefined): boolean =>
  answer !== undefined && !("unanswered" in answer) && answer.length === 0;

/** `TYPE name` of every question that nobody answered. */
export function unansweredQuestions(facts: DnsFacts): string[] {
  return (Object.keys(facts) as RecordType[]).flatMap((type) =>
    Object.entries<Answer<unknown>>(facts[type])
      .filter(([, answer]) => "unanswered" in answer)
      .map(([name]) => `${type} ${name}`),
  );
}

/** Codes that say "there is none"; anything else says nothing. */
const none = new Set(["ENODATA", "ENOTFOUND"]);

/**
 * Asks everything at once and gives up after `milliseconds`.
 * @param servers IP addresses; default: the resolvers of this machine
 */
export async function dnsFacts(
  questions: DnsQuestions,
  servers: readonly string[],
  milliseconds: number,
): Promise<DnsFacts> {
  const resolver = new Resolver({ timeout: Math.ceil(milliseconds / 2), tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  const deadline = setTimeout(() => resolver.cancel(), milliseconds);
  const ask = async <T>(names: readonly string[], query: (name: string) => Promise<T[]>) => {
    const answers = [...new Set(names)].map(async (name): Promise<[string, Answer<T>]> => {
      try {
        return [name, await query(name)];
      } catch (failure) {
        const code = failure instanceof Error && "code" in failure ? String(failure.code) : String(failure);
        return [name, none.has(code) ? [] : { unanswered: code }];
      }
    });
    return Object.fromEntries(await Promise.all(answers));
  };
  const cnames = (names: readonly string[]) =>
    ask(names, async (name) => (await resolver.resolveCname(name)).map(plain));
  /** The targets of the MX records must not be aliases, so they are asked for once they are known. */
  const exchanges = async () => {
    const mx = await ask(questions.domains, async (name) =>
      (await resolver.resolveMx(name))
        .sort((one, other) => one.priority - other.priority)
        .map(({ exchange }) => plain(exchange)),
    );
    return {
      mx,
      aliases: await cnames(
        Object.values(mx)
          .flatMap(recordsOf)
          .filter((name) => name !== ""),
      ),
    };
  };
  try {
    const [A, AAAA, hosts, CAA, TXT, { mx: MX, aliases }] = await Promise.all([
      ask(questions.hosts, (name) => resolver.resolve4(name)),
      ask(questions.hosts, (name) => resolver.resolve6(name)),
      cnames([...questions.hosts, ...questions.aliases]),
      ask(questions.certificateNames.flatMap(climb), async (name) => (await resolver.resolveCaa(name)).map(caa)),
      ask(questions.domains, async (name) => (await resolver.resolveTxt(name)).map((strings) => strings.join(""))),
      exchanges(),
    ]);
    return { A, AAAA, CNAME: { ...aliases, ...hosts }, CAA, MX, TXT };
  } finally {
    clearTimeout(deadline);
  }
}

const plain = (name: string): string => name.replace(/\.$/, "").toLowerCase();

/** Node.js puts the value under the tag's name. */
function caa(record: object): CaaRecord {
  const fields = Object.entries(record) as [string, unknown][];
  const [tag = "", value = ""] = fields.find(([name]) => name !== "critical" && name !== "type") ?? [];
  const critical = fields.some(([name, flags]) => name === "critical" && flags !== 0);
  return { critical, tag: tag.toLowerCase(), value: String(value) };
}
