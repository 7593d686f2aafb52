// Whether the CA is there and what time it has; when to look again, and from when on an order may try it.
import type { CaClient, Directory, DirectoryAnswer } from "./ca.ts";
import { CaClock } from "./ca-clock.ts";
import type { Trouble } from "./causes.ts";
import { capital } from "./journal.ts";
import { caPollInterval, connectionBackoff, passed, renewalInfoInterval } from "./schedule.ts";
import type { Surroundings } from "./source.ts";
import { iso, type Status } from "./status.ts";

/** When the CA is asked again after it issued a certificate, if it is a public one; milliseconds. */
const FIRST_POLL = 60 * 1000;
/** When a CA of one's own is asked again while somebody waits for it; milliseconds. */
const SOON = 5 * 1000;

/** How what goes wrong is told. */
export interface Wording {
  readonly diagnose: (text: string) => Trouble;
  /** A sentence on what is in service all the same. */
  readonly stillWorks: () => string;
}

export class CaContact {
  /** The CA's clock beside ours. */
  readonly clock: CaClock;
  private readonly client: Pick<CaClient, "directory">;
  /** One that many use, and that is asked seldom. */
  private readonly isPublic: boolean;
  private readonly around: Pick<Surroundings, "clock" | "https" | "journal">;
  private readonly wording: Wording;
  private there: boolean | undefined;
  private checkedAt = 0;
  private lookAt = 0;
  /** Somebody waits for the CA: it is asked again soon, whatever it says about a certificate. */
  private awaited = false;
  private attempts = 0;
  private tryAt = 0;

  constructor(client: CaContact["client"], isPublic: boolean, around: CaContact["around"], wording: Wording) {
    this.client = client;
    this.isPublic = isPublic;
    this.around = around;
    this.wording = wording;
    this.clock = new CaClock(around.journal);
  }

  /** Whether it answered the last time; `undefined` before the first. */
  get answers(): boolean | undefined {
    return this.there;
  }

  /** Before this moment no order is tried, milliseconds since the epoch. */
  get orderAt(): number {
    return this.tryAt;
  }

  /** Whether it is time for a look. */
  get due(): boolean {
    return passed(this.lookAt, this.around.clock());
  }

  /** Moments that were to be waited for mean nothing any more. */
  clockWasSet(): void {
    this.lookAt = 0;
    this.tryAt = 0;
  }

  /** Looks whether it is there, and plans the next look. `undefined`: it is not. */
  async look(): Promise<Directory | undefined> {
    const answer = await this.client.directory();
    const directory = this.heard(answer);
    // While HTTPS waits for its certificate the CA's return matters at once.
    this.awaited = !this.isPublic && (directory === undefined || this.around.https.waits());
    this.lookAgainAfter(this.awaited ? SOON : caPollInterval(this.isPublic, false, undefined));
    return directory;
  }

  /** Looks before an order, and puts the order off if the CA is not there. */
  async lookForOrder(): Promise<boolean> {
    const answer = await this.client.directory();
    if (this.heard(answer) !== undefined) {
      this.attempts = 0;
      return true;
    }
    this.putOff(answer.kind === "silent" ? answer.retryAfter : undefined);
    return false;
  }

  /**
   * The CA is not there, or something that an order needs: not a failed order, tried again soon.
   * @param retryAfter how long the CA wants to be left alone, milliseconds
   */
  putOff(retryAfter?: number): void {
    this.attempts += 1;
    const wait = connectionBackoff(this.attempts, this.isPublic);
    const asked = retryAfter === undefined ? 0 : renewalInfoInterval(retryAfter);
    this.tryAt = this.around.clock() + Math.max(wait, asked);
  }

  /** It has issued a certificate, of which it can tell something before long. */
  issued(): void {
    this.lookAgainAfter(this.isPublic ? FIRST_POLL : caPollInterval(false, false, undefined));
  }

  /**
   * It was asked about a certificate, and is left alone for as long as it wants.
   * @param unclear it gave no usable answer
   * @param retryAfter milliseconds
   */
  told(unclear: boolean, retryAfter: number | undefined): void {
    if (!this.awaited) this.lookAgainAfter(caPollInterval(this.isPublic, unclear, retryAfter));
  }

  status(directory: string): Status["ca"] {
    return {
      directory,
      answers: this.there ?? null,
      // By the CA's clock, so that whoever compares it with the time need not know that ours is wrong.
      checkedAt: this.checkedAt === 0 ? null : iso(this.checkedAt + this.clock.offset),
    };
  }

  private lookAgainAfter(milliseconds: number): void {
    this.lookAt = this.around.clock() + milliseconds;
  }

  /** Takes its answer, or its silence, and tells of a change. */
  private heard(answer: DirectoryAnswer): Directory | undefined {
    const { journal, https, clock } = this.around;
    const before = this.there;
    this.there = answer.kind === "answers";
    this.checkedAt = clock();
    if (answer.kind === "answers" || answer.time !== undefined) this.clock.compare(this.checkedAt, answer.time);
    if (answer.kind === "answers") {
      journal.settle("ca");
      if (before === false) {
        journal.log("The CA answers again.");
        // Whoever waits for it, here or at HTTPS, waits no longer.
        this.tryAt = 0;
        https.hurry();
      }
      return answer.directory;
    }
    const { cause, advice } = this.wording.diagnose(answer.cause);
    journal.fail("ca", cause, advice);
    const what = `${capital(cause)}. ${this.wording.stillWorks()} It is tried again until it answers.`;
    journal.say("ca", `${what} What to do: ${advice}.`);
    return undefined;
  }
}
