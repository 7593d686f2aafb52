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

export class Journal {
  readonly log: (line: string) => void;
  /** The last thing that went wrong; empty when nothing did since it last went well. */
  lastError = "";
  private readonly said = new Map<string, string>();

  constructor(log: (line: string) => void) {
    this.log = log;
  }

  /** Logs a sentence, but not twice in a row for the same topic. */
  say(topic: string, sentence: string): void {
    if (this.said.get(topic) === sentence) return;
    this.said.set(topic, sentence);
    this.log(sentence);
  }

  /** The topic is settled: the same sentence would be news again. */
  settle(topic: string): void {
    this.said.delete(topic);
  }
}
