// `vectis certs`: the generations of the mail certificate, and what a person may do with them. The sidecar's own `certd`
// command does it; here is what an operator sees of it, and what only the stack knows.
import type { GenerationFacts, Listing } from "../certd/commands.ts";
import { generationName } from "../certd/journal.ts";
import { docker, dockerEnvironment } from "./docker.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { result } from "./output.ts";
import { rawOutputs, stackOutputs } from "./stack.ts";
import { table } from "./table.ts";

interface Common {
  readonly stack?: string;
  readonly json: boolean;
}

/** A way to the sidecar of a stack. */
class Sidecar {
  private readonly env: NodeJS.ProcessEnv;
  private readonly container: string;

  private constructor(env: NodeJS.ProcessEnv, container: string) {
    this.env = env;
    this.container = container;
  }

  /** `stack`: default the selected one. */
  static async of(stack: string | undefined): Promise<Sidecar> {
    const [{ containers }, env] = await Promise.all([stackOutputs(stack), dockerEnvironment(stack)]);
    return new Sidecar(env, containers.acme);
  }

  async listing(): Promise<Listing> {
    const { code, stdout, stderr } = await docker(this.env, ["exec", this.container, "certd", "generations"]);
    if (code !== 0) throw new UserError(`the sidecar ${this.container} does not answer: ${stderr.trim()}`);
    return JSON.parse(stdout) as Listing;
  }

  /** Has certd do something; what it says is progress. @throws UserError with why it does not */
  async do(...words: readonly string[]): Promise<void> {
    const command = ["exec", this.container, "certd", ...words];
    const { code, stderr } = await docker(this.env, command, ["ignore", process.stderr, "pipe"]);
    if (code !== 0) throw new UserError(stderr.trim(), exitCodes.notAsExpected);
  }
}

export async function certsList({ stack, json }: Common): Promise<ExitCode> {
  return show(await Sidecar.of(stack), json);
}

async function show(sidecar: Sidecar, json: boolean): Promise<ExitCode> {
  const listing = await sidecar.listing();
  result(json, listing, () => renderList(listing, Date.now()));
  return exitCodes.ok;
}

/** @param now milliseconds since the epoch */
export function renderList({ generations, current, pinned, budget }: Listing, now: number): string {
  const state = ({ generation, problems }: GenerationFacts): string =>
    [
      generation === current ? "current" : "",
      generation === pinned?.generation ? "pinned" : "",
      problems.length > 0 ? "not usable" : "",
    ]
      .filter((word) => word !== "")
      .join(", ");
  const rows = generations.map((one) => [
    generationName(one.generation),
    state(one),
    minute(one.publishedAt),
    minute(one.notAfter),
    ((Date.parse(one.notAfter) - now) / 86_400_000).toFixed(1),
    keyTypes(one),
    one.publicKeySha256.slice(0, 12),
    one.serial,
    one.issuer,
    one.source,
  ]);
  const head = [
    "Generation",
    "State",
    "Published",
    "Not after",
    "Days",
    "Key",
    "Key SHA-256",
    "Serial",
    "Issuer",
    "From",
  ];
  const pin =
    pinned === null
      ? []
      : [
          "",
          `Generation ${generationName(pinned.generation)} is pinned since ${minute(pinned.since)}, until ` +
            `\`vectis certs unpin\` or ${minute(pinned.until)} at the latest.`,
        ];
  const limit = limitLine(budget);
  return [table(head, rows, ["Days"]), ...pin, ...(limit === undefined ? [] : ["", limit])].join("\n");
}

/** What the CA's limit leaves, as a sentence; `undefined` where there is none. */
export function limitLine(budget: Listing["budget"]): string | undefined {
  if (budget === null) return undefined;
  const { remaining, limit, names, nextAt, heldUntil } = budget;
  const next = nextAt === null ? "" : `; the next is given back at ${minute(nextAt)}`;
  const held = heldUntil === null ? "" : `; an order that can wait is held back until ${minute(heldUntil)}`;
  return `Let's Encrypt's limit leaves ${remaining} of ${limit} orders for exactly ${names.join(", ")} in 7 days${next}${held}.`;
}

/** The same of a stack, asked from its sidecar; `undefined` also where that cannot be asked. */
export async function stackLimit(stack: string): Promise<string | undefined> {
  try {
    return limitLine((await (await Sidecar.of(stack)).listing()).budget);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const keyTypes = ({ keyType, rsa }: GenerationFacts): string =>
  [keyType, ...(rsa === null ? [] : [rsa.keyType])].join(" + ");

const minute = (time: string): string => `${time.slice(0, 16).replace("T", " ")} UTC`;

export async function certsShow({ stack, json }: Common, one?: string, other?: string): Promise<ExitCode> {
  const listing = await (await Sidecar.of(stack)).listing();
  const to = chosen(
    listing,
    other ?? (one === undefined || listing.current === null ? undefined : String(listing.current)),
  );
  const from = chosen(listing, one, to.generation);
  const fields = compare(from, to);
  result(json, { from, to, differs: fields.filter(({ same }) => !same).map(({ field }) => field) }, () =>
    table(
      ["", generationName(from.generation), generationName(to.generation), "Differs"],
      fields.flatMap(({ field, values: [a, b], same }) => {
        const lines = Array.from({ length: Math.max(a.length, b.length) }, (_, line) => line);
        return lines.map((line) => [
          line === 0 ? field : "",
          a[line] ?? "",
          b[line] ?? "",
          same || line > 0 ? "" : "yes",
        ]);
      }),
    ),
  );
  return exitCodes.ok;
}

/** A generation by its number; default: the current one, or the latest one below `than`. */
function chosen({ generations, current }: Listing, word: string | undefined, than?: number): GenerationFacts {
  const number = word === undefined ? undefined : generationNumber(word);
  const found = generations.find(({ generation }) =>
    number !== undefined ? generation === number : than === undefined ? generation === current : generation < than,
  );
  if (found !== undefined) return found;
  const known = generations.map(({ generation }) => generationName(generation)).join(", ") || "none";
  throw new UserError(`there is no generation ${word ?? "before that"}; there are: ${known}`);
}

function generationNumber(word: string): number {
  if (!/^\d{1,9}$/.test(word)) throw new UserError(`a generation is a number, for example 42, not ${word}`);
  return Number(word);
}

interface Field {
  readonly field: string;
  /** Of both generations, one line each. */
  readonly values: readonly [readonly string[], readonly string[]];
  readonly same: boolean;
}

/** What two generations say, field by field. */
export function compare(from: GenerationFacts, to: GenerationFacts): Field[] {
  const field = (name: string, of: (one: GenerationFacts) => readonly string[]): Field => {
    const values = [of(from), of(to)] as const;
    return { field: name, values, same: values[0].join("\n") === values[1].join("\n") };
  };
  return [
    field("names", ({ names }) => names),
    field("key", ({ keyType, publicKeySha256 }) => [`${keyType} ${publicKeySha256}`]),
    field("issuer", ({ issuer }) => [issuer]),
    field("chain", ({ chain }) => chain.slice(1)),
    field("not before", ({ notBefore }) => [notBefore]),
    field("not after", ({ notAfter }) => [notAfter]),
    field("serial", ({ serial }) => [serial]),
    field("source", ({ source, directory }) => [[source, directory ?? ""].join(" ").trim()]),
    ...(from.rsa === null && to.rsa === null
      ? []
      : [
          field("RSA key", ({ rsa }) => [rsa === null ? "none" : `${rsa.keyType} ${rsa.publicKeySha256}`]),
          field("RSA serial", ({ rsa }) => [rsa?.serial ?? "none"]),
          field("RSA not after", ({ rsa }) => [rsa?.notAfter ?? "none"]),
        ]),
    field("published", ({ publishedAt }) => [publishedAt]),
    field("problems", ({ problems }) => (problems.length === 0 ? ["none"] : problems)),
  ];
}

export async function certsRollback({ stack, json }: Common, word?: string): Promise<ExitCode> {
  const [sidecar, { dnsRecords }] = await Promise.all([Sidecar.of(stack), rawOutputs(stack)]);
  const listing = await sidecar.listing();
  const target = word === undefined ? previous(listing) : chosen(listing, word);
  const problem = tlsaProblem(target, dnsRecords);
  if (problem !== undefined) throw new UserError(problem);
  await sidecar.do("pin", String(target.generation));
  return show(sidecar, json);
}

/** The latest generation before the current one that may be served. @throws UserError if there is none */
export function previous({ generations, current }: Listing): GenerationFacts {
  const found = generations.find(({ generation, problems }) => generation < (current ?? 0) && problems.length === 0);
  if (found === undefined)
    throw new UserError("there is no earlier generation that may be served; `vectis certs list` shows what there is");
  return found;
}

/**
 * Why a generation's key must not be served while the stack has TLSA records; `undefined`: it may be.
 * @param dnsRecords the stack's output of that name
 */
export function tlsaProblem(
  { generation, publicKeySha256, rsa }: GenerationFacts,
  dnsRecords: unknown,
): string | undefined {
  const records = (Array.isArray(dnsRecords) ? dnsRecords : []) as readonly {
    readonly type: string;
    readonly value: string;
  }[];
  const tlsa = records.filter(({ type }) => type === "TLSA");
  const keys = [publicKeySha256, ...(rsa === null ? [] : [rsa.publicKeySha256])];
  const named = (key: string): boolean => tlsa.some(({ value }) => value.toLowerCase() === `3 1 1 ${key}`);
  if (tlsa.length === 0 || keys.every(named)) return undefined;
  return (
    `no TLSA record names ${keys.length > 1 ? "every" : "the"} key of generation ${generationName(generation)}, so DANE senders would refuse to deliver: ` +
    "choose a generation with a key that one names (`vectis dns show`), or set vectis:dns.dane to off first"
  );
}

export async function certsUnpin({ stack, json }: Common): Promise<ExitCode> {
  const sidecar = await Sidecar.of(stack);
  await sidecar.do("unpin");
  return show(sidecar, json);
}

/** `yes`: spends the last orders that the CA's limit leaves, too. */
export async function certsRenew({ stack, json, yes }: Common & { readonly yes: boolean }): Promise<ExitCode> {
  const sidecar = await Sidecar.of(stack);
  await sidecar.do("renew", ...(yes ? ["--yes"] : []));
  return show(sidecar, json);
}
