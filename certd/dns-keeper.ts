// When certd looks after DNS-01: it keeps orders back while the DNS host would refuse the record, and removes TXT records
// that an order left behind, whoever placed it and whatever was killed.
import { diagnose } from "./causes.ts";
import type { ApiResult } from "./cloudflare.ts";
import type { CleanUp } from "./dns-challenge.ts";
import { duration, type Journal } from "./journal.ts";
import { dnsBackoff, passed } from "./schedule.ts";

/** What of DnsChallenge is needed here. */
export interface Challenge {
  readonly leftovers: boolean;
  ready(): Promise<ApiResult<unknown>>;
  tokenMark(): string;
  cleanUp(): Promise<CleanUp>;
}

export interface Surroundings {
  readonly journal: Journal;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Runs something while nobody orders; `undefined`: somebody does. */
  readonly whileIdle: <T>(action: () => Promise<T>) => Promise<T | undefined>;
}

/** Attempts in vain, and when the next one may be made; milliseconds since the epoch. */
interface Wait {
  readonly attempts: number;
  readonly until: number;
}

const NONE: Wait = { attempts: 0, until: 0 };
/** How soon to look again whether somebody else's order has ended. */
const BUSY_PAUSE = 1000;

export class DnsKeeper {
  private readonly challenge: Challenge;
  private readonly around: Surroundings;
  private order = NONE;
  private tidying = NONE;
  private mark: string;

  constructor(challenge: Challenge, around: Surroundings) {
    this.challenge = challenge;
    this.around = around;
    this.mark = challenge.tokenMark();
  }

  /** Before this moment no order is placed; a replaced token ends every wait. */
  get orderAt(): number {
    this.noticeToken();
    return this.order.until;
  }

  private noticeToken(): void {
    if (this.order === NONE && this.tidying === NONE) return;
    const mark = this.challenge.tokenMark();
    if (mark !== this.mark) this.order = this.tidying = NONE;
    this.mark = mark;
  }

  /** Whether an order may be placed. If not, the log says why, and when it is tried again. */
  async admits(stillWorks: string): Promise<boolean> {
    const { journal } = this.around;
    const answer = await this.challenge.ready();
    if (answer.kind === "ok") {
      this.order = NONE;
      journal.settle("dns");
      return true;
    }
    this.order = this.later(this.order, answer);
    const { cause, advice } = diagnose(answer.cause, [], this.around.clock());
    journal.fail("dns", `no challenge can be answered in DNS: ${cause}`, advice);
    journal.say(
      "dns",
      `No order is placed, because its challenge could not be answered in DNS: ${cause}. ${stillWorks} ` +
        `Asked again in ${duration(this.order.until - this.around.clock())}. What to do: ${advice}.`,
    );
    return false;
  }

  /** Removes what was left behind, if it is time; `undefined`: there is nothing to do. */
  tidy(): Promise<void> | undefined {
    if (!this.challenge.leftovers) return undefined;
    this.noticeToken();
    return passed(this.tidying.until, this.around.clock()) ? this.cleanUp() : undefined;
  }

  private async cleanUp(): Promise<void> {
    const { journal, clock, whileIdle } = this.around;
    const done = await whileIdle(() => this.challenge.cleanUp());
    if (done === undefined) {
      this.tidying = { attempts: this.tidying.attempts, until: clock() + BUSY_PAUSE };
      return;
    }
    const { removed, failure } = done;
    if (removed.length > 0)
      journal.log(`TXT records that an order had left behind are removed: ${[...new Set(removed)].join(", ")}.`);
    if (failure === undefined) {
      this.tidying = NONE;
      journal.settle("leftovers");
      return;
    }
    this.tidying = this.later(this.tidying, failure);
    journal.say(
      "leftovers",
      `TXT records of an earlier order may still be there: ${failure.cause}. ` +
        `They do no harm and are looked for again in ${duration(this.tidying.until - clock())}.`,
    );
  }

  private later(before: Wait, failure: Exclude<ApiResult<unknown>, { kind: "ok" }>): Wait {
    this.mark = this.challenge.tokenMark();
    const attempts = before.attempts + 1;
    const asked = failure.kind === "unavailable" ? (failure.retryAfter ?? 0) : 0;
    const wait = Math.max(asked, dnsBackoff(attempts, failure.kind));
    return { attempts, until: this.around.clock() + wait };
  }
}
