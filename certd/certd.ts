// The daemon: looks at stored, published and served on every pass, lets decide.ts decide, carries it out, tells why.
// No event is trusted and nothing here survives in memory only: a pass after kill -9 comes to the same conclusions.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AcmeDriver, type AcmePaths, type RunResult } from "./acme.ts";
import { CaClient } from "./ca.ts";
import { decide, nextOrderAt, type Candidate, type Decision, type Published } from "./decide.ts";
import { replaceFile } from "./files.ts";
import { GenerationStore, type Generation, type Origin } from "./generations.ts";
import { makePlaceholder } from "./placeholder.ts";
import { probe } from "./probe.ts";
import { tryRoute } from "./route.ts";
import { caPollInterval, connectionBackoff, isPublicCa, PLACEHOLDER_DAYS, reminderBackoff } from "./schedule.ts";
import type { Settings } from "./settings.ts";
import { StateFile } from "./state.ts";
import { iso, overallState, type CertificateStatus, type PortStatus, type Status } from "./status.ts";
import { TraefikFolder } from "./traefik.ts";
import { covers, leafFacts, validatePair, type LeafFacts, type Pair } from "./validate.ts";
import { PortWatch, type Watched } from "./watch.ts";

export interface Paths extends AcmePaths {
  /** The mail-certs volume. */
  readonly certificates: string;
  /** The folder that Traefik watches. */
  readonly traefik: string;
}

export interface Surroundings {
  readonly settings: Settings;
  readonly paths: Paths;
  /** Milliseconds since the epoch; the only clock. */
  readonly clock: () => number;
  /** Seconds since boot, which no clock change touches; for the freshness of the health file. */
  readonly uptime: () => number;
  readonly log: (line: string) => void;
  /** Milliseconds between two passes; default 200. */
  readonly passInterval?: number;
}

const STATUS_INTERVAL = 1000;
const JUDGE_INTERVAL = 10_000;
/** How long a CA's word that it knows the account outweighs its not knowing the certificate. */
const SUSPICION_PAUSE = 60 * 60 * 1000;
const PUBLISH_RETRY = 5000;

function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} minutes`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} hours` : `${Math.round(seconds / 86_400)} days`;
}

function day(time: number): string {
  return iso(time).slice(0, 16).replace("T", " ") + " UTC";
}

function certificateStatus(leaf: LeafFacts): CertificateStatus {
  return {
    sha256: leaf.sha256,
    subject: leaf.subject,
    issuer: leaf.issuer,
    names: leaf.names,
    serial: leaf.serial,
    notBefore: iso(leaf.notBefore),
    notAfter: iso(leaf.notAfter),
  };
}

function portName(port: Watched): string {
  return `${port.target.port} (${port.target.host})`;
}

function served(port: Watched): string {
  if (port.result === undefined) return "has not answered yet";
  if ("error" in port.result) return `gives no certificate (${port.result.error})`;
  const { leaf } = port.result;
  return `serves the certificate with serial ${leaf.serial} by ${leaf.issuer}`;
}

export class Certd {
  private readonly settings: Settings;
  private readonly paths: Paths;
  private readonly clock: () => number;
  private readonly uptime: () => number;
  private readonly log: (line: string) => void;
  private readonly store: GenerationStore;
  private readonly driver: AcmeDriver;
  private readonly ca: CaClient;
  private readonly traefik: TraefikFolder;
  private readonly origin: Origin;
  private readonly publicCa: boolean;
  private readonly watch: PortWatch;
  private readonly https: PortWatch | undefined;

  private readonly passInterval: number;
  private memory: StateFile | undefined;
  private stopping = false;
  private wake: () => void = () => undefined;
  private job: Promise<void> | undefined;
  private ordering = false;
  private judged: { pair: Pair; at: number; candidate: Candidate } | undefined;
  private decision: Decision = {};
  private published: Generation | undefined;
  private publishRetryAt = 0;
  private lastError = "";
  private readonly said = new Map<string, string>();

  private caAnswers: boolean | undefined;
  private caCheckedAt = 0;
  private caPollAt = 0;
  private connectionAttempts = 0;
  private connectAt = 0;
  private trusted = { leaf: "", until: 0 };
  private reminders = 0;
  private remindAt = 0;
  private statusAt = 0;
  private statusText = "";

  constructor({ settings, paths, clock, uptime, log, passInterval = 200 }: Surroundings) {
    this.passInterval = passInterval;
    this.settings = settings;
    this.paths = paths;
    this.clock = clock;
    this.uptime = uptime;
    this.log = log;
    const { source } = settings;
    this.origin = { source: source.kind, directory: source.directory };
    this.publicCa = isPublicCa(source.directory);
    this.store = new GenerationStore(paths.certificates, settings.keepGenerations, clock);
    this.driver = new AcmeDriver(source, settings.names, paths, (line) => log(`acme.sh: ${line}`));
    this.ca = new CaClient(source.directory, source.caBundle);
    this.traefik = new TraefikFolder(paths.traefik);
    const look = (target: Watched["target"]) => probe(target, this.hostname);
    this.watch = new PortWatch(settings.probes, (leaf) => leaf.sha256 === this.published?.leaf.sha256, look, clock, {
      differs: (port) => this.say(`port ${port.target.port}`, this.differenceSentence(port)),
      repaired: (port, after) => {
        this.said.delete(`port ${port.target.port}`);
        this.log(`Port ${portName(port)} serves what is published again, after ${duration(after)}.`);
      },
      allServed: (ports) => this.tellServed(ports),
    });
    if (settings.https !== undefined) {
      const target = { ...settings.https, mode: "implicit" as const };
      this.https = new PortWatch([target], (leaf) => this.ownCertificate(leaf), look, clock, {
        differs: () => undefined,
        repaired: () => undefined,
        allServed: ([port]) => {
          if (port?.result === undefined || !("leaf" in port.result)) return;
          this.log(`HTTPS on port ${portName(port)} has its certificate from ${port.result.leaf.issuer}.`);
        },
      });
      this.https.expect("a certificate of its own");
    }
  }

  private get hostname(): string {
    return this.settings.names[0] ?? "";
  }

  private get state(): StateFile {
    if (this.memory === undefined) throw new Error("certd has not been started");
    return this.memory;
  }

  /** Logs a sentence, but not twice in a row for the same topic. */
  private say(topic: string, sentence: string): void {
    if (this.said.get(topic) === sentence) return;
    this.said.set(topic, sentence);
    this.log(sentence);
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    mkdirSync(this.paths.runtime, { recursive: true });
    this.store.recover();
    this.driver.prepare();
    this.memory = new StateFile(join(this.driver.home, "certd.json"));
    this.recoverState();
    const source = this.settings.source;
    this.log(`certd looks after ${this.settings.names.join(", ")} with certificates from ${source.directory}.`);
    while (!this.stopping) {
      this.pass();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.passInterval);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.job;
  }

  /** Ends the loop, and acme.sh if it is running. */
  stop(): void {
    if (this.stopping) return;
    this.stopping = true;
    if (this.ordering)
      this.log("certd stops; the running order is given up and will be placed again at the next start.");
    this.driver.kill("SIGTERM");
    setTimeout(() => this.driver.kill("SIGKILL"), 1000).unref();
    this.wake();
  }

  private recoverState(): void {
    const { names, source } = this.settings;
    const wanted = createHash("sha256")
      .update(JSON.stringify([names, source.keyType]))
      .digest("hex");
    const { value } = this.state;
    if (value.wanted !== wanted) this.state.update({ wanted, failures: 0, interruptions: 0, ordering: false });
    else if (value.ordering) this.state.update({ ordering: false, interruptions: value.interruptions + 1 });
    // Always there, so that the other side sees the first change as one.
    this.traefik.setEpoch(this.traefik.epoch());
    this.tellHttps();
  }

  /** One look at everything and what follows from it. Never throws: a fault is told, and the next pass tries again. */
  private pass(): void {
    try {
      this.observe();
      this.publish();
      this.startJob();
      this.watch.tick();
      this.https?.tick();
      this.remind();
      this.report();
    } catch (error) {
      this.fault(error instanceof Error ? error.message : String(error));
    }
  }

  private fault(message: string): void {
    this.lastError = message;
    this.say("fault", `Something failed: ${message}. What is published stays; the next try is in a moment.`);
  }

  private observe(): void {
    const now = this.clock();
    this.published = this.store.current();
    const candidate = this.candidate(now);
    this.noticeAccount(candidate);
    const { published } = this;
    this.decision = decide({
      now,
      wanted: { names: this.settings.names, keyType: this.settings.source.keyType, origin: this.origin },
      published: published && this.view(published),
      candidate,
      forgotten: this.state.value.forgotten || undefined,
    });
    this.watch.expect(published === undefined ? "" : `${published.number} ${published.leaf.sha256}`);
  }

  private view(generation: Generation): Published {
    const { source, directory } = generation.meta;
    const origin = directory === undefined ? { source } : { source, directory };
    return { number: generation.number, origin, leaf: generation.leaf };
  }

  /** What the source offers, judged; judged again from time to time because certificates expire. */
  private candidate(now: number): Candidate {
    const reading = this.driver.read();
    if (reading.kind === "busy") return { kind: "busy" };
    if (reading.kind === "empty") return { kind: "none" };
    const { pair } = reading;
    const age = now - (this.judged?.at ?? 0);
    if (this.judged?.pair !== pair || age > JUDGE_INTERVAL || age < 0) {
      const findings = validatePair(pair, { names: this.settings.names, now });
      const leaf = leafFacts(pair.fullchain);
      const candidate: Candidate =
        findings.length > 0 || leaf === undefined ? { kind: "refused", findings } : { kind: "usable", leaf };
      if (candidate.kind === "refused") {
        const sentences = findings.map(({ message }) => message).join(" ");
        this.say("candidate", `What acme.sh has stored is refused: ${sentences} What is published stays.`);
      } else {
        this.said.delete("candidate");
      }
      this.judged = { pair, at: now, candidate };
    }
    return this.judged.candidate;
  }

  /** A new account URL means that the CA had forgotten the account, whoever registered it again. */
  private noticeAccount(candidate: Candidate): void {
    if (candidate.kind === "busy") return;
    const leaf = candidate.kind === "usable" ? candidate.leaf.sha256 : "";
    const { accountUrl, seenLeaf, forgotten } = this.state.value;
    const url = leaf === seenLeaf && accountUrl !== "" && !this.accountDue ? accountUrl : this.driver.accountUrl();
    this.accountDue = false;
    if (url === "" || (url === accountUrl && leaf === seenLeaf)) return;
    if (leaf !== "" && leaf !== seenLeaf) {
      // Whoever placed the order: it went well.
      this.lastError = "";
      this.state.update({ failures: 0, interruptions: 0, lastOrder: { at: this.clock(), ok: true, cause: "" } });
    }
    if (accountUrl !== "" && url !== accountUrl) return this.accountForgotten(url, leaf);
    this.state.update({ accountUrl: url, seenLeaf: leaf, forgotten: forgotten === leaf ? forgotten : "" });
    this.tellHttps();
  }

  private accountDue = true;

  private accountForgotten(url: string, leaf: string): void {
    const { seenLeaf, epoch } = this.state.value;
    const next = Math.max(this.traefik.epoch(), epoch) + 1;
    this.state.update({ accountUrl: url, seenLeaf: leaf, forgotten: leaf === seenLeaf ? leaf : "", epoch: next });
    this.log(
      `The CA had forgotten our account and knows it again now (${url}). ` +
        "What is published stays until its successor is here; HTTPS is then told to register anew too.",
    );
    this.tellHttps();
  }

  /** Tells Traefik's follower that the CA forgot the account; not during our own order, which needs Traefik on port 80. */
  private tellHttps(): void {
    const { epoch, forgotten } = this.state.value;
    if (this.ordering || forgotten !== "" || epoch <= this.traefik.epoch()) return;
    this.traefik.setEpoch(epoch);
    this.reminders = 0;
    this.log(`HTTPS is told that the CA forgot its account (CA epoch ${epoch}).`);
  }

  private publish(): void {
    const { publish } = this.decision;
    const now = this.clock();
    if (publish === undefined || (now < this.publishRetryAt && this.publishRetryAt - now <= PUBLISH_RETRY)) return;
    try {
      const generation =
        publish.what === "placeholder"
          ? this.store.publish(makePlaceholder(this.settings.names, PLACEHOLDER_DAYS), this.settings.names, {
              source: "placeholder",
            })
          : this.publishCandidate();
      if (generation === undefined) return;
      this.published = generation;
      this.publishRetryAt = 0;
      this.watch.expect(`${generation.number} ${generation.leaf.sha256}`);
      const { meta, leaf } = generation;
      const what =
        publish.what === "placeholder"
          ? "a self-signed placeholder, so that every service can start"
          : `the certificate with serial ${leaf.serial} by ${leaf.issuer}, valid until ${day(leaf.notAfter)}`;
      this.log(`Generation ${String(meta.generation).padStart(6, "0")} is published: ${what} (${publish.why}).`);
      this.said.delete("publish");
    } catch (error) {
      this.publishRetryAt = now + PUBLISH_RETRY;
      this.lastError = error instanceof Error ? error.message : String(error);
      this.say(
        "publish",
        `Publication failed: ${this.lastError}. What was published stays; tried again every ${duration(PUBLISH_RETRY)}.`,
      );
    }
  }

  private publishCandidate(): Generation | undefined {
    const pair = this.judged?.pair;
    return pair && this.store.publish(pair, this.settings.names, this.origin);
  }

  /** One thing at a time talks to the CA: an order if one is due, else a question. */
  private startJob(): void {
    if (this.job !== undefined || this.stopping) return;
    const now = this.clock();
    const { order } = this.decision;
    const mayOrder = order !== undefined && now >= this.nextOrder(now) && this.passed(this.connectAt, now);
    const job = mayOrder ? this.order(order.why) : this.passed(this.caPollAt, now) ? this.askCa() : undefined;
    this.job = job
      ?.catch((error: unknown) => this.fault(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.job = undefined;
        this.ordering = false;
        this.wake();
      });
  }

  /** Whether a moment has come; one further away than a day comes from a clock that was set back. */
  private passed(moment: number, now: number): boolean {
    return now >= moment || moment - now > 86_400_000;
  }

  private nextOrder(now: number): number {
    return nextOrderAt(this.state.value, now);
  }

  private heard(answers: boolean, cause: string): void {
    const now = this.clock();
    const before = this.caAnswers;
    this.caAnswers = answers;
    this.caCheckedAt = now;
    if (answers) {
      if (before === false) {
        this.log("The CA answers again.");
        // Whoever waits for it, here or at HTTPS, waits no longer.
        this.connectAt = 0;
        this.reminders = 0;
        this.remindAt = now + 1000;
      }
      return;
    }
    this.lastError = `the CA does not answer: ${cause}`;
    if (before === false) return;
    const has = this.published?.meta.source === "placeholder" ? "The placeholder" : "What is published";
    this.log(`The CA does not answer (${cause}). ${has} stays in service; it is tried again until it answers.`);
  }

  private async order(why: string): Promise<void> {
    if (this.driver.busy()) return;
    const { source, names } = this.settings;
    const answer = await this.ca.directory();
    this.heard(answer.kind === "answers", answer.kind === "silent" ? answer.cause : "");
    if (answer.kind === "silent") return this.postpone();
    if (source.challengeRoute !== undefined) {
      const route = await tryRoute(source.challengeRoute, names, source.httpPort);
      if (route.kind === "busy") return;
      if (route.kind === "closed") {
        const { host, port } = source.challengeRoute;
        this.lastError = `challenges do not arrive: ${route.cause}`;
        this.say(
          "route",
          `Challenges would not arrive: ${host}:${port} does not pass them on (${route.cause}). ` +
            "No order is placed until they do, because each failure counts at the CA; tried again every few seconds.",
        );
        return this.postpone();
      }
      this.said.delete("route");
    }
    this.connectionAttempts = 0;
    if (this.stopping) return;
    this.ordering = true;
    this.log(`A certificate is ordered for ${names.join(", ")}: ${why}.`);
    const startedAt = this.clock();
    const stored = this.judged?.candidate;
    const before = stored?.kind === "usable" ? stored.leaf.sha256 : undefined;
    this.state.update({ ordering: true, lastStartAt: startedAt });
    const result = await this.driver.order();
    // Given up on request: neither a failure nor an interruption.
    if (this.stopping) return this.state.update({ ordering: false });
    this.settleOrder(result, startedAt, before);
  }

  /** The CA or the way to it is not there: not a failed order, tried again soon. */
  private postpone(): void {
    this.connectionAttempts += 1;
    this.connectAt = this.clock() + connectionBackoff(this.connectionAttempts, this.publicCa);
  }

  private settleOrder(result: RunResult, startedAt: number, before: string | undefined): void {
    this.ordering = false;
    const now = this.clock();
    const candidate = this.candidate(now);
    const fresh = candidate.kind === "usable" && candidate.leaf.sha256 !== before;
    // What is stored counts, not the exit code.
    if (fresh) {
      const lastOrder = { at: now, ok: true, cause: "" };
      this.state.update({ ordering: false, failures: 0, interruptions: 0, forgotten: "", lastOrder });
      this.lastError = "";
      this.log(`The order succeeded after ${((now - startedAt) / 1000).toFixed(1)} s.`);
      this.tellHttps();
      this.caPollAt = now + caPollInterval(this.publicCa);
      return;
    }
    const refused = candidate.kind === "refused" ? candidate.findings.map(({ message }) => message).join(" ") : "";
    const cause = result.ok ? `the result cannot be used: ${refused || "it is what was there before"}` : result.cause;
    const failures = this.state.value.failures + 1;
    const lastOrder = { at: now, ok: false, cause };
    this.state.update({ ordering: false, interruptions: 0, failures, lastFailureAt: now, lastOrder });
    this.lastError = `the order failed: ${cause}`;
    const wait = this.nextOrder(now) - now;
    this.log(
      `The order failed: ${cause}. ${this.stillWorks()} Next order in ${duration(wait)} (failure ${failures} in a row).`,
    );
  }

  private stillWorks(): string {
    const { published } = this;
    if (published === undefined) return "Nothing is published.";
    return published.meta.source === "placeholder"
      ? "Services run on the placeholder."
      : `The published certificate stays in service until ${day(published.leaf.notAfter)}.`;
  }

  /** Asks the CA whether it is there and still knows the certificate in store. */
  private async askCa(): Promise<void> {
    const answer = await this.ca.directory();
    this.heard(answer.kind === "answers", answer.kind === "silent" ? answer.cause : "");
    // While HTTPS waits for its certificate the CA's return matters at once.
    const soon = !this.publicCa && (answer.kind === "silent" || this.https?.allAgree === false);
    this.caPollAt = this.clock() + (soon ? 5000 : caPollInterval(this.publicCa));
    if (answer.kind === "silent") return;
    const candidate = this.judged?.candidate;
    if (candidate?.kind !== "usable" || this.driver.busy()) return;
    const { leaf } = candidate;
    const now = this.clock();
    if (this.state.value.forgotten === leaf.sha256) return;
    if (this.trusted.leaf === leaf.sha256 && now < this.trusted.until) return;
    if ((await this.ca.renewalInfo(answer.directory, leaf)).kind !== "unknown" || this.stopping) return;
    this.log("The CA does not know the certificate in service; asking whether it knows the account.");
    const result = await this.driver.register();
    if (this.stopping) return;
    const url = this.driver.accountUrl();
    if (result.ok && url !== "" && (result.registeredAnew || url !== this.state.value.accountUrl)) {
      return this.accountForgotten(url, leaf.sha256);
    }
    if (!result.ok)
      return this.say("account", `The account could not be asked for: ${result.cause}. Nothing is changed.`);
    this.trusted = { leaf: leaf.sha256, until: now + SUSPICION_PAUSE };
    this.log("The CA knows the account, so the certificate stays; renewal goes on as planned.");
  }

  /** A leaf that HTTPS may keep: for the hostname, valid, and not made by the proxy itself. */
  private ownCertificate(leaf: LeafFacts): boolean {
    const now = this.clock();
    return covers(leaf.names, this.hostname) && !leaf.selfSigned && leaf.notBefore <= now && now < leaf.notAfter;
  }

  /** Traefik orders only at its start and when its configuration changes: while it lacks a certificate, make a change. */
  private remind(): void {
    const port = this.https?.ports[0];
    const now = this.clock();
    if (port?.result === undefined || port.agrees || "error" in port.result || this.caAnswers !== true) {
      if (port?.agrees === true) this.reminders = 0;
      if (port?.agrees === true || this.caAnswers !== true) this.remindAt = 0;
      return;
    }
    if (this.remindAt === 0) this.remindAt = now + reminderBackoff(0);
    if (!this.passed(this.remindAt, now)) return;
    const marker = this.traefik.nudge();
    this.reminders += 1;
    const wait = reminderBackoff(this.reminders);
    this.remindAt = now + wait;
    this.log(
      `HTTPS on port ${portName(port)} has no certificate for ${this.hostname} yet (it ${served(port)}); ` +
        `Traefik is asked to look again (marker ${marker}), next in ${duration(wait)} if need be.`,
    );
  }

  private tellServed(ports: readonly Watched[]): void {
    const { published } = this;
    if (published === undefined || ports.length === 0) return;
    const times = ports.map((port) => `${port.target.port} after ${((port.servedAfter ?? 0) / 1000).toFixed(2)} s`);
    this.log(`Generation ${String(published.number).padStart(6, "0")} is served on every port: ${times.join(", ")}.`);
  }

  private differenceSentence(port: Watched): string {
    const number = String(this.published?.number ?? 0).padStart(6, "0");
    return (
      `Port ${portName(port)} ${served(port)} instead of generation ${number}. ` +
      "Its follower makes the daemon take it; certd keeps looking and tells when it is served."
    );
  }

  private portStatus(port: Watched): PortStatus {
    const { result } = port;
    return {
      host: port.target.host,
      port: port.target.port,
      agrees: port.agrees,
      served: result !== undefined && "leaf" in result ? certificateStatus(result.leaf) : null,
      error: result !== undefined && "error" in result ? result.error : null,
      checkedAt: port.checkedAt === 0 ? null : iso(port.checkedAt),
    };
  }

  /** Everything known, for whoever asks. */
  status(): Status {
    const now = this.clock();
    const { published, decision } = this;
    const { lastOrder, failures } = this.state.value;
    const view = published && {
      placeholder: published.meta.source === "placeholder",
      notAfter: published.leaf.notAfter,
    };
    const httpsPort = this.https?.ports[0];
    return {
      version: 1,
      state: overallState(view, this.watch.allAgree, now),
      at: iso(now),
      names: this.settings.names,
      source: this.origin.source,
      published: published
        ? {
            ...certificateStatus(published.leaf),
            generation: published.number,
            source: published.meta.source,
            keyType: published.leaf.keyType,
            publishedAt: published.meta.publishedAt,
          }
        : null,
      ports: this.watch.ports.map((port) => this.portStatus(port)),
      https: httpsPort === undefined ? null : this.portStatus(httpsPort),
      order: {
        running: this.ordering,
        reason: decision.order?.why ?? null,
        last: lastOrder && { ...lastOrder, at: iso(lastOrder.at) },
        failures,
        nextAt: decision.order === undefined ? null : iso(Math.max(this.nextOrder(now), this.connectAt, now)),
        renewAt: decision.renewAt === undefined ? null : iso(decision.renewAt),
      },
      ca: {
        directory: this.settings.source.directory,
        answers: this.caAnswers ?? null,
        checkedAt: this.caCheckedAt === 0 ? null : iso(this.caCheckedAt),
      },
      lastError: this.lastError || null,
    };
  }

  /** Writes status.json and the one-line file of the health check: a word and the uptime at which it was true. */
  private report(): void {
    const now = this.uptime() * 1000;
    const status = this.status();
    // The passing of time alone is no news.
    const text = JSON.stringify({ ...status, at: "", order: { ...status.order, nextAt: "" } });
    if (text === this.statusText && now - this.statusAt < STATUS_INTERVAL) return;
    this.statusText = text;
    this.statusAt = now;
    replaceFile(join(this.paths.runtime, "status.json"), JSON.stringify(status, undefined, 2) + "\n", 0o644, false);
    replaceFile(join(this.paths.runtime, "health"), `${status.state} ${Math.floor(now / 1000)}\n`, 0o644, false);
  }
}
