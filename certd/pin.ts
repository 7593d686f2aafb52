// The operator's wish that one generation stays in service: a small file in the volume, so that it outlives restarts.
// When it ends by itself is a pure function; whoever writes it only wishes, certd alone switches.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "./files.ts";
import type { Generation } from "./generations.ts";
import { day, generationName, type Journal } from "./journal.ts";
import { overdueTime, renewalTime } from "./schedule.ts";
import { covers, type LeafFacts } from "./validate.ts";

/** Content of the file. */
export interface Pin {
  readonly generation: number;
  /** SHA-256 of its leaf: another generation of that number (a restored volume, say) is not meant. */
  readonly sha256: string;
  /** Since when, milliseconds since the epoch. */
  readonly at: number;
}

/** A pin with what its generation holds; `undefined`: it is missing, damaged, or another one than was pinned. */
export interface Pinned {
  readonly number: number;
  readonly at: number;
  readonly leaf: LeafFacts | undefined;
}

/** `until`: when it ends at the latest. `why`: a sentence. Times in milliseconds since the epoch. */
export type PinVerdict =
  | { readonly kind: "holds"; readonly number: number; readonly since: number; readonly until: number }
  | { readonly kind: "lapsed"; readonly number: number; readonly why: string };

/**
 * When a pin ends by itself: at the renewal time of what is pinned. An older generation is often past that already, being
 * what a renewal has replaced; then with half of the time left that it had when it was pinned.
 */
function pinEnd(leaf: LeafFacts, at: number, hostname: string): number {
  return Math.max(renewalTime(leaf, `${hostname} ${leaf.serial}`), overdueTime(leaf.notAfter, at));
}

/**
 * Whether a pin still holds.
 * @param names that the mail certificate has to cover, the hostname first
 */
export function judgePin({ number, at, leaf }: Pinned, names: readonly string[], now: number): PinVerdict {
  const lapsed = (why: string): PinVerdict => ({ kind: "lapsed", number, why });
  if (leaf === undefined) return lapsed("it is missing or damaged");
  if (now >= leaf.notAfter) return lapsed(`it expired on ${day(leaf.notAfter)}`);
  const missing = names.filter((name) => !covers(leaf.names, name));
  if (missing.length > 0) return lapsed(`it does not cover ${missing.join(", ")}, which the configuration asks for`);
  // A clock that was set back does not prolong it.
  const since = Math.min(at, now);
  const until = pinEnd(leaf, since, names[0] ?? "");
  return now < until ? { kind: "holds", number, since, until } : lapsed(`it expires on ${day(leaf.notAfter)}`);
}

export class PinFile {
  private readonly path: string;

  /** @param volume the mail-certs volume */
  constructor(volume: string) {
    this.path = join(volume, "pin.json");
  }

  /** `undefined`: nothing is pinned, or the file is damaged. */
  read(): Pin | undefined {
    try {
      const { generation, sha256, at } = JSON.parse(readFileSync(this.path, "utf8")) as Partial<Pin>;
      return typeof generation === "number" && typeof sha256 === "string" && typeof at === "number"
        ? { generation, sha256, at }
        : undefined;
    } catch {
      return undefined;
    }
  }

  write(pin: Pin): void {
    replaceFile(this.path, JSON.stringify(pin) + "\n", 0o644, true);
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }
}

/** certd's side of it: what is pinned, and what is said about it. */
export class PinKeeper {
  private readonly file: PinFile;
  private readonly journal: Journal;
  private told = false;

  constructor(volume: string, journal: Journal) {
    this.file = new PinFile(volume);
    this.journal = journal;
  }

  /** @param read one generation from the volume */
  pinned(published: Generation | undefined, read: (number: number) => Generation | undefined): Pinned | undefined {
    const pin = this.file.read();
    if (pin === undefined) return undefined;
    const leaf = (published?.number === pin.generation ? published : read(pin.generation))?.leaf;
    return { number: pin.generation, at: pin.at, leaf: leaf?.sha256 === pin.sha256 ? leaf : undefined };
  }

  /** Tells of a pin once, takes one away that has lapsed, and tells of its end. */
  heed(verdict: PinVerdict | undefined): void {
    const { journal } = this;
    const name = generationName(verdict?.number ?? 0);
    if (verdict?.kind === "holds") {
      const end = `until \`vectis certs unpin\`, or ${day(verdict.until)} at the latest`;
      journal.say("pin", `Generation ${name} is pinned ${end}. Renewals go on; they are published after that.`);
      this.told = true;
      return;
    }
    if (verdict?.kind === "lapsed") {
      this.file.remove();
      journal.log(`Generation ${name} is no longer pinned: ${verdict.why}.`);
    } else if (this.told) journal.log("Nothing is pinned any more.");
    this.told = false;
    journal.settle("pin");
  }
}
