// What certd says and how it words times: one line per event, and never the same sentence twice in a row for a topic.

/** Milliseconds as a human says them. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} minutes`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} hours` : `${Math.round(seconds / 86_400)} days`;
}

/** A moment, milliseconds since the epoch, to the minute. */
export function day(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

/** `000042` for 42, as the volume names it. */
export function generationName(number: number): string {
  return String(number).padStart(6, "0");
}

/** The first letter large, as a sentence begins. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Something that went wrong and has not gone well since. */
export interface Failure {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cause: string;
  readonly advice: string | undefined;
}

export class Journal {
  readonly log: (line: string) => void;
  private readonly clock: () => number;
  private readonly said = new Map<string, string>();
  private readonly failures = new Map<string, Failure>();

  /** @param clock milliseconds since the epoch */
  constructor(log: (line: string) => void, clock: () => number) {
    this.log = log;
    this.clock = clock;
  }

  /** The latest failure that is not settled. */
  get failure(): Failure | undefined {
    return [...this.failures.values()].at(-1);
  }

  /** The topics whose failure is not settled. */
  get failing(): string[] {
    return [...this.failures.keys()];
  }

  /** Notes that something went wrong. Saying so is another matter. */
  fail(topic: string, cause: string, advice?: string): void {
    const before = this.failures.get(topic);
    if (before?.cause === cause) return;
    this.failures.delete(topic);
    this.failures.set(topic, { at: this.clock(), cause, advice });
  }

  /** Logs a sentence, but not twice in a row for the same topic. */
  say(topic: string, sentence: string): void {
    if (this.said.get(topic) === sentence) return;
    this.said.set(topic, sentence);
    this.log(sentence);
  }

  /** The topic is settled: its failure is over, and the same sentence would be news again. */
  settle(topic: string): void {
    this.said.delete(topic);
    this.failures.delete(topic);
  }
}
