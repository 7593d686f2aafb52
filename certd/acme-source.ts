// The ACME source: when to order, when to ask the CA, what to remember about it across restarts.
// acme.sh itself is driven by acme.ts; whether a certificate is wanted at all is decided in decide.ts.
import { createHash, createPrivateKey } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AcmeDriver, dnsRoots, type AcmePaths, type RunResult } from "./acme.ts";
import { CaClient, type DirectoryAnswer, type RenewalInfo } from "./ca.ts";
import { diagnose, type Trouble } from "./causes.ts";
import { CloudflareClient } from "./cloudflare.ts";
import {
  nextOrderAt,
  renewalReason,
  type Candidate,
  type Decision,
  type ProfileFacts,
  type Renewal,
  type Suggestion,
} from "./decide.ts";
import { DnsChallenge } from "./dns-challenge.ts";
import { DnsKeeper } from "./dns-keeper.ts";
import type { Origin } from "./generations.ts";
import { capital, day, duration } from "./journal.ts";
import { Duplicates } from "./duplicates.ts";
import { orderNames } from "./names.ts";
import { tryRoute } from "./route.ts";
import { caPollInterval, connectionBackoff, passed, renewalInfoInterval } from "./schedule.ts";
import type { AcmeSource as AcmeSettings } from "./settings.ts";
import type { Reading, Source, SourceStatus, Surroundings } from "./source.ts";
import { StateFile } from "./state.ts";
import { iso, type RenewalStatus } from "./status.ts";
import { publicKeySha256, type Finding } from "./validate.ts";

/** How long a CA's word that it knows the account outweighs its not knowing the certificate. */
const SUSPICION_PAUSE = 60 * 60 * 1000;
/** How far this clock may be from the CA's before it is worth a word. */
const CLOCK_TOLERANCE = 5 * 60 * 1000;
/** When a certificate's window is asked for after it was issued by a public CA. */
const FIRST_POLL = 60 * 1000;

export class AcmeSource implements Source {
  readonly origin: Origin;
  readonly title: string;
  readonly offer = "What acme.sh has stored";
  readonly keyType: string;
  publicKeySha256: string | undefined;
  private readonly settings: AcmeSettings;
  private readonly names: readonly string[];
  private readonly around: Surroundings;
  private readonly driver: AcmeDriver;
  private readonly ca: CaClient;
  /** Only with DNS-01. */
  private readonly dns: DnsKeeper | undefined;
  private readonly publicCa: boolean;

  private state: StateFile;
  private duplicates: Duplicates | undefined;
  private stopping = false;
  private job: Promise<void> | undefined;
  private ordering = false;
  private accountDue = true;
  /** SHA-256 of the usable leaf in the store while no order was running; empty if there was none. */
  private stored = "";
  private answers: boolean | undefined;
  private checkedAt = 0;
  private pollAt = 0;
  /** Certificates carry the CA's time: by a clock of ours that is far ahead, each new one would be due at once. */
  clockOffset = 0;
  private connectionAttempts = 0;
  private connectAt = 0;
  private trusted = { leaf: "", until: 0 };

  constructor(settings: AcmeSettings, names: readonly string[], paths: AcmePaths, around: Surroundings) {
    this.settings = settings;
    this.names = names;
    this.around = around;
    this.origin = { source: "acme", directory: settings.directory };
    this.title = settings.directory;
    this.keyType = settings.keyType;
    // Roots of one's own: a CA of one's own.
    this.publicCa = settings.caBundle === undefined;
    this.driver = new AcmeDriver(settings, names, paths, (line) => this.journal.log(`acme.sh: ${line}`));
    this.state = this.remembered();
    this.ca = new CaClient(settings.directory, settings.caBundle);
    if (settings.challenge === "dns-01") {
      const client = new CloudflareClient(paths.token, () => dnsRoots(settings.caBundle), settings.dns?.accountId);
      const challenge = new DnsChallenge(this.driver.zones, names, client, this.driver.notes, paths.token);
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
    return this.state.value.suggestion ?? undefined;
  }

  get profile(): ProfileFacts {
    const { seenLeaf, profile } = this.state.value;
    return { wanted: this.settings.profile ?? "", leaf: seenLeaf, named: profile };
  }

  get caAnswers(): boolean {
    return this.answers === true;
  }

  explain({ message }: Finding): string {
    return message;
  }

  private remembered(): StateFile {
    return new StateFile(join(this.driver.home, "certd.json"));
  }

  start(): void {
    this.driver.prepare();
    const key = this.driver.givenKey();
    this.publicKeySha256 = key === undefined ? undefined : publicKeySha256(createPrivateKey(key));
    this.state = this.remembered();
    const { keyType, profile } = this.settings;
    const wishes = [
      this.names,
      keyType,
      ...(key === undefined ? [] : [this.publicKeySha256]),
      ...(profile === undefined ? [] : [{ profile }]),
    ];
    const wanted = createHash("sha256").update(JSON.stringify(wishes)).digest("hex");
    this.duplicates = new Duplicates(this.settings.directory, this.names, this.around, this.state);
    const { value } = this.state;
    if (value.wanted !== wanted) this.state.update({ wanted, failures: 0, interruptions: 0, ordering: false });
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
    const leaf = candidate.kind === "usable" ? candidate.leaf.sha256 : "";
    this.stored = leaf;
    this.duplicates?.observe(candidate.kind === "usable" ? candidate.leaf : undefined);
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
    const next = Math.max(this.around.https.epoch(), epoch) + 1;
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
    const job =
      this.dns?.tidy() ?? (mayOrder ? this.order(order.why) : passed(this.pollAt, now) ? this.askCa() : undefined);
    this.job = job
      ?.catch((error: unknown) => {
        const { cause, advice } = this.diagnose(error instanceof Error ? error.message : String(error));
        this.journal.fail("work", cause, advice);
        const what = `Something failed: ${cause}. What is published stays; tried again in a moment.`;
        this.journal.say("work", `${what} What to do: ${advice}.`);
        // Not at once: each try begins with a question to the CA.
        this.postpone(undefined);
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

  /** The CA or the DNS host is not asked before this moment. */
  private get waitsUntil(): number {
    return Math.max(this.connectAt, this.dns?.orderAt ?? 0);
  }

  private nextOrder(now: number): number {
    return nextOrderAt(this.state.value, now);
  }

  private diagnose(text: string): Trouble {
    return diagnose(text, this.names, this.around.clock());
  }

  /** Takes the answer to a question for the directory; whether the CA is there. */
  private heard(answer: DirectoryAnswer): answer is DirectoryAnswer & { kind: "answers" } {
    const before = this.answers;
    this.answers = answer.kind === "answers";
    this.checkedAt = this.around.clock();
    if (answer.kind === "answers") {
      this.compareClocks(answer.time);
      this.journal.settle("ca");
      if (before === false) {
        this.journal.log("The CA answers again.");
        // Whoever waits for it, here or at HTTPS, waits no longer.
        this.connectAt = 0;
        this.around.https.hurry();
      }
      return true;
    }
    const { cause, advice } = this.diagnose(answer.cause);
    this.journal.fail("ca", cause, advice);
    this.journal.say(
      "ca",
      `${capital(cause)}. ${this.stillWorks()} It is tried again until it answers. What to do: ${advice}.`,
    );
    return false;
  }

  /** A clock that is wrong makes good certificates look expired or not yet valid, here and for others. */
  private compareClocks(time: number | undefined): void {
    const off = time === undefined ? 0 : this.checkedAt - time;
    this.clockOffset = Math.abs(off) <= CLOCK_TOLERANCE ? 0 : -off;
    if (this.clockOffset === 0) return this.journal.settle("clock");
    const cause = `this machine's clock is ${duration(Math.abs(off))} ${off > 0 ? "ahead of" : "behind"} the CA's`;
    const advice = "set the clock of the Docker host, and keep it right by NTP (`timedatectl set-ntp true`)";
    this.journal.fail("clock", cause, advice);
    // Without the number, which changes with every look.
    const what = `This machine's clock is ${off > 0 ? "ahead of" : "behind"} the CA's by more than 5 minutes`;
    this.journal.say("clock", `${what}: certificates may look expired, or not valid yet. What to do: ${advice}.`);
  }

  private async order(why: string): Promise<void> {
    if (this.driver.busy()) return;
    const { journal, settings, names, clockOffset } = this;
    const answer = await this.ca.directory();
    if (!this.heard(answer)) return this.postpone(answer.kind === "silent" ? answer.retryAfter : undefined);
    // By the CA's clock it may not be due at all: the next pass decides.
    if (Math.abs(this.clockOffset - clockOffset) > CLOCK_TOLERANCE) return;
    if (settings.challengeRoute !== undefined) {
      const route = await tryRoute(settings.challengeRoute, names, settings.httpPort);
      if (route.kind === "busy") return;
      if (route.kind === "closed") {
        const { host, port } = settings.challengeRoute;
        const advice = `see whether ${host} runs and what its log says (\`docker ps\`, \`docker logs\`)`;
        journal.fail("route", `challenges do not arrive: ${route.cause}`, advice);
        journal.say(
          "route",
          `Challenges would not arrive: ${host}:${port} does not pass them on (${route.cause}). ${this.stillWorks()} ` +
            "No order is placed until they do, because each failure counts at the CA; tried again every few seconds. " +
            `What to do: ${advice}.`,
        );
        return this.postpone(undefined);
      }
      journal.settle("route");
    }
    this.connectionAttempts = 0;
    if (this.dns !== undefined && !(await this.dns.admits(this.stillWorks()))) return;
    if (this.stopping) return;
    this.ordering = true;
    this.around.taken();
    journal.log(`A certificate is ordered for ${orderNames(names).join(", ")}: ${why}.`);
    const startedAt = this.around.clock();
    const before = this.stored;
    this.state.update({ ordering: true, lastStartAt: startedAt });
    const result = await this.driver.order();
    this.ordering = false;
    // Given up on request: neither a failure nor an interruption.
    if (this.stopping) return this.state.update({ ordering: false });
    this.settleOrder(result, startedAt, before);
  }

  /** The CA or the way to it is not there: not a failed order, tried again soon. */
  private postpone(retryAfter: number | undefined): void {
    this.connectionAttempts += 1;
    const wait = connectionBackoff(this.connectionAttempts, this.publicCa);
    const asked = retryAfter === undefined ? 0 : renewalInfoInterval(retryAfter);
    this.connectAt = this.around.clock() + Math.max(wait, asked);
  }

  private settleOrder(result: RunResult, startedAt: number, before: string): void {
    const now = this.around.clock();
    this.journal.settle("work");
    const candidate = this.around.candidate();
    const fresh = candidate.kind === "usable" && candidate.leaf.sha256 !== before;
    // What is stored counts, not the exit code.
    if (fresh) {
      const lastOrder = { at: now, ok: true, cause: "", advice: "" };
      this.state.update({ ordering: false, failures: 0, interruptions: 0, forgotten: "", lastOrder });
      this.journal.settle("order");
      this.journal.log(`The order succeeded after ${((now - startedAt) / 1000).toFixed(1)} s.`);
      this.tellHttps();
      this.pollAt = now + (this.publicCa ? FIRST_POLL : caPollInterval(false, false, undefined));
      return;
    }
    const refused = candidate.kind === "refused" ? candidate.findings.map(({ message }) => message).join(" ") : "";
    const { cause, advice, retryAt }: Trouble = result.ok
      ? {
          code: "unknown",
          cause: `the result cannot be used: ${refused || "it is what was there before"}`,
          advice: "read the lines above this one in the log",
        }
      : this.diagnose(result.output);
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
    const answer = await this.ca.directory();
    const there = this.heard(answer);
    // While HTTPS waits for its certificate the CA's return matters at once.
    const soon = !this.publicCa && (!there || this.around.https.waits());
    this.pollAt = this.around.clock() + (soon ? 5000 : caPollInterval(this.publicCa, false, undefined));
    if (!there) return;
    const candidate = this.around.candidate();
    if (candidate.kind !== "usable" || this.driver.busy()) return;
    const { leaf } = candidate;
    const now = this.around.clock();
    if (this.state.value.forgotten === leaf.sha256) return;
    if (this.trusted.leaf === leaf.sha256 && now < this.trusted.until) return;
    const info = await this.ca.renewalInfo(answer.directory, leaf);
    if (this.stopping) return;
    if (info.kind !== "unknown") return this.heed(info, leaf.sha256, soon);
    this.journal.log("The CA does not know the certificate in service; asking whether it knows the account.");
    const result = await this.driver.register();
    if (this.stopping) return;
    const url = this.driver.accountUrl();
    if (result.ok && url !== "" && (result.registeredAnew || url !== this.state.value.accountUrl)) {
      return this.accountForgotten(url, leaf.sha256);
    }
    if (!result.ok) {
      const { cause, advice } = this.diagnose(result.output);
      this.journal.fail("account", cause, advice);
      const what = `The account could not be asked for: ${cause}. Nothing is changed; the CA is asked again.`;
      return this.journal.say("account", `${what} What to do: ${advice}.`);
    }
    this.journal.settle("account");
    this.trusted = { leaf: leaf.sha256, until: now + SUSPICION_PAUSE };
    this.journal.log("The CA knows the account, so the certificate stays; renewal goes on as planned.");
  }

  /** Takes what the CA says about a certificate, and leaves it alone for as long as it wants. */
  private heed(info: Exclude<RenewalInfo, { kind: "unknown" }>, leaf: string, soon: boolean): void {
    const { retryAfter } = info;
    if (!soon) {
      this.pollAt = this.around.clock() + caPollInterval(this.publicCa, info.kind === "unclear", retryAfter);
    }
    if (info.kind === "unclear") return;
    const { window, explanationUrl = "" } = info;
    this.state.update({ suggestion: window === undefined ? null : { leaf, window, explanationUrl } });
  }

  status({ order, renewal }: Decision): SourceStatus {
    const now = this.around.clock();
    const { lastOrder, failures } = this.state.value;
    return {
      order: {
        running: this.ordering,
        reason: order?.why ?? null,
        last: lastOrder && { ...lastOrder, at: iso(lastOrder.at) },
        failures,
        nextAt:
          order === undefined
            ? null
            : iso(Math.max(this.nextOrder(now), this.waitsUntil, this.duplicates?.held(order) ?? 0, now)),
        renewal: renewal === undefined ? null : renewalStatus(renewal),
      },
      budget: this.duplicates?.status(order) ?? null,
      ca: {
        directory: this.settings.directory,
        answers: this.answers ?? null,
        // By the CA's clock, so that whoever compares it with the time need not know that ours is wrong.
        checkedAt: this.checkedAt === 0 ? null : iso(this.checkedAt + this.clockOffset),
      },
    };
  }
}

function renewalStatus({ at, basis, suggestion }: Renewal): RenewalStatus {
  const window = suggestion && { start: iso(suggestion.window.start), end: iso(suggestion.window.end) };
  return { at: iso(at), basis, window: window ?? null, explanationUrl: suggestion?.explanationUrl || null };
}
