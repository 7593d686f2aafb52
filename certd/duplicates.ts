// certd's side of Let's Encrypt's limit on duplicate certificates: counts what is issued, here and to HTTPS, and holds back
// orders that can wait once little is left. The arithmetic is budget.ts's.
import { budget, counts, hasLimit, heldUntil, remember, RESERVE, type Budget } from "./budget.ts";
import type { Decision } from "./decide.ts";
import { day } from "./journal.ts";
import { orderNames } from "./names.ts";
import type { AcmeSource } from "./settings.ts";
import type { Surroundings } from "./source.ts";
import type { StateFile } from "./state.ts";
import { iso, type Status } from "./status.ts";
import type { LeafFacts } from "./validate.ts";

export class Duplicates {
  private readonly limited: boolean;
  /** Names as they are ordered. */
  private readonly names: readonly string[];
  private readonly withRsa: boolean;
  private readonly around: Pick<Surroundings, "clock" | "generations" | "https" | "journal">;
  private readonly state: StateFile;

  constructor(
    { directory, rsaKeyType }: Pick<AcmeSource, "directory" | "rsaKeyType">,
    names: readonly string[],
    around: Duplicates["around"],
    state: StateFile,
  ) {
    this.limited = hasLimit(directory);
    this.names = orderNames(names);
    this.withRsa = rsaKeyType !== undefined;
    this.around = around;
    this.state = state;
    // What an earlier certd, or one before a restored volume, has ordered.
    for (const { meta, leaf, rsa } of around.generations())
      if (meta.directory === directory) [leaf, rsa].forEach((one) => this.count(one));
  }

  /** `undefined` where no limit applies. */
  private get left(): Budget | undefined {
    return this.limited ? budget(this.state.value.issued, this.names, this.around.clock()) : undefined;
  }

  private count(leaf: LeafFacts | undefined): void {
    if (!this.limited || leaf === undefined || !counts(leaf)) return;
    const { issued } = this.state.value;
    const more = remember(issued, leaf, this.around.clock());
    if (more !== issued) this.state.update({ issued: more });
  }

  /** @param stored what acme.sh has; called in every pass */
  observe(stored: readonly (LeafFacts | undefined)[]): void {
    for (const one of [...stored, this.around.https.served()]) this.count(one);
  }

  /** Until when an order has to wait, milliseconds since the epoch; 0: it has not. */
  held(order: Decision["order"]): number {
    const { left } = this;
    if (order === undefined || order.urgent || order.asked || left === undefined) return 0;
    return heldUntil(left, this.withRsa && order.leaves === "all" ? 2 : 1) ?? 0;
  }

  /** @param stillWorks a sentence on what is in service */
  tell(order: Decision["order"], stillWorks: string): void {
    const { journal } = this.around;
    const until = this.held(order);
    if (order === undefined || until === 0) return journal.settle("budget");
    journal.say(
      "budget",
      `An order is wanted (${order.why}) and held back until ${day(until)}: Let's Encrypt's limit leaves ` +
        `${this.left?.remaining} of ${this.left?.limit} for exactly ${this.names.join(", ")} in 7 days, and the last ` +
        `${RESERVE} are kept for what cannot wait. ${stillWorks} \`vectis certs renew --yes\` orders all the same.`,
    );
  }

  status(order: Decision["order"]): Status["budget"] {
    const { left } = this;
    if (left === undefined) return null;
    const held = this.held(order);
    return {
      names: this.names,
      limit: left.limit,
      remaining: left.remaining,
      nextAt: left.nextAt === undefined ? null : iso(left.nextAt),
      heldUntil: held === 0 ? null : iso(held),
    };
  }
}
