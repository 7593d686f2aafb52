// What a person can ask of a running certd: `certd WORD` in the container. A command reads the volume and leaves a wish
// behind; certd alone publishes, switches and orders, and the command waits until its status says that it has.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { orderRequest, type Paths } from "./certd.ts";
import { RESERVE } from "./budget.ts";
import { replaceFile } from "./files.ts";
import { GenerationStore, type Generation } from "./generations.ts";
import { generationName } from "./journal.ts";
import { PinFile } from "./pin.ts";
import type { Settings } from "./settings.ts";
import type { Status } from "./status.ts";
import { parseChain, validatePair, type LeafFacts, type Pair } from "./validate.ts";

/** Why a command does nothing; a sentence for whoever typed it. */
export class CommandError extends Error {}

/** One generation as `certd generations` prints it. Times are ISO 8601. */
export interface GenerationFacts {
  readonly generation: number;
  readonly publishedAt: string;
  /** `acme`, `custom`, `internal` or `placeholder`. */
  readonly source: string;
  readonly directory: string | null;
  readonly names: readonly string[];
  readonly notBefore: string;
  readonly notAfter: string;
  readonly serial: string;
  readonly sha256: string;
  readonly keyType: string;
  /** SHA-256 of the public key, lower-case hex. */
  readonly publicKeySha256: string;
  readonly issuer: string;
  /** Subjects, the leaf first. */
  readonly chain: readonly string[];
  /** The RSA certificate beside it; `null`: it has none. */
  readonly rsa: Pick<
    GenerationFacts,
    "notBefore" | "notAfter" | "serial" | "sha256" | "keyType" | "publicKeySha256" | "issuer" | "chain"
  > | null;
  /** Why it cannot be rolled back to; empty: it can. */
  readonly problems: readonly string[];
}

export interface Listing {
  /** The latest first. */
  readonly generations: readonly GenerationFacts[];
  /** `null`: nothing is published. */
  readonly current: number | null;
  readonly pinned: Status["pinned"];
  readonly budget: Status["budget"];
}

export interface CommandArgs {
  readonly settings: Settings;
  readonly paths: Pick<Paths, "certificates" | "runtime">;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly print: (line: string) => void;
}

function status({ paths }: CommandArgs): Status {
  try {
    return JSON.parse(readFileSync(join(paths.runtime, "status.json"), "utf8")) as Status;
  } catch {
    throw new CommandError("certd has not reported yet: try again in a moment, or see its log");
  }
}

function problems({ pair }: Generation, { settings, clock }: CommandArgs): string[] {
  return validatePair(pair, { names: settings.names, now: clock() }).map(({ message }) => message);
}

const store = ({ settings, paths, clock }: CommandArgs): GenerationStore =>
  new GenerationStore(paths.certificates, settings.keepGenerations, clock);

function factsOf(generation: Generation, args: CommandArgs): GenerationFacts {
  const { meta, leaf, rsa, pair } = generation;
  return {
    generation: generation.number,
    publishedAt: meta.publishedAt,
    source: meta.source,
    directory: meta.directory ?? null,
    names: leaf.names,
    ...certificateFacts(leaf, pair),
    rsa: rsa && pair.rsa ? certificateFacts(rsa, pair.rsa) : null,
    problems: problems(generation, args),
  };
}

function certificateFacts(leaf: LeafFacts, { fullchain }: Pair): NonNullable<GenerationFacts["rsa"]> {
  return {
    notBefore: new Date(leaf.notBefore).toISOString(),
    notAfter: new Date(leaf.notAfter).toISOString(),
    serial: leaf.serial,
    sha256: leaf.sha256,
    keyType: leaf.keyType,
    publicKeySha256: leaf.publicKeySha256,
    issuer: leaf.issuer,
    chain: (parseChain(fullchain) ?? []).map(({ subject }) => (subject ?? "").split("\n").join(", ")),
  };
}

/** Everything about the generations in the volume; a damaged one is left out. */
export function listing(args: CommandArgs): Listing {
  const volume = store(args);
  const generations = volume.list().flatMap((number) => volume.read(number) ?? []);
  const { pinned, budget } = status(args);
  return {
    generations: generations.map((generation) => factsOf(generation, args)).reverse(),
    current: volume.current()?.number ?? null,
    pinned,
    budget,
  };
}

/** Looks at certd's status until a condition holds. @throws CommandError after `limit` milliseconds */
async function awaited(
  args: CommandArgs,
  what: string,
  condition: (status: Status) => boolean,
  limit = 20_000,
): Promise<void> {
  for (const end = performance.now() + limit; !condition(status(args)); await pause(100)) {
    if (performance.now() > end) throw new CommandError(`certd did not ${what} within ${limit / 1000} s; see its log`);
  }
}

/** Has certd switch to a generation and keep it. @throws CommandError if it must not be served */
export async function pin(word: string, args: CommandArgs): Promise<void> {
  const number = /^\d{1,9}$/.test(word) ? Number(word) : NaN;
  if (Number.isNaN(number))
    throw new CommandError(`a generation is a number, for example 42, not ${word || "nothing"}`);
  const name = generationName(number);
  const generation = store(args).read(number);
  if (generation === undefined)
    throw new CommandError(`there is no whole generation ${name}; \`vectis certs list\` shows which there are`);
  const reasons = problems(generation, args);
  if (reasons.length > 0) throw new CommandError(`generation ${name} must not be served: ${reasons.join(" ")}`);
  new PinFile(args.paths.certificates).write({ generation: number, sha256: generation.leaf.sha256, at: args.clock() });
  await awaited(args, `switch to generation ${name}`, ({ published, pinned }) => {
    return pinned?.generation === number && published?.generation === number;
  });
  const { pinned } = status(args);
  args.print(
    `Generation ${name} (serial ${generation.leaf.serial}) is published and pinned, until ` +
      `\`vectis certs unpin\` or ${pinned?.until ?? "its end"} at the latest.`,
  );
}

/** Lets certd publish again what the source has. */
export async function unpin(args: CommandArgs): Promise<void> {
  const file = new PinFile(args.paths.certificates);
  if (file.read() === undefined) return args.print("Nothing is pinned.");
  file.remove();
  await awaited(args, "take the pin away", ({ pinned }) => pinned === null);
  args.print("Nothing is pinned any more: certd publishes what its source has.");
}

/**
 * Why an order wants a second thought; `undefined`: it does not.
 * @param certificates how many it is for
 */
export function spendingProblem(budget: Status["budget"], certificates = 1): string | undefined {
  if (budget === null || budget.remaining >= RESERVE + certificates) return undefined;
  const spends = certificates === 1 ? "" : `this one is for ${certificates} certificates, `;
  return (
    `Let's Encrypt's limit leaves ${budget.remaining} of ${budget.limit} orders for exactly ${budget.names.join(", ")} in 7 days ` +
    `(the next is given back at ${budget.nextAt}); ${spends}a volume that is lost costs two: order all the same with --yes, ` +
    "or try with vectis:tls.acme.directory set to staging"
  );
}

/**
 * Has certd order now, and tells how that goes.
 * @param yes whether the last orders that the CA's limit leaves may be spent
 * @throws CommandError if it fails, or does not begin in time
 */
export async function renew(args: CommandArgs, yes: boolean, limit = 600_000): Promise<void> {
  const { settings, paths, print } = args;
  if (settings.source.kind !== "acme")
    throw new CommandError(`certificates come from ${settings.source.kind}: nothing can be ordered, only replaced`);
  const request = orderRequest(paths.runtime);
  const before = status(args);
  const certificates = settings.source.rsaKeyType === undefined ? 1 : 2;
  const problem = yes ? undefined : spendingProblem(before.budget, certificates);
  if (problem !== undefined) throw new CommandError(problem);
  const lastAt = before.order.last?.at;
  replaceFile(request, "", 0o600, false);
  try {
    let told = "";
    const tell = (line: string): void => {
      if (line !== told) print((told = line));
    };
    tell("An order is asked for.");
    await awaited(
      args,
      "end the order",
      ({ order, lastError }) => {
        if (order.running) tell("The order runs.");
        else if (existsSync(request) && lastError !== null) tell(`It has to wait: ${lastError.cause}.`);
        return order.last !== null && order.last.at !== lastAt && !order.running && !existsSync(request);
      },
      limit,
    );
  } finally {
    rmSync(request, { force: true });
  }
  const { last } = status(args).order;
  if (last?.ok !== true)
    throw new CommandError(`the order failed: ${last?.cause ?? "no word of it"}. What to do: ${last?.advice ?? ""}`);
  const pinned = before.pinned?.generation;
  if (pinned !== undefined)
    return print(
      `The order succeeded. Generation ${generationName(pinned)} is pinned; \`vectis certs unpin\` ends that.`,
    );
  await awaited(args, "publish the certificate", (now) => now.published?.sha256 !== before.published?.sha256);
  const { published } = status(args);
  print(
    `The order succeeded. Generation ${generationName(published?.generation ?? 0)} is published: ` +
      `serial ${published?.serial}, valid until ${published?.notAfter}.`,
  );
  await awaited(args, "see it on every port", ({ ports }) => ports.every(({ agrees }) => agrees), 120_000);
  print("Every mail port serves it.");
}

const words = ["generations", "pin GENERATION", "unpin", "renew [--yes]"];

/** Runs one command. @throws CommandError with what is wrong */
export async function runCommand([word = "", ...rest]: readonly string[], args: CommandArgs): Promise<void> {
  switch (word) {
    case "generations":
      return args.print(JSON.stringify(listing(args), undefined, 2));
    case "pin":
      return pin(rest[0] ?? "", args);
    case "unpin":
      return unpin(args);
    case "renew":
      return renew(args, rest.includes("--yes"));
    default:
      throw new CommandError(`there is no command ${word}; there are: ${words.join(", ")}`);
  }
}
