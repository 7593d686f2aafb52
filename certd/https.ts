// The HTTPS side: keeps Traefik's watched folder as it has to be, watches that 443 comes to serve its certificate, and
// moves Traefik to look again while it does not.
import type { Generation, Origin } from "./generations.ts";
import { duration, type Journal } from "./journal.ts";
import { probe, type ProbeResult } from "./probe.ts";
import { passed, reminderBackoff, rerollBackoff } from "./schedule.ts";
import type { Endpoint, Settings } from "./settings.ts";
import type { HttpsLink } from "./source.ts";
import { nextEpoch, type TraefikFolder } from "./traefik.ts";
import { covers, leafFacts, type LeafFacts } from "./validate.ts";
import { portName, PortWatch, served, type Watched, type WatchTarget } from "./watch.ts";

/** Choices that Traefik gets between its own certificate and the shared one before it is started without its own. */
const MOST_CHOICES = 12;

/** Whether a leaf serves a name now, and was not made by the proxy itself. */
function serves(leaf: LeafFacts, name: string, now: number): boolean {
  return covers(leaf.names, name) && !leaf.selfSigned && leaf.notBefore <= now && now < leaf.notAfter;
}

/** Whether HTTPS has a certificate for a name; `true` where nobody knows. Never rejects. */
export async function certified(endpoint: Endpoint | undefined, name: string, now: number): Promise<boolean> {
  if (endpoint === undefined) return true;
  const result = await probe({ ...endpoint, mode: "implicit" }, name);
  return "error" in result || serves(result.leaf, name, now);
}

export interface HttpsArgs {
  readonly settings: Pick<Settings, "names" | "https" | "traefik">;
  readonly folder: TraefikFolder;
  /** One connection, never rejecting. */
  readonly look: (target: WatchTarget) => Promise<ProbeResult>;
  readonly journal: Journal;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export class HttpsSide implements HttpsLink {
  private readonly hostname: string;
  private readonly traefik: Settings["traefik"];
  private readonly folder: TraefikFolder;
  private readonly journal: Journal;
  private readonly clock: () => number;
  private readonly watch: PortWatch | undefined;
  private reminders = 0;
  private remindAt = 0;
  /** SHA-256 of the leaf in certificate.yml; empty if there is none. */
  private sharedLeaf = "";

  constructor({ settings, folder, look, journal, clock }: HttpsArgs) {
    this.hostname = settings.names[0] ?? "";
    this.traefik = settings.traefik;
    this.folder = folder;
    this.journal = journal;
    this.clock = clock;
    if (settings.https === undefined) return;
    const target = { ...settings.https, mode: "implicit" as const };
    this.watch = new PortWatch([target], (leaf) => this.right(leaf), look, clock, {
      differs: () => undefined,
      repaired: () => undefined,
      allServed: ([port]) => {
        if (port?.result === undefined || !("leaf" in port.result)) return;
        journal.log(`HTTPS on port ${portName(port)} has its certificate from ${port.result.leaf.issuer}.`);
      },
    });
  }

  /** The watched port, if there is one. */
  get port(): Watched | undefined {
    return this.watch?.ports[0];
  }

  /** Whether HTTPS is to serve what is published. */
  get shares(): boolean {
    return this.traefik?.certificate === "shared";
  }

  waits(): boolean {
    return this.watch?.allAgree === false;
  }

  served(): LeafFacts | undefined {
    const result = this.port?.result;
    return result !== undefined && "leaf" in result ? result.leaf : undefined;
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

  /**
   * Called in every pass.
   * @param origin where certificates are to come from now
   */
  tick(published: Generation | undefined, origin: Origin, caAnswers: boolean): void {
    this.keepFolder(published, origin);
    this.watch?.expect(this.shares ? `shared ${this.sharedLeaf}` : `own, not ${this.sharedLeaf}`);
    this.watch?.tick();
    this.remind(caAnswers);
  }

  /** Writes what Traefik is to read. Nothing is taken from it before its successor is served. */
  private keepFolder(published: Generation | undefined, origin: Origin): void {
    if (this.traefik === undefined) return;
    this.folder.writeRoutes(this.traefik.routes);
    if (this.shares) {
      // A generation of another source, left from before a switch, is not shared: HTTPS keeps what it has until then.
      const source = published?.meta.source;
      if (published !== undefined && (source === origin.source || source === "placeholder"))
        this.folder.share({ pair: published.pair, hostname: this.defaultFor(published.leaf), orders: false });
    } else if (this.port?.agrees === true && this.sharedLeaf !== "") {
      this.folder.unshare();
      this.journal.log("HTTPS has a certificate of its own; the shared one is taken away from it.");
    }
    const pair = this.folder.shared();
    const leaf = pair && leafFacts(pair.fullchain);
    this.sharedLeaf = leaf?.sha256 ?? "";
    if (!this.shares && pair !== undefined && leaf !== undefined)
      this.folder.share({ pair, hostname: this.hostname, orders: true });
  }

  private defaultFor(leaf: LeafFacts): string | undefined {
    return leaf.names.includes(this.hostname) ? this.hostname : undefined;
  }

  private right(leaf: LeafFacts): boolean {
    if (this.shares && this.sharedLeaf !== "") return leaf.sha256 === this.sharedLeaf;
    return this.ownCertificate(leaf) && leaf.sha256 !== this.sharedLeaf;
  }

  /** A leaf that HTTPS may keep: for the hostname, valid, and not made by the proxy itself. */
  private ownCertificate(leaf: LeafFacts): boolean {
    return serves(leaf, this.hostname, this.clock());
  }

  /**
   * Traefik orders only at its start and when its configuration changes, and only then chooses between its own and the
   * shared certificate: while it serves the wrong one, make a change.
   */
  private remind(caAnswers: boolean): void {
    const { port } = this;
    const now = this.clock();
    const choice = this.sharedLeaf !== "";
    if (port?.result === undefined || port.agrees || "error" in port.result || !(caAnswers || choice)) {
      if (port?.agrees === true) this.reminders = 0;
      if (port?.agrees === true || !(caAnswers || choice)) this.remindAt = 0;
      return;
    }
    const backoff = choice ? rerollBackoff : reminderBackoff;
    if (this.remindAt === 0) this.remindAt = now + backoff(0);
    if (!passed(this.remindAt, now)) return;
    this.reminders += 1;
    const wait = backoff(this.reminders);
    this.remindAt = now + wait;
    if (choice && this.shares && this.reminders === MOST_CHOICES) return this.startAfresh(port);
    const marker = this.folder.nudge();
    if (choice && this.reminders > 1) return;
    this.journal.log(
      `HTTPS on port ${portName(port)} has no${choice ? "t the right" : ""} certificate for ${this.hostname} yet (it ${served(port)}); ` +
        `Traefik is asked to look again (marker ${marker}), next in ${duration(wait)} if need be.`,
    );
  }

  /** The last resort: a certificate for a wildcard never wins against one that names the host. */
  private startAfresh(port: Watched): void {
    this.folder.setEpoch(nextEpoch(this.folder.epoch(), this.clock()));
    this.journal.log(
      `HTTPS on port ${portName(port)} still ${served(port)} and not the published one; ` +
        "Traefik is started afresh without the certificates of its own.",
    );
  }
}
