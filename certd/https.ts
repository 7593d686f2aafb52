// The HTTPS side: watches that 443 comes to have its certificate, and speaks to Traefik through its watched folder.
import type { Journal } from "./journal.ts";
import { duration } from "./journal.ts";
import type { ProbeResult } from "./probe.ts";
import { passed, reminderBackoff } from "./schedule.ts";
import type { Endpoint } from "./settings.ts";
import type { HttpsLink } from "./source.ts";
import type { TraefikFolder } from "./traefik.ts";
import { covers, type LeafFacts } from "./validate.ts";
import { portName, PortWatch, served, type Watched, type WatchTarget } from "./watch.ts";

export class HttpsSide implements HttpsLink {
  private readonly hostname: string;
  private readonly folder: TraefikFolder;
  private readonly journal: Journal;
  private readonly clock: () => number;
  private readonly watch: PortWatch | undefined;
  private reminders = 0;
  private remindAt = 0;

  /**
   * @param endpoint where HTTPS is; `undefined`: it is not watched
   * @param look one connection, never rejecting
   */
  constructor(
    endpoint: Endpoint | undefined,
    hostname: string,
    folder: TraefikFolder,
    look: (target: WatchTarget) => Promise<ProbeResult>,
    journal: Journal,
    clock: () => number,
  ) {
    this.hostname = hostname;
    this.folder = folder;
    this.journal = journal;
    this.clock = clock;
    if (endpoint === undefined) return;
    const target = { ...endpoint, mode: "implicit" as const };
    this.watch = new PortWatch([target], (leaf) => this.ownCertificate(leaf), look, clock, {
      differs: () => undefined,
      repaired: () => undefined,
      allServed: ([port]) => {
        if (port?.result === undefined || !("leaf" in port.result)) return;
        journal.log(`HTTPS on port ${portName(port)} has its certificate from ${port.result.leaf.issuer}.`);
      },
    });
    this.watch.expect("a certificate of its own");
  }

  /** The watched port, if there is one. */
  get port(): Watched | undefined {
    return this.watch?.ports[0];
  }

  waits(): boolean {
    return this.watch?.allAgree === false;
  }

  epoch(): number {
    return this.folder.epoch();
  }

  setEpoch(epoch: number): void {
    if (epoch > this.folder.epoch()) this.reminders = 0;
    this.folder.setEpoch(epoch);
  }

  hurry(): void {
    this.reminders = 0;
    this.remindAt = this.clock() + 1000;
  }

  /** Called in every pass. */
  tick(caAnswers: boolean): void {
    this.watch?.tick();
    this.remind(caAnswers);
  }

  /** A leaf that HTTPS may keep: for the hostname, valid, and not made by the proxy itself. */
  private ownCertificate(leaf: LeafFacts): boolean {
    const now = this.clock();
    return covers(leaf.names, this.hostname) && !leaf.selfSigned && leaf.notBefore <= now && now < leaf.notAfter;
  }

  /** Traefik orders only at its start and when its configuration changes: while it lacks a certificate, make a change. */
  private remind(caAnswers: boolean): void {
    const { port } = this;
    const now = this.clock();
    if (port?.result === undefined || port.agrees || "error" in port.result || !caAnswers) {
      if (port?.agrees === true) this.reminders = 0;
      if (port?.agrees === true || !caAnswers) this.remindAt = 0;
      return;
    }
    if (this.remindAt === 0) this.remindAt = now + reminderBackoff(0);
    if (!passed(this.remindAt, now)) return;
    const marker = this.folder.nudge();
    this.reminders += 1;
    const wait = reminderBackoff(this.reminders);
    this.remindAt = now + wait;
    this.journal.log(
      `HTTPS on port ${portName(port)} has no certificate for ${this.hostname} yet (it ${served(port)}); ` +
        `Traefik is asked to look again (marker ${marker}), next in ${duration(wait)} if need be.`,
    );
  }
}
