// The mail-certs volume: generations written whole, checked, switched by one rename, kept for rollback.
// Knows the layout and nothing about where certificates come from or who reads them.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { fsyncPath, writeDurably } from "./files.ts";
import {
  canonicalBundle,
  leafFacts,
  validateBundle,
  validatePair,
  type Bundle,
  type Finding,
  type LeafFacts,
  type Pair,
} from "./validate.ts";

/** Where a generation came from; `placeholder` is never issued by a CA. */
export interface Origin {
  readonly source: "placeholder" | "acme" | "custom" | "internal";
  /** The ACME directory, for certificates that came from one. */
  readonly directory?: string;
}

/** What meta.json says about a leaf. Times are ISO 8601. */
export interface LeafMeta {
  readonly sha256: string;
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly serial: string;
  readonly keyType: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** Content of meta.json. */
export interface Meta extends Origin, LeafMeta {
  readonly generation: number;
  /** Of the RSA certificate beside it; absent: the generation has none. */
  readonly rsa?: LeafMeta;
  readonly publishedAt: string;
}

/** The published generation as read back from the disk. */
export interface Generation {
  readonly number: number;
  readonly meta: Meta;
  readonly leaf: LeafFacts;
  /** The leaf of the RSA certificate beside it, if there is one. */
  readonly rsa?: LeafFacts;
  readonly pair: Bundle;
}

const FILES = ["fullchain.pem", "privkey.pem", "keychain.pem"] as const;
/** Beside them where a generation has an RSA certificate too. */
const RSA_FILES = ["fullchain-rsa.pem", "privkey-rsa.pem"] as const;
const TEMPORARY = ".new-";

/** `generations/000042` for 42. */
function directoryName(generation: number): string {
  return String(generation).padStart(6, "0");
}

/** What keychain.pem holds: key and chain of every pair, the form in which Postfix reads them without a race. */
function keychain({ rsa, ...pair }: Bundle): string {
  return [pair, ...(rsa === undefined ? [] : [rsa])].map(({ privkey, fullchain }) => privkey + fullchain).join("");
}

function sameBundle(a: Bundle, b: Bundle): boolean {
  return keychain(a) === keychain(b);
}

function readBundle(folder: string, withRsa: boolean): Bundle {
  const pair = (suffix: string): Pair => ({
    fullchain: readFileSync(join(folder, `fullchain${suffix}.pem`), "utf8"),
    privkey: readFileSync(join(folder, `privkey${suffix}.pem`), "utf8"),
  });
  return { ...pair(""), ...(withRsa ? { rsa: pair("-rsa") } : {}) };
}

function leafMeta({ sha256, subject, issuer, names, serial, keyType, notBefore, notAfter }: LeafFacts): LeafMeta {
  const iso = (time: number): string => new Date(time).toISOString();
  return { sha256, subject, issuer, names, serial, keyType, notBefore: iso(notBefore), notAfter: iso(notAfter) };
}

/** A candidate that must not be published, with every reason. */
export class RefusedError extends Error {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super(findings.map((finding) => finding.message).join(" "));
    this.name = "RefusedError";
    this.findings = findings;
  }
}

export class GenerationStore {
  private readonly root: string;
  private readonly keep: number;
  private readonly clock: () => number;
  private cached: { key: string; generation: Generation | undefined } | undefined;

  /**
   * @param root the volume; must exist and be writable
   * @param keep how many of the latest generations stay
   * @param clock milliseconds since the epoch
   */
  constructor(root: string, keep: number, clock: () => number) {
    this.root = root;
    this.keep = keep;
    this.clock = clock;
  }

  private path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  /** Numbers of all complete generations, ascending. */
  list(): number[] {
    if (!existsSync(this.path("generations"))) return [];
    return readdirSync(this.path("generations"))
      .filter((name) => /^\d{6,}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** Makes the layout, removes what a killed writer left behind, restores the stable names. */
  recover(): void {
    this.layOut();
    for (const name of readdirSync(this.path("generations"))) {
      if (name.startsWith(TEMPORARY)) rmSync(this.path("generations", name), { recursive: true, force: true });
    }
    this.ensureStableNames();
    this.cached = undefined;
  }

  private layOut(): void {
    mkdirSync(this.path("generations"), { recursive: true, mode: 0o755 });
  }

  /** Makes the stable names where they are missing or are something else; a right one is never touched. */
  ensureStableNames(): void {
    for (const file of FILES) this.link(`current/${file}`, file);
  }

  private link(target: string, name: string): boolean {
    const path = this.path(name);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isSymbolicLink() === true && readlinkSync(path) === target) return false;
    const temporary = this.path(`.${name}.new`);
    rmSync(temporary, { force: true });
    symlinkSync(target, temporary);
    if (stats?.isDirectory() === true) rmSync(path, { recursive: true });
    renameSync(temporary, path);
    fsyncPath(this.root);
    return true;
  }

  private currentNumber(): number | undefined {
    try {
      const match = /^generations\/(\d{6,})$/.exec(readlinkSync(this.path("current")));
      return match?.[1] === undefined ? undefined : Number(match[1]);
    } catch {
      return undefined;
    }
  }

  /**
   * The published generation, or `undefined` if nothing is published or what `current` names is torn or unreadable.
   * Cheap when nothing changed: files are read again only when one of them looks different.
   */
  current(): Generation | undefined {
    const number = this.currentNumber();
    if (number === undefined) return undefined;
    const stats = [...FILES, ...RSA_FILES, "meta.json"].map((file) => {
      const stat = statSync(this.path("generations", directoryName(number), file), { throwIfNoEntry: false });
      return stat === undefined ? "-" : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
    });
    const key = `${number} ${stats.join(" ")}`;
    if (this.cached?.key !== key) this.cached = { key, generation: this.read(number) };
    return this.cached.generation;
  }

  /** The newest whole generation of some kind, if there is one. */
  newest(kind: (meta: Meta) => boolean): Generation | undefined {
    for (const number of this.list().reverse()) {
      const generation = this.read(number);
      if (generation !== undefined && kind(generation.meta)) return generation;
    }
    return undefined;
  }

  /** One generation, or `undefined` if it is incomplete or its keys, chains and keychain do not belong together. */
  read(number: number): Generation | undefined {
    const folder = this.path("generations", directoryName(number));
    try {
      const meta = JSON.parse(readFileSync(join(folder, "meta.json"), "utf8")) as Meta;
      const pair = readBundle(folder, meta.rsa !== undefined);
      const leaf = this.whole(pair);
      const rsa = pair.rsa && this.whole(pair.rsa);
      if (leaf === undefined || (pair.rsa !== undefined && rsa === undefined)) return undefined;
      if (readFileSync(join(folder, "keychain.pem"), "utf8") !== keychain(pair)) return undefined;
      return { number, meta, leaf, ...(rsa === undefined ? {} : { rsa }), pair };
    } catch {
      return undefined;
    }
  }

  /** The leaf of a pair; `undefined` if its key and chain cannot be read or do not belong together. */
  private whole(pair: Pair): LeafFacts | undefined {
    const torn = validatePair(pair, { names: [], now: this.clock() }).some(
      ({ code }) => code === "chain-unreadable" || code === "key-unreadable" || code === "key-mismatch",
    );
    return torn ? undefined : leafFacts(pair.fullchain);
  }

  /**
   * Publishes a bundle as the next generation, or switches to it if a killed writer already wrote it whole.
   * @param names names that every leaf must cover
   * @throws RefusedError if it has findings (a self-signed leaf only passes as a placeholder)
   */
  publish(candidate: Bundle, names: readonly string[], origin: Origin): Generation {
    this.check(candidate, names, origin);
    // The volume may have been emptied since the start.
    this.layOut();
    const pair = canonicalBundle(candidate);
    const numbers = this.list();
    const newest = numbers.at(-1);
    const current = this.currentNumber() ?? -1;
    const leftover = newest !== undefined && newest > current ? this.read(newest) : undefined;
    if (leftover !== undefined && sameBundle(leftover.pair, pair)) return this.switchTo(leftover.number);
    // Also after a current that names a deleted directory: numbers never go back.
    const number = Math.max(newest ?? -1, current) + 1;
    this.write(number, pair, names, origin);
    return this.switchTo(number);
  }

  private check(bundle: Bundle, names: readonly string[], origin: Origin): { leaf: LeafFacts; rsa?: LeafFacts } {
    const findings = validateBundle(bundle, { names, now: this.clock() }).filter(
      ({ code }) => !(origin.source === "placeholder" && code === "self-signed"),
    );
    const leaf = leafFacts(bundle.fullchain);
    const rsa = bundle.rsa && leafFacts(bundle.rsa.fullchain);
    if (findings.length > 0 || leaf === undefined) throw new RefusedError(findings);
    return { leaf, ...(rsa === undefined ? {} : { rsa }) };
  }

  private write(number: number, pair: Bundle, names: readonly string[], origin: Origin): void {
    const temporary = this.path("generations", `${TEMPORARY}${directoryName(number)}`);
    const final = this.path("generations", directoryName(number));
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { mode: 0o755 });
    chmodSync(temporary, 0o755);
    writeDurably(join(temporary, "privkey.pem"), pair.privkey, 0o600);
    writeDurably(join(temporary, "keychain.pem"), keychain(pair), 0o600);
    const open: [name: string, text: string][] = [["fullchain.pem", pair.fullchain]];
    if (pair.rsa !== undefined) {
      writeDurably(join(temporary, "privkey-rsa.pem"), pair.rsa.privkey, 0o600);
      open.push(["fullchain-rsa.pem", pair.rsa.fullchain]);
    }
    for (const [name, text] of open) writeDurably(join(temporary, name), text, 0o644);
    // What counts is what the disk gives back, not what was meant to be written.
    const { leaf, rsa } = this.check(readBundle(temporary, pair.rsa !== undefined), names, origin);
    const meta: Meta = {
      generation: number,
      source: origin.source,
      ...(origin.directory === undefined ? {} : { directory: origin.directory }),
      ...leafMeta(leaf),
      ...(rsa === undefined ? {} : { rsa: leafMeta(rsa) }),
      publishedAt: new Date(this.clock()).toISOString(),
    };
    writeDurably(join(temporary, "meta.json"), JSON.stringify(meta, undefined, 2) + "\n", 0o644);
    for (const name of [...open.map(([name]) => name), "meta.json"]) chmodSync(join(temporary, name), 0o644);
    fsyncPath(temporary);
    renameSync(temporary, final);
    fsyncPath(this.path("generations"));
  }

  /**
   * Points `current` at a generation by one rename and drops the oldest ones.
   * @throws if the generation is absent, torn or incomplete
   */
  switchTo(number: number): Generation {
    const generation = this.read(number);
    if (generation === undefined) throw new Error(`generation ${directoryName(number)} is missing or damaged`);
    this.ensureStableNames();
    this.link(`generations/${directoryName(number)}`, "current");
    this.cached = undefined;
    this.prune(number);
    return generation;
  }

  private prune(current: number): void {
    for (const number of this.list().slice(0, -this.keep)) {
      if (number === current) continue;
      const path = this.path("generations", directoryName(number));
      // Renamed first: a reader or a crash never meets half a generation under a generation's name.
      const doomed = this.path("generations", `${TEMPORARY}old-${directoryName(number)}`);
      if (existsSync(path)) renameSync(path, doomed);
      rmSync(doomed, { recursive: true, force: true });
    }
  }
}
