// This machine's clock against the CA's, of whose answers each carries the time. Certificates carry the CA's time: by a clock
// of ours that is far ahead, each new one would be due at once.
import { duration, type Journal } from "./journal.ts";
import { CLOCK_TOLERANCE } from "./schedule.ts";

export class CaClock {
  /** Milliseconds by which the CA's clock is ahead of ours, if that is more than the tolerance; else 0. */
  offset = 0;
  private readonly journal: Journal;

  constructor(journal: Journal) {
    this.journal = journal;
  }

  /**
   * Takes the time of an answer, and tells of a difference.
   * @param now our time when it came, milliseconds since the epoch
   * @param theirs `undefined`: it said none
   */
  compare(now: number, theirs: number | undefined): void {
    const off = theirs === undefined ? 0 : now - theirs;
    this.offset = Math.abs(off) <= CLOCK_TOLERANCE ? 0 : -off;
    if (this.offset === 0) this.journal.settle("clock");
    else this.tell(off);
  }

  /** Whether an earlier offset is still right. */
  near(earlier: number): boolean {
    return Math.abs(this.offset - earlier) <= CLOCK_TOLERANCE;
  }

  private tell(off: number): void {
    const cause = `this machine's clock is ${duration(Math.abs(off))} ${off > 0 ? "ahead of" : "behind"} the CA's`;
    const advice = "set the clock of the Docker host, and keep it right by NTP (`timedatectl set-ntp true`)";
    this.journal.fail("clock", cause, advice);
    // Without the number, which changes with every look.
    const what = `This machine's clock is ${off > 0 ? "ahead of" : "behind"} the CA's by more than 5 minutes`;
    this.journal.say("clock", `${what}: certificates may look expired, or not valid yet. What to do: ${advice}.`);
  }
}
