// Judges what a source offers, and judges it again from time to time because certificates expire.
import type { Candidate } from "./decide.ts";
import type { Reading } from "./source.ts";
import { leafFacts, validatePair, type Pair } from "./validate.ts";

const JUDGE_INTERVAL = 10_000;

export class Judge {
  private readonly names: readonly string[];
  private judged: { pair: Pair; at: number; candidate: Candidate } | undefined;

  /** @param names that a usable leaf must cover */
  constructor(names: readonly string[]) {
    this.names = names;
  }

  /** The pair that was judged last. */
  get pair(): Pair | undefined {
    return this.judged?.pair;
  }

  /** @param now milliseconds since the epoch */
  judge(reading: Reading, now: number): Candidate {
    if (reading.kind === "busy" || reading.kind === "none") return { kind: reading.kind };
    if (reading.kind === "unreadable") return { kind: "refused", findings: reading.findings };
    const { pair } = reading;
    const age = now - (this.judged?.at ?? 0);
    if (this.judged?.pair !== pair || age > JUDGE_INTERVAL || age < 0) {
      const findings = validatePair(pair, { names: this.names, now });
      const leaf = leafFacts(pair.fullchain);
      const candidate: Candidate =
        findings.length > 0 || leaf === undefined ? { kind: "refused", findings } : { kind: "usable", leaf };
      this.judged = { pair, at: now, candidate };
    }
    return this.judged.candidate;
  }
}
