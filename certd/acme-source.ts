// The ACME source: when to order, when to ask the CA, what to remember about it across restarts.
// acme.sh itself is driven by acme.ts; whether a certificate is wanted at all is decided in decide.ts.
import { createHash, createPrivateKey } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AcmeDriver, delegationOf, dnsRoots, type AcmePaths } from "./acme.ts";
import { CaClient } from "./ca.ts";
import { CaContact } from "./ca-contact.ts";
import { diagnose, type Trouble } from "./causes.ts";
import { CloudflareClient } from "./cloudflare.ts";
import {
  nextOrderAt,
  renewalReason,
  type Candidate,
  type Decision,
  type Leaves,
  type ProfileFacts,
  type Suggestion,
} from "./decide.ts";
import { DnsChallenge } from "./dns-challenge.ts";
import { DnsKeeper } from "./dns-keeper.ts";
import type { Origin } from "./generations.ts";
import { day, duration } from "./journal.ts";
import { Duplicates } from "./duplicates.ts";
import { orderNames } from "./names.ts";
import { came, cameTooEarly, leavesOf, missingOf, troubleOf, type OrderRuns, type StoredLeaves } from "./outcome.ts";
import { challengesArrive } from "./route.ts";
import { connectionBackoff, passed } from "./schedule.ts";
import type { AcmeSource as AcmeSettings } from "./settings.ts";
import type { Reading, Source, SourceStatus, Surroundings } from "./source.ts";
import { StateFile } from "./state.ts";
import { Suggestions } from "./suggestions.ts";
import { iso, renewalStatus } from "./status.ts";
import { nextEpoch } from "./traefik.ts";
import { publicKeySha256, type Finding } from "./validate.ts";

/** How long a CA's word that it knows the account outweighs its not knowing the certificate. */
const SUSPICION_PAUSE = 60 * 60 * 1000;
/** How soon to look again whether somebody else's order has ended; milliseconds. */
const BUSY_PAUSE = 1000;

export class AcmeSource implements Source {
  readonly origin: Origin;
  readonly title: string;
  readonly offer = "What acme.sh has stored";
  readonly keyType: string;
  readonly rsaKeyType: string | undefined;
  publicKeySha256: string | undefined;
  private readonly settings: AcmeSettings;
  private readonly names: readonly string[];
  private readonly around: Surroundings;
  private readonly driver: AcmeDriver;
  private readonly ca: CaContact;
  private readonly suggestions: Suggestions;
  /** Only with DNS-01. */
  private readonly dns: DnsKeeper | undefined;

  private state: StateFile;
  private duplicates: Duplicates | undefined;
  private stopping = false;
  private job: Promise<void> | undefined;
  private ordering = false;
  /** Why the order that is running, or the last one, was placed. */
  private orderReason = "";
  private accountDue = true;
  /** SHA-256 of the usable leaves in the store while no order was running; empty if there was none. */
  private stored = { leaf: "", rsa: "" };
  private trusted = { leaf: "", until: 0 };
  /** No order is tried before this moment, which is near: somebody else's runs, or challenges do not arrive. */
  private lookAgainAt = 0;
  private closed = 0;

  constructor(settings: AcmeSettings, names: readonly string[], paths: AcmePaths, around: Surroundings) {
    this.settings = settings;
    this.names = names;
    this.around = around;
    this.origin = { source: "acme", directory: settings.directory };
    this.title = settings.directory;
    this.keyType = settings.keyType;
    this.rsaKeyType = settings.rsaKeyType;
    this.driver = new AcmeDriver(settings, names, paths, (line) => this.journal.log(`acme.sh: ${line}`));
    this.state = this.remembered();
    const client = new CaClient(settings.directory, settings.caBundle);
    // Roots of one's own: a CA of one's own.
    this.ca = new CaContact(client, settings.caBundle === undefined, around, {
      diagnose: (text) => this.diagnose(text),
      stillWorks: () => this.stillWorks(),
    });
    this.suggestions = new Suggestions(client, () => this.state);
    if (settings.challenge === "dns-01") {
      const client = new CloudflareClient(paths.token, () => dnsRoots(settings.caBundle), settings.dns?.accountId);
      const challenge = new DnsChallenge({
        zones: this.driver.zones,
        names: orderNames(names),
        client,
        notes: this.driver.notes,
        tokenFile: paths.token,
        delegation: delegationOf(settings, names),
      });
      const { journal, clock } = around;
      this.dns = new DnsKeeper(challenge, {
        journal,
        clock,
        whileIdle: (action) => this.driver.whileIdle(action),
      });
    }
  }

  private get journal(): Surroundings["journal"] {
    return this.around.journal;
  }

  get forgotten(): string | undefined {
    return this.state.value.forgotten || undefined;
  }

  get suggestion(): Suggestion | undefined {
    return this.suggestions.first;
  }

  get rsaSuggestion(): Suggestion | undefined {
    return this.suggestions.rsa;
  }

  get profile(): ProfileFacts {
    const { seenLeaf, profile } = this.state.value;
    return { wanted: this.settings.profile ?? "", leaf: seenLeaf, named: profile };
  }

  get rsaOwed(): boolean {
    return this.state.value.rsaOwed;
  }

  get clockOffset(): number {
    return this.ca.clock.offset;
  }

  get caAnswers(): boolean {
    return this.ca.answers === true;
  }

  explain({ message }: Finding): string {
    return message;
  }

  private remembered(): StateFile {
    // What failed for want of a disk to write to goes on.
    return new StateFile(join(this.driver.home, "certd.json"), () => this.journal.settle("work"));
  }

  start(): void {
    this.driver.prepare();
    const key = this.driver.givenKey();
    this.publicKeySha256 = key === undefined ? undefined : publicKeySha256(createPrivateKey(key));
    this.state = this.remembered();
    const { keyType, rsaKeyType, profile } = this.settings;
    const wishes = [
      this.names,
      keyType,
      ...(key === undefined ? [] : [this.publicKeySha256]),
      ...(profile === undefined ? [] : [{ profile }]),
      ...(rsaKeyType === undefined ? [] : [{ rsaKeyType }]),
    ];
    const wanted = createHash("sha256").update(JSON.stringify(wishes)).digest("hex");
    this.duplicates = new Duplicates(this.settings, this.names, this.around, this.state);
    const { value } = this.state;
    if (value.wanted !== wanted)
      this.state.update({ wanted, failures: 0, interruptions: 0, ordering: false, rsaOwed: false });
    else if (value.ordering) this.state.update({ ordering: false, interruptions: value.interruptions + 1 });
    // Always there, so that the other side sees the first change as one.
    this.around.https.setEpoch(this.around.https.epoch());
    this.tellHttps();
  }

  read(): Reading {
    // What our own order brings is settled first: what depends on its end must not overtake it.
    if (this.ordering) return { kind: "busy" };
    // The volume was emptied since the start: what we remember of the account went with it.
    if (!existsSync(this.driver.home)) this.start();
    const reading = this.driver.read();
    if (reading.kind === "stored") return { kind: "pair", pair: reading.pair };
    return reading.kind === "empty" ? { kind: "none" } : { kind: "busy" };
  }

  /** A new account URL means that the CA had forgotten the account, whoever registered it again. */
  observe(candidate: Candidate): void {
    if (candidate.kind === "busy") return;
    this.stored = leavesOf(candidate);
    const { leaf } = this.stored;
    this.duplicates?.observe(candidate.kind === "usable" ? [candidate.leaf, candidate.rsa] : []);
    const { accountUrl, seenLeaf, forgotten } = this.state.value;
    const url = leaf === seenLeaf && accountUrl !== "" && !this.accountDue ? accountUrl : this.driver.accountUrl();
    this.accountDue = false;
    if (url === "" || (url === accountUrl && leaf === seenLeaf)) return;
    if (leaf !== "" && leaf !== seenLeaf) {
      // Whoever placed the order: it went well, with what acme.sh's configuration says.
      this.state.update({ profile: this.driver.profile() });
      this.journal.settle("order");
      const lastOrder = { at: this.around.clock(), ok: true, cause: "", advice: "" };
      this.state.update({ failures: 0, interruptions: 0, lastOrder });
    }
    if (accountUrl !== "" && url !== accountUrl) return this.accountForgotten(url, leaf);
    this.state.update({ accountUrl: url, seenLeaf: leaf, forgotten: forgotten === leaf ? forgotten : "" });
    this.tellHttps();
  }

  private accountForgotten(url: string, leaf: string): void {
    const { seenLeaf, epoch } = this.state.value;
    const next = nextEpoch(Math.max(this.around.https.epoch(), epoch), this.around.clock());
    this.state.update({ accountUrl: url, seenLeaf: leaf, forgotten: leaf === seenLeaf ? leaf : "", epoch: next });
    this.journal.log(
      `The CA had forgotten our account and knows it again now (${url}). ` +
        "What is published stays until its successor is here; HTTPS is then told to register anew too.",
    );
    this.tellHttps();
  }

  /** Tells Traefik's follower that the CA forgot the account; not during our own order, which needs Traefik on port 80. */
  private tellHttps(): void {
    const { epoch, forgotten } = this.state.value;
    const { https } = this.around;
    if (forgotten !== "" || epoch <= https.epoch()) return;
    https.setEpoch(epoch);
    this.journal.log(`HTTPS is told that the CA forgot its account (CA epoch ${epoch}).`);
  }

  /** The CA knows what time it is. */
  clockWasSet(): void {
    this.ca.clockWasSet();
    this.lookAgainAt = 0;
  }

  /** One thing at a time talks to the CA: an order if one is due, else a question. */
  work({ order, renewal }: Decision): void {
    if (renewal !== undefined && order === undefined) {
      this.journal.say("renewal", `The renewal is planned for ${day(renewal.at)}: ${renewalReason(renewal)}.`);
    }
    if (this.job !== undefined || this.stopping) return;
    const now = this.around.clock();
    const backedOff = order?.asked === true || now >= this.nextOrder(now);
    this.duplicates?.tell(order, this.stillWorks());
    const held = this.duplicates?.held(order) ?? 0;
    const mayOrder = order !== undefined && backedOff && now >= held && passed(this.waitsUntil, now);
    const job = this.dns?.tidy() ?? (mayOrder ? this.order(order) : this.ca.due ? this.askCa() : undefined);
    this.job = job
      ?.catch((error: unknown) => {
        const { cause, advice } = this.diagnose(error instanceof Error ? error.message : String(error));
        this.journal.fail("work", cause, advice);
        const what = `Something failed: ${cause}. What is published stays; tried again in a moment.`;
        this.journal.say("work", `${what} What to do: ${advice}.`);
        // Not at once: each try begins with a question to the CA.
        this.ca.putOff();
      })
      .finally(() => {
        this.job = undefined;
        this.ordering = false;
        this.around.wake();
      });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    if (this.ordering)
      this.journal.log("certd stops; the running order is given up and will be placed again at the next start.");
    this.driver.kill("SIGTERM");
    setTimeout(() => this.driver.kill("SIGKILL"), 1000).unref();
    await this.job;
  }

  /** No order is tried before this moment. */
  private get waitsUntil(): number {
    return Math.max(this.ca.orderAt, this.dns?.orderAt ?? 0, this.lookAgainAt);
  }

  private lookAgainIn(milliseconds: number): void {
    this.lookAgainAt = this.around.clock() + milliseconds;
  }

  private nextOrder(now: number): number {
    return nextOrderAt(this.state.value, now);
  }

  private diagnose(text: string): Trouble {
    return diagnose(text, this.names, this.around.clock());
  }

  private async order({ why, leaves }: NonNullable<Decision["order"]>): Promise<void> {
    if (this.driver.busy()) return this.lookAgainIn(BUSY_PAUSE);
    const { journal, settings, names, clockOffset } = this;
    // First, since it costs nobody anything.
    const route = await challengesArrive(settings, names, journal, this.stillWorks());
    if (route === "closed") return this.lookAgainIn(connectionBackoff(++this.closed, false));
    // Else the port is held by what is left of an order that was killed; the wrapper of acme.sh ends that.
    if (route === "busy" && this.driver.busy()) return this.lookAgainIn(BUSY_PAUSE);
    this.closed = 0;
    if (!(await this.ca.lookForOrder())) return;
    // By the CA's clock it may not be due at all: the next pass decides.
    if (!this.ca.clock.near(clockOffset)) return;
    if (this.dns !== undefined && !(await this.dns.admits(this.stillWorks()))) return;
    if (this.stopping) return;
    this.ordering = true;
    this.orderReason = why;
    this.around.taken();
    const what = leaves === "rsa" ? "An RSA certificate" : "A certificate";
    journal.log(`${what} is ordered for ${orderNames(names).join(", ")}: ${why}.`);
    const startedAt = this.around.clock();
    const before = this.stored;
    this.state.update({ ordering: true, lastStartAt: startedAt });
    const runs = await this.runOrders(leaves);
    this.ordering = false;
    // Given up on request: neither a failure nor an interruption.
    if (this.stopping) return this.state.update({ ordering: false });
    this.settleOrder(runs, startedAt, before);
  }

  /** One certificate after the other; the RSA one only if the first one came. */
  private async runOrders(leaves: Leaves): Promise<OrderRuns> {
    const leaf = leaves === "rsa" ? undefined : await this.driver.order();
    if (this.rsaKeyType === undefined || leaf?.ok === false || this.stopping) return { leaf };
    // Also if certd ends now: a later order is then for this one alone.
    this.state.update({ rsaOwed: true });
    if (leaf !== undefined) this.journal.log("An RSA certificate is ordered beside it.");
    return { leaf, rsa: await this.driver.orderRsa() };
  }

  private settleOrder(runs: OrderRuns, startedAt: number, before: StoredLeaves): void {
    const now = this.around.clock();
    const candidate = this.around.candidate();
    const after = leavesOf(candidate);
    if (came("rsa", before, after)) this.state.update({ rsaOwed: false });
    const missing = missingOf(runs, before, after);
    // What is stored counts, not the exit code.
    if (missing === undefined) {
      const lastOrder = { at: now, ok: true, cause: "", advice: "" };
      this.state.update({ ordering: false, failures: 0, interruptions: 0, forgotten: "", lastOrder });
      this.journal.settle("order");
      this.journal.log(`The order succeeded after ${((now - startedAt) / 1000).toFixed(1)} s.`);
      this.tellHttps();
      this.ca.issued();
      return;
    }
    if (cameTooEarly(missing, runs, candidate)) {
      const lastOrder = { at: now, ok: true, cause: "", advice: "" };
      const rsa = runs.rsa?.ok === true ? { rsaOwed: false } : {};
      this.state.update({ ordering: false, failures: 0, interruptions: 0, lastOrder, ...rsa });
      this.journal.log(
        "The order succeeded; by this machine's clock the certificate is not valid yet. It is taken up when it is, and " +
          `none is ordered before. ${this.stillWorks()} What to do: set the clock of the Docker host.`,
      );
      return;
    }
    // Seen here: that the first one came does not undo the failure of the second.
    if (came("leaf", before, after))
      this.state.update({ seenLeaf: after.leaf, profile: this.driver.profile(), forgotten: "" });
    const { cause, advice, retryAt } = troubleOf(missing, runs, candidate, (text) => this.diagnose(text));
    const failures = this.state.value.failures + 1;
    const lastOrder = { at: now, ok: false, cause, advice };
    const attempts = { failures, lastFailureAt: now, retryAt: retryAt ?? 0 };
    this.state.update({ ordering: false, interruptions: 0, ...attempts, lastOrder });
    this.journal.fail("order", `the order failed: ${cause}`, advice);
    const next = this.nextOrder(now);
    this.journal.log(
      `The order failed: ${cause}. ${this.stillWorks()} Next order in ${duration(next - now)}, at ${day(next)} ` +
        `(failure ${failures} in a row). What to do: ${advice}.`,
    );
  }

  private stillWorks(): string {
    const published = this.around.published();
    if (published === undefined) return "Nothing is published.";
    return published.meta.source === "placeholder"
      ? "Services run on the placeholder."
      : `The published certificate stays in service until ${day(published.leaf.notAfter)}.`;
  }

  /** Asks the CA whether it is there and still knows the certificate in store. */
  private async askCa(): Promise<void> {
    const directory = await this.ca.look();
    if (directory === undefined) return;
    const candidate = this.around.candidate();
    if (candidate.kind !== "usable" || this.driver.busy()) return;
    const { leaf } = candidate;
    const now = this.around.clock();
    if (this.state.value.forgotten === leaf.sha256) return;
    if (this.trusted.leaf === leaf.sha256 && now < this.trusted.until) return;
    const info = await this.suggestions.ask(directory, candidate);
    if (this.stopping) return;
    if (info.kind === "known") this.journal.settle("account");
    if (info.kind !== "unknown") return this.ca.told(info.kind === "unclear", info.retryAfter);
    this.journal.log("The CA does not know the certificate in service; asking whether it knows the account.");
    const result = await this.driver.register();
    if (this.stopping) return;
    const url = this.driver.accountUrl();
    if (result.ok) this.journal.settle("account");
    if (result.ok && url !== "" && (result.registeredAnew || url !== this.state.value.accountUrl)) {
      return this.accountForgotten(url, leaf.sha256);
    }
    if (!result.ok) {
      const { cause, advice } = this.diagnose(result.output);
      this.journal.fail("account", cause, advice);
      const what = `The account could not be asked for: ${cause}. Nothing is changed; the CA is asked again.`;
      return this.journal.say("account", `${what} What to do: ${advice}.`);
    }
    this.trusted = { leaf: leaf.sha256, until: now + SUSPICION_PAUSE };
    this.journal.log("The CA knows the account, so the certificate stays; renewal goes on as planned.");
  }

  status({ order, renewal }: Decision): SourceStatus {
    const now = this.around.clock();
    const { lastOrder, failures } = this.state.value;
    return {
      order: {
        running: this.ordering,
        reason: this.ordering ? this.orderReason : (order?.why ?? null),
        last: lastOrder && { ...lastOrder, at: iso(lastOrder.at) },
        failures,
        nextAt:
          order === undefined
            ? null
            : iso(Math.max(this.nextOrder(now), this.waitsUntil, this.duplicates?.held(order) ?? 0, now)),
        renewal: renewal === undefined ? null : renewalStatus(renewal),
      },
      budget: this.duplicates?.status(order) ?? null,
      ca: this.ca.status(this.settings.directory),
    };
  }
}
