// Judges what a source offers, and judges it again from time to time because certificates expire.
import type { Candidate } from "./decide.ts";
import type { Reading } from "./source.ts";
import { leafFacts, rsaFindings, validatePair, type Bundle, type Wanted } from "./validate.ts";

const JUDGE_INTERVAL = 10_000;

/** The bundle without its RSA pair if that must not be served: the other one does not wait for it. */
export function servable({ rsa, ...pair }: Bundle, wanted: Wanted): Bundle {
  return rsa === undefined || rsaFindings(rsa, wanted).length > 0 ? pair : { ...pair, rsa };
}

function judgeBundle(bundle: Bundle, wanted: Wanted): Candidate {
  const findings = validatePair(bundle, wanted);
  const leaf = leafFacts(bundle.fullchain);
  if (findings.length > 0 || leaf === undefined) return { kind: "refused", findings };
  if (bundle.rsa === undefined) return { kind: "usable", leaf };
  const refused = rsaFindings(bundle.rsa, wanted);
  const rsa = leafFacts(bundle.rsa.fullchain);
  return refused.length > 0 || rsa === undefined
    ? { kind: "usable", leaf, rsaRefused: refused }
    : { kind: "usable", leaf, rsa };
}

export class Judge {
  private readonly names: readonly string[];
  private judged: { pair: Bundle; at: number; candidate: Candidate } | undefined;

  /** @param names that every usable leaf must cover */
  constructor(names: readonly string[]) {
    this.names = names;
  }

  /** What was judged last, as far as it may be published. */
  get bundle(): Bundle | undefined {
    return this.judged && servable(this.judged.pair, { names: this.names, now: this.judged.at });
  }

  /** @param now milliseconds since the epoch */
  judge(reading: Reading, now: number): Candidate {
    if (reading.kind === "busy" || reading.kind === "none") return { kind: reading.kind };
    if (reading.kind === "unreadable") return { kind: "refused", findings: reading.findings };
    const { pair } = reading;
    const age = now - (this.judged?.at ?? 0);
    if (this.judged?.pair !== pair || age > JUDGE_INTERVAL || age < 0) {
      this.judged = { pair, at: now, candidate: judgeBundle(pair, { names: this.names, now }) };
    }
    return this.judged.candidate;
  }
}
