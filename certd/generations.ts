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
import { canonicalPair, leafFacts, validatePair, type Finding, type LeafFacts, type Pair } from "./validate.ts";

/** Where a generation came from; `placeholder` is never issued by a CA. */
export interface Origin {
  readonly source: "placeholder" | "acme" | "custom" | "internal";
  /** The ACME directory, for certificates that came from one. */
  readonly directory?: string;
}

/** Content of meta.json. Times are ISO 8601. */
export interface Meta extends Origin {
  readonly generation: number;
  readonly sha256: string;
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly serial: string;
  readonly keyType: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly publishedAt: string;
}

/** The published generation as read back from the disk. */
export interface Generation {
  readonly number: number;
  readonly meta: Meta;
  readonly leaf: LeafFacts;
  readonly pair: Pair;
}

const FILES = ["fullchain.pem", "privkey.pem", "keychain.pem"] as const;
const TEMPORARY = ".new-";

/** `generations/000042` for 42. */
function directoryName(generation: number): string {
  return String(generation).padStart(6, "0");
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
    const stats = [...FILES, "meta.json"].map((file) => {
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

  /** One generation, or `undefined` if it is incomplete or its key, chain and keychain do not belong together. */
  read(number: number): Generation | undefined {
    const file = (name: string): string => readFileSync(this.path("generations", directoryName(number), name), "utf8");
    try {
      const pair = { fullchain: file("fullchain.pem"), privkey: file("privkey.pem") };
      const leaf = leafFacts(pair.fullchain);
      const torn = validatePair(pair, { names: [], now: this.clock() }).some(
        ({ code }) => code === "chain-unreadable" || code === "key-unreadable" || code === "key-mismatch",
      );
      if (leaf === undefined || torn || file("keychain.pem") !== pair.privkey + pair.fullchain) return undefined;
      return { number, meta: JSON.parse(file("meta.json")) as Meta, leaf, pair };
    } catch {
      return undefined;
    }
  }

  /**
   * Publishes a pair as the next generation, or switches to it if a killed writer already wrote it whole.
   * @param names names that the leaf must cover
   * @throws RefusedError if the pair has findings (a self-signed leaf only passes as a placeholder)
   */
  publish(candidate: Pair, names: readonly string[], origin: Origin): Generation {
    this.check(candidate, names, origin);
    // The volume may have been emptied since the start.
    this.layOut();
    const pair = canonicalPair(candidate);
    const numbers = this.list();
    const newest = numbers.at(-1);
    const current = this.currentNumber() ?? -1;
    const leftover = newest !== undefined && newest > current ? this.read(newest) : undefined;
    if (leftover?.pair.fullchain === pair.fullchain && leftover.pair.privkey === pair.privkey) {
      return this.switchTo(leftover.number);
    }
    // Also after a current that names a deleted directory: numbers never go back.
    const number = Math.max(newest ?? -1, current) + 1;
    this.write(number, pair, names, origin);
    return this.switchTo(number);
  }

  private check(pair: Pair, names: readonly string[], origin: Origin): LeafFacts {
    const findings = validatePair(pair, { names, now: this.clock() }).filter(
      ({ code }) => !(origin.source === "placeholder" && code === "self-signed"),
    );
    const leaf = leafFacts(pair.fullchain);
    if (findings.length > 0 || leaf === undefined) throw new RefusedError(findings);
    return leaf;
  }

  private write(number: number, pair: Pair, names: readonly string[], origin: Origin): void {
    const temporary = this.path("generations", `${TEMPORARY}${directoryName(number)}`);
    const final = this.path("generations", directoryName(number));
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { mode: 0o755 });
    chmodSync(temporary, 0o755);
    writeDurably(join(temporary, "privkey.pem"), pair.privkey, 0o600);
    writeDurably(join(temporary, "keychain.pem"), pair.privkey + pair.fullchain, 0o600);
    writeDurably(join(temporary, "fullchain.pem"), pair.fullchain, 0o644);
    // What counts is what the disk gives back, not what was meant to be written.
    const back = {
      fullchain: readFileSync(join(temporary, "fullchain.pem"), "utf8"),
      privkey: readFileSync(join(temporary, "privkey.pem"), "utf8"),
    };
    const leaf = this.check(back, names, origin);
    const meta: Meta = {
      generation: number,
      source: origin.source,
      ...(origin.directory === undefined ? {} : { directory: origin.directory }),
      sha256: leaf.sha256,
      subject: leaf.subject,
      issuer: leaf.issuer,
      names: leaf.names,
      serial: leaf.serial,
      keyType: leaf.keyType,
      notBefore: new Date(leaf.notBefore).toISOString(),
      notAfter: new Date(leaf.notAfter).toISOString(),
      publishedAt: new Date(this.clock()).toISOString(),
    };
    writeDurably(join(temporary, "meta.json"), JSON.stringify(meta, undefined, 2) + "\n", 0o644);
    chmodSync(join(temporary, "fullchain.pem"), 0o644);
    chmodSync(join(temporary, "meta.json"), 0o644);
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
