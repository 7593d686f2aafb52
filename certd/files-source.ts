// Certificates that someone else puts into two files: the operator (`custom`) or the stack's own CA (`internal`).
// Looks at them again and again; a pair that is just being replaced is left alone until it fits together.
import { lstatSync, readFileSync, readlinkSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Origin } from "./generations.ts";
import { remedies } from "./remedies.ts";
import type { FilesSource as FilesSettings } from "./settings.ts";
import type { Reading, Source, SourceStatus, Surroundings } from "./source.ts";
import { validatePair, type Finding, type FindingCode, type Pair } from "./validate.ts";

/** How long files that do not fit together may be a replacement in progress; milliseconds since their last change. */
const SETTLING = 2000;
/** Files are read again after this time whatever their times and sizes say; milliseconds. */
const REREAD = 10_000;
/** Longest file that is read, in bytes; a chain has a few thousand. */
const LARGEST = 1 << 20;
/** Findings of a pair that was caught in the middle of its replacement. */
const TORN: readonly FindingCode[] = ["chain-unreadable", "key-unreadable", "key-mismatch"];

type Which = "certificate" | "key";

/** Why a file cannot be used at all; thrown while reading. */
class FileError extends Error {}

export class FilesSource implements Source {
  readonly origin: Origin;
  readonly title: string;
  readonly offer: string;
  readonly keyType = undefined;
  readonly forgotten = undefined;
  readonly suggestion = undefined;
  readonly clockOffset = 0;
  readonly caAnswers = false;
  private readonly settings: FilesSettings;
  private readonly around: Surroundings;
  private seen = { key: "", at: 0, changedAt: 0 };
  private reading: Reading = { kind: "none" };

  constructor(settings: FilesSettings, around: Surroundings) {
    this.settings = settings;
    this.around = around;
    this.origin = { source: settings.kind };
    const folder = dirname(this.path("certificate"));
    this.title = settings.kind === "custom" ? `the files in ${folder}` : "the stack's own CA";
    this.offer = settings.kind === "custom" ? `What lies in ${folder}` : "The certificate of the stack's own CA";
  }

  /** Where a file is inside the container. */
  private inside(which: Which): string {
    return which === "certificate" ? this.settings.fullchain : this.settings.privkey;
  }

  /** Where the operator finds a file. */
  private path(which: Which): string {
    const { hostFolder } = this.settings;
    return hostFolder === undefined ? this.inside(which) : join(hostFolder, basename(this.inside(which)));
  }

  start(): void {
    // Nothing to make ready: the files are somebody else's.
  }

  /** A finding about a file that could not even be read names it already. */
  explain({ code, message }: Finding): string {
    const { file, remedy } = remedies[code];
    return message.includes(this.path(file)) ? message : `${message} ${remedy} (${this.path(file)})`;
  }

  read(): Reading {
    const now = this.around.clock();
    const key = this.look();
    if (key !== this.seen.key) this.seen = { key, at: 0, changedAt: now };
    // A clock that was set back ends every wait.
    const age = now - this.seen.at;
    if (this.reading.kind !== "busy" && age >= 0 && age < REREAD) return this.reading;
    this.seen.at = now;
    this.reading = this.readFiles();
    const { reading } = this;
    const unfit =
      reading.kind === "unreadable" ||
      (reading.kind === "pair" &&
        validatePair(reading.pair, { names: [], now }).some(({ code }) => TORN.includes(code)));
    const settled = now - this.seen.changedAt >= SETTLING || now < this.seen.changedAt;
    // Read before they were settled, or changed while they were read: another look.
    if (this.look() !== key || (unfit && !settled)) this.reading = { kind: "busy" };
    return this.reading;
  }

  /** Changes whenever one of the files does. */
  private look(): string {
    return (["certificate", "key"] as const)
      .map((which) => {
        try {
          const stat = statSync(this.inside(which), { bigint: true });
          return `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
        } catch (error) {
          return String(error);
        }
      })
      .join("|");
  }

  private readFiles(): Reading {
    const findings: Finding[] = [];
    const read = (which: Which, code: FindingCode): string => {
      try {
        return this.text(which);
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        findings.push({ code, message: error.message });
        return "";
      }
    };
    const pair: Pair = { fullchain: read("certificate", "chain-unreadable"), privkey: read("key", "key-unreadable") };
    if (findings.length > 0) return { kind: "unreadable", findings };
    const before = this.reading.kind === "pair" ? this.reading.pair : undefined;
    const same = before?.fullchain === pair.fullchain && before.privkey === pair.privkey;
    return { kind: "pair", pair: same ? before : pair };
  }

  /** @throws FileError with a sentence that names the file and what to do */
  private text(which: Which): string {
    const [inside, path] = [this.inside(which), this.path(which)];
    const what = which === "certificate" ? "certificate chain" : "private key";
    const setting = `vectis:tls.${which === "certificate" ? "certPath" : "keyPath"}`;
    const refuse = (why: string): never => {
      throw new FileError(`The ${what} ${path} ${why}.`);
    };
    try {
      const stat = statSync(inside);
      if (!stat.isFile()) return refuse(`is no file; put it there as PEM, or correct ${setting}`);
      if (stat.size > LARGEST) return refuse("is larger than 1 MiB; put nothing but the PEM text there");
      const text = readFileSync(inside, "utf8");
      if (which === "key") this.judgeMode(stat, path);
      return text;
    } catch (error) {
      if (error instanceof FileError) throw error;
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      if (code === "ENOENT" || code === "ENOTDIR") return refuse(`does not exist${this.dangling(inside)}`);
      if (code === "EACCES" || code === "EPERM") return refuse(`may not be read${this.permissions(inside, path)}`);
      return refuse(`cannot be read (${code})`);
    }
  }

  private dangling(inside: string): string {
    const link = lstatSync(inside, { throwIfNoEntry: false });
    if (link?.isSymbolicLink() !== true) return "; put it there as PEM";
    const target = readlinkSync(inside);
    return `: it is a link to ${target}, which leads out of the folder; put the file itself there, or name the folder that holds it`;
  }

  private permissions(inside: string, path: string): string {
    try {
      const { uid, mode } = statSync(inside);
      const bits = (mode & 0o777).toString(8).padStart(4, "0");
      return ` (it belongs to user ${uid}, mode ${bits}); run chown root:root ${path} && chmod 0600 ${path} on the Docker host`;
    } catch {
      return `; let root read the folder: chown root:root ${dirname(path)} && chmod 0700 ${dirname(path)} on the Docker host`;
    }
  }

  private judgeMode(stat: Stats, path: string): void {
    if (this.settings.kind !== "custom" || (stat.mode & 0o007) === 0) return this.around.journal.settle("mode");
    const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
    this.around.journal.say(
      "mode",
      `The private key ${path} may be read by everybody on the host (mode ${mode}); run chmod 0600 ${path} there.`,
    );
  }

  observe(): void {
    // What is refused is certd's to tell.
  }

  work(): void {
    // Whoever writes the files does the work.
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  status(): SourceStatus {
    const order = { running: false, reason: null, last: null, failures: 0, nextAt: null, renewal: null };
    return { order, ca: null, budget: null };
  }
}
