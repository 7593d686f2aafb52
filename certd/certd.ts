// The daemon: looks at stored, published and served on every pass, lets decide.ts decide, publishes, tells why.
// No event is trusted, and what decides is on disk: a pass after kill -9 comes to the same conclusions.
// What a source does to have a certificate is its own business.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { join } from "node:path";
import type { AcmePaths } from "./acme.ts";
import { AcmeSource } from "./acme-source.ts";
import { createApi, readTokenHash } from "./api.ts";
import { Judge, servable } from "./candidate.ts";
import { diagnose, type Trouble } from "./causes.ts";
import { decide, type Candidate, type Decision, type Published } from "./decide.ts";
import { replaceFile } from "./files.ts";
import { FilesSource } from "./files-source.ts";
import { GenerationStore, type Generation } from "./generations.ts";
import { certified, HttpsSide } from "./https.ts";
import { day, duration, generationName, Journal } from "./journal.ts";
import { PinKeeper } from "./pin.ts";
import { makePlaceholder } from "./placeholder.ts";
import { PolicyHosts } from "./policy-hosts.ts";
import { look, probe, type Seen } from "./probe.ts";
import { CLOCK_TOLERANCE, PLACEHOLDER_DAYS } from "./schedule.ts";
import type { Settings } from "./settings.ts";
import type { Source, Surroundings } from "./source.ts";
import { certificateStatus, iso, overallState, portStatus, type Status } from "./status.ts";
import { TraefikFolder } from "./traefik.ts";
import type { LeafFacts } from "./validate.ts";
import { portName, PortWatch, served, type Watched, type WatchTarget } from "./watch.ts";

export interface Paths extends AcmePaths {
  /** The mail-certs volume. */
  readonly certificates: string;
  /** The folder that Traefik watches. */
  readonly traefik: string;
  /** Numeric id of the group that Traefik's process runs in; default: our own. */
  readonly traefikGroup?: number;
  /** Folder with the files that only certd may read. */
  readonly secrets: string;
}

export interface CertdArgs {
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
const PUBLISH_RETRY = 5000;

/** The file by which a person asks for an order. It is gone once that begins. */
export const orderRequest = (runtime: string): string => join(runtime, "order");

function makeSource({ source, names }: Settings, paths: Paths, around: Surroundings): Source {
  return source.kind === "acme" ? new AcmeSource(source, names, paths, around) : new FilesSource(source, around);
}

export class Certd {
  private readonly settings: Settings;
  private readonly paths: Paths;
  private readonly clock: () => number;
  private readonly uptime: () => number;
  private readonly journal: Journal;
  private readonly store: GenerationStore;
  private readonly pin: PinKeeper;
  private readonly judge: Judge;
  private readonly source: Source;
  private readonly watch: PortWatch;
  private readonly https: HttpsSide;
  private readonly policyHosts: PolicyHosts;

  private readonly passInterval: number;
  /** As the source has it; clients of HTTPS go by the right time, too. */
  private clockOffset = 0;
  /** When this machine booted by its clock, milliseconds since the epoch; it moves when the clock is set. */
  private bootedAt: number;
  private ready = false;
  private stopping = false;
  private wake: () => void = () => undefined;
  private decision: Decision = {};
  private published: Generation | undefined;
  /** What was last published and is no placeholder: should it be damaged, it can be published again. */
  private kept: Generation | undefined;
  private publishRetryAt = 0;
  private statusAt = 0;
  private statusText = "";

  constructor({ settings, paths, clock, uptime, log, passInterval = 200 }: CertdArgs) {
    this.passInterval = passInterval;
    this.settings = settings;
    this.paths = paths;
    this.clock = clock;
    this.uptime = uptime;
    this.bootedAt = clock() - uptime() * 1000;
    this.journal = new Journal(log, clock);
    this.store = new GenerationStore(paths.certificates, settings.keepGenerations, clock);
    this.pin = new PinKeeper(paths.certificates, this.journal);
    this.judge = new Judge(settings.names);
    const hostname = settings.names[0] ?? "";
    const folder = new TraefikFolder(paths.traefik, paths.traefikGroup);
    const caClock = (): number => clock() + this.clockOffset;
    const lookAtHttps = (target: WatchTarget) => probe(target, hostname);
    this.https = new HttpsSide({ settings, folder, look: lookAtHttps, journal: this.journal, clock: caClock });
    this.policyHosts = new PolicyHosts({
      routes: settings.mtaSts?.routes ?? {},
      folder,
      journal: this.journal,
      clock,
      certified: (host) => certified(settings.https, host, caClock()),
    });
    this.source = makeSource(settings, paths, {
      journal: this.journal,
      clock,
      candidate: () => this.candidate(),
      published: () => this.published,
      https: this.https,
      generations: () => this.store.list().flatMap((number) => this.store.read(number) ?? []),
      taken: () => rmSync(orderRequest(paths.runtime), { force: true }),
      wake: () => this.wake(),
    });
    const lookAtMail = (target: WatchTarget) => look(target, hostname, this.published?.rsa !== undefined);
    this.watch = new PortWatch(settings.probes, (leaf, rsa) => this.isPublished(leaf, rsa), lookAtMail, clock, {
      differs: (port) => this.journal.say(`port ${port.target.port}`, this.differenceSentence(port)),
      repaired: (port, after) => {
        this.journal.settle(`port ${port.target.port}`);
        this.journal.log(`Port ${portName(port)} serves what is published again, after ${duration(after)}.`);
      },
      allServed: (ports) => this.tellServed(ports),
    });
  }

  /** Whether a port serves what is published; `rsa`: what it serves to clients without ECDSA. */
  private isPublished(leaf: LeafFacts, rsa: Seen | undefined): boolean {
    const wanted = this.published;
    if (leaf.sha256 !== wanted?.leaf.sha256) return false;
    return wanted.rsa === undefined || (rsa !== undefined && "leaf" in rsa && rsa.leaf.sha256 === wanted.rsa.sha256);
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    mkdirSync(this.paths.runtime, { recursive: true });
    const api = this.startApi();
    this.journal.log(
      `certd looks after ${this.settings.names.join(", ")} with certificates from ${this.source.title}.`,
    );
    while (!this.stopping) {
      this.pass();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.passInterval);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      // Whoever wakes the loop again and again leaves room for everything else all the same.
      await new Promise(setImmediate);
    }
    api?.close();
    api?.closeAllConnections();
    await this.source.stop();
  }

  private startApi(): Server | undefined {
    const { api, mtaSts } = this.settings;
    if (api === undefined) return undefined;
    const tokenSha256 = readTokenHash(join(this.paths.secrets, "health-token.sha256"));
    const server = createApi({
      tokenSha256,
      mtaStsPolicy: mtaSts?.policy,
      status: () => this.status(),
      clock: this.clock,
    });
    server.on("error", (error) => {
      this.journal.fail("api", `the API does not answer: ${error.message}`);
      this.journal.say("api", `The API does not answer on port ${api.port}: ${error.message}. All else goes on.`);
    });
    server.listen(api.port);
    if (tokenSha256 === undefined) this.journal.log("The health API is off, because vectis:healthToken is not set.");
    return server;
  }

  /** Ends the loop, and whatever the source is doing. */
  stop(): void {
    if (this.stopping) return;
    this.stopping = true;
    this.wake();
  }

  /** One look at everything and what follows from it. Never throws: a fault is told, and the next pass tries again. */
  private pass(): void {
    const acted = this.attempt(() => {
      if (!this.ready) this.makeReady();
      this.heedClock();
      this.observe();
      this.publish();
      this.source.work(this.decision);
    });
    // What does not need to write is done all the same.
    const told = this.attempt(() => {
      this.watch.tick();
      const pinned = this.decision.pin?.kind === "holds" ? this.published?.meta : undefined;
      this.https.tick(this.published, pinned ?? this.source.origin, this.source.caAnswers);
      this.report();
    });
    const hosted = this.attempt(() => this.policyHosts.tick());
    if (acted && told && hosted) this.journal.settle("fault");
  }

  /** May fail for as long as nothing can be written. What is published is known even so. */
  private makeReady(): void {
    this.look();
    this.store.recover();
    this.source.start();
    this.policyHosts.start();
    this.ready = true;
  }

  private heedClock(): void {
    const bootedAt = this.clock() - this.uptime() * 1000;
    if (Math.abs(bootedAt - this.bootedAt) > CLOCK_TOLERANCE) this.source.clockWasSet?.();
    this.bootedAt = bootedAt;
  }

  /** Whether it went well; what went wrong is told. */
  private attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      const { cause, advice } = this.diagnose(error);
      this.journal.fail("fault", cause, advice);
      const what = `Something failed: ${cause}. What is published stays; the next try is in a moment.`;
      this.journal.say("fault", `${what} What to do: ${advice}.`);
      return false;
    }
  }

  private look(): void {
    this.published = this.store.current();
    const { published } = this;
    if (published !== undefined && published.meta.source !== "placeholder") this.kept = published;
    else if (published === undefined) this.kept ??= this.store.newest(({ source }) => source !== "placeholder");
    this.watch.expect(published === undefined ? "" : `${published.number} ${published.leaf.sha256}`);
  }

  private diagnose(error: unknown): Trouble {
    return diagnose(error instanceof Error ? error.message : String(error), this.settings.names, this.clock());
  }

  private observe(): void {
    this.look();
    const candidate = this.candidate();
    this.source.observe(candidate);
    const { published, source } = this;
    const now = this.clock();
    this.clockOffset = source.clockOffset;
    this.decision = decide({
      now,
      caNow: now + source.clockOffset,
      wanted: {
        names: this.settings.names,
        keyType: source.keyType,
        publicKeySha256: source.publicKeySha256,
        rsaKeyType: source.rsaKeyType,
        origin: source.origin,
      },
      published: published && this.view(published),
      kept: this.kept && this.view(this.kept),
      candidate,
      forgotten: source.forgotten,
      suggestion: source.suggestion,
      rsaSuggestion: source.rsaSuggestion,
      profile: source.profile,
      rsaOwed: source.rsaOwed === true,
      pinned: this.pin.pinned(this.published, (number) => this.store.read(number)),
      asked: existsSync(orderRequest(this.paths.runtime)),
    });
    this.pin.heed(this.decision.pin);
    this.tellRefusal(candidate, this.decision);
  }

  /** Why what the source offers is not published, if that is so. */
  private tellRefusal(candidate: Candidate, { declined }: Decision): void {
    const { source, journal } = this;
    if (candidate.kind === "busy") return;
    const findings =
      candidate.kind === "refused"
        ? candidate.findings
        : candidate.kind === "usable"
          ? (candidate.rsaRefused ?? [])
          : [];
    const reasons = [...findings.map((finding) => source.explain(finding)), declined ?? ""].filter((why) => why !== "");
    if (reasons.length === 0) return journal.settle("candidate");
    const why = reasons.join(" ");
    journal.fail("candidate", `${source.offer} is refused: ${why.replace(/\.$/, "")}`);
    journal.say("candidate", `${source.offer} is refused: ${why} What is published stays.`);
  }

  private view(generation: Generation): Published {
    const { source, directory } = generation.meta;
    const origin = directory === undefined ? { source } : { source, directory };
    return { number: generation.number, origin, leaf: generation.leaf, rsa: generation.rsa };
  }

  private candidate(): Candidate {
    return this.judge.judge(this.source.read(), this.clock());
  }

  private publish(): void {
    const { publish } = this.decision;
    const now = this.clock();
    if (publish === undefined || (now < this.publishRetryAt && this.publishRetryAt - now <= PUBLISH_RETRY)) return;
    try {
      const generation = this.make(publish);
      if (generation === undefined) return;
      this.published = generation;
      this.publishRetryAt = 0;
      this.watch.expect(`${generation.number} ${generation.leaf.sha256}`);
      const { meta, leaf, rsa } = generation;
      const beside =
        rsa === undefined ? "" : `, and an RSA one with serial ${rsa.serial}, valid until ${day(rsa.notAfter)}`;
      const what =
        publish.what === "placeholder"
          ? "a self-signed placeholder, so that every service can start"
          : `the certificate with serial ${leaf.serial} by ${leaf.issuer}, valid until ${day(leaf.notAfter)}${beside}`;
      this.journal.log(`Generation ${generationName(meta.generation)} is published: ${what} (${publish.why}).`);
      this.journal.settle("publish");
    } catch (error) {
      this.publishRetryAt = now + PUBLISH_RETRY;
      const { cause, advice } = this.diagnose(error);
      this.journal.fail("publish", `publication failed: ${cause}`, advice);
      const what = `Publication failed: ${cause}. What was published stays; tried again every ${duration(PUBLISH_RETRY)}.`;
      this.journal.say("publish", `${what} What to do: ${advice}.`);
    }
  }

  private make(publish: NonNullable<Decision["publish"]>): Generation | undefined {
    const { names } = this.settings;
    switch (publish.what) {
      case "placeholder":
        return this.store.publish(makePlaceholder(names, PLACEHOLDER_DAYS), names, { source: "placeholder" });
      case "kept":
        if (this.kept === undefined) return undefined;
        return this.store.publish(
          servable(this.kept.pair, { names, now: this.clock() }),
          names,
          this.view(this.kept).origin,
        );
      case "pinned":
        return this.store.switchTo(publish.number);
      case "candidate":
        return this.judge.bundle && this.store.publish(this.judge.bundle, names, this.source.origin);
    }
  }

  private tellServed(ports: readonly Watched[]): void {
    const { published } = this;
    if (published === undefined || ports.length === 0) return;
    const times = ports.map((port) => `${port.target.port} after ${((port.servedAfter ?? 0) / 1000).toFixed(2)} s`);
    this.journal.log(`Generation ${generationName(published.number)} is served on every port: ${times.join(", ")}.`);
  }

  private differenceSentence(port: Watched): string {
    return (
      `Port ${portName(port)} ${served(port)} instead of generation ${generationName(this.published?.number ?? 0)}. ` +
      "Its follower makes the daemon take it; certd keeps looking and tells when it is served."
    );
  }

  /** Everything known, for whoever asks. */
  status(): Status {
    const now = this.clock();
    const { published, source } = this;
    const view = published && {
      placeholder: published.meta.source === "placeholder",
      notAfter: published.leaf.notAfter,
    };
    const { port, shares } = this.https;
    const { failure } = this.journal;
    const { pin } = this.decision;
    return {
      version: 1,
      state: overallState(view, this.watch.allAgree && !(shares && this.https.waits()), now),
      at: iso(now),
      names: this.settings.names,
      source: source.origin.source,
      published: published
        ? {
            ...certificateStatus(published.leaf),
            generation: published.number,
            source: published.meta.source,
            keyType: published.leaf.keyType,
            publishedAt: published.meta.publishedAt,
          }
        : null,
      publishedRsa:
        published?.rsa === undefined ? null : { ...certificateStatus(published.rsa), keyType: published.rsa.keyType },
      pinned: pin?.kind === "holds" ? { generation: pin.number, since: iso(pin.since), until: iso(pin.until) } : null,
      ports: this.watch.ports.map(portStatus),
      https: port === undefined ? null : portStatus(port),
      ...source.status(this.decision),
      lastError: failure === undefined ? null : { ...failure, at: iso(failure.at), advice: failure.advice ?? null },
      failing: this.journal.failing,
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
