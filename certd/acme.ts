// The ACME source: drives acme.sh through its wrapper and reads what it stored. acme.sh never decides anything:
// certd says when, and every order names server, home and key type.
import { spawn, spawnSync } from "node:child_process";
import { createHash, createPrivateKey } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemRoots } from "./ca.ts";
import { worthShowing } from "./causes.ts";
import type { Delegation, Zones } from "./dns-challenge.ts";
import { replaceFile } from "./files.ts";
import { delegatedName, orderNames } from "./names.ts";
import type { AcmeSource } from "./settings.ts";
import { keyTypeOf, type Bundle, type Pair } from "./validate.ts";

/** What acme.sh's home holds for the hostname. */
export type StoreReading =
  | { readonly kind: "stored"; readonly pair: Bundle }
  | { readonly kind: "empty" }
  /** Someone is ordering right now: whatever lies there may be half written. */
  | { readonly kind: "busy" };

/** How one run of acme.sh ended. */
export interface RunResult {
  readonly ok: boolean;
  /** What it printed, and what it wrote into its log: the log has the CA's answers whole, the output cuts them. */
  readonly output: string;
  /** Whether the CA registered the account anew. */
  readonly registeredAnew: boolean;
}

/** One home per directory: accounts, and the certificates of another CA, never mix. */
export function homeName(directory: string): string {
  const url = new URL(directory);
  const slug = `${url.host}${url.pathname}`.replace(/[^A-Za-z0-9.]+/g, "-").replace(/^-+|-+$/g, "");
  return `${slug}-${createHash("sha256").update(directory).digest("hex").slice(0, 8)}`;
}

/** Where the TXT records of all challenges are made, if that is not below each name itself. */
export function delegationOf({ challenge, dns }: AcmeSource, names: readonly string[]): Delegation | undefined {
  const zone = challenge === "dns-01" ? dns?.challengeZone : undefined;
  return zone === undefined ? undefined : { zone, target: delegatedName(names[0] ?? "", zone) };
}

/** A value of acme.sh's own configuration files. */
export function confValue(conf: string, key: string): string {
  return new RegExp(`^${key}='(.*)'$`, "m").exec(conf)?.[1] ?? "";
}

/**
 * acme.sh's own configuration of a certificate, as an order wants it; the rest of `before` stays. Every order is a
 * renewal then, whatever changed: the key stays, and it is the same command that a person would type. Also taken out:
 * "not due", the leftovers of an order, and API tokens, which acme.sh keeps in clear where it is given one.
 * @param keyType of the certificate, for example `ec-256` or `rsa-2048`
 */
export function orderConf(before: string, source: AcmeSource, names: readonly string[], keyType: string): string {
  const [first = "", ...others] = orderNames(names);
  const delegation = delegationOf(source, names);
  const wanted: Readonly<Record<string, string>> = {
    Le_Domain: first,
    Le_Alt: others.join(",") || "no",
    Le_Webroot: source.challenge === "dns-01" ? "dns_vectis" : "no",
    Le_API: source.directory,
    Le_Keylength: keyType.replace(/^rsa-/, ""),
    Le_ExtKeyUse: "serverAuth",
    Le_HTTPPort: String(source.httpPort),
    // `=`: the name itself. One for all names.
    ...(delegation === undefined ? {} : { Le_ChallengeAlias: `=${delegation.target}` }),
    ...(source.profile === undefined ? {} : { Le_Certificate_Profile: source.profile }),
    // The hook itself waits, for the name servers; without this acme.sh would ask public resolvers.
    Le_DNSSleep: "0",
  };
  const gone = new RegExp(
    `^(${Object.keys(wanted).join("|")}|Le_NextRenewTime|Le_NextRenewTimeStr|Le_Vlist|Le_OrderFinalize|Le_LinkOrder|Le_ChallengeAlias|Le_Certificate_Profile|(SAVED_)?CF_\\w+)=.*\\n?`,
    "gm",
  );
  const lines = Object.entries(wanted).map(([key, value]) => `${key}='${value}'\n`);
  return [before.replace(gone, ""), ...lines].join("");
}

/** Where acme.sh keeps one certificate, and with which key. */
interface Shelf {
  readonly folder: string;
  readonly keyType: string;
  /** What acme.sh has to be told to find it. */
  readonly options: readonly string[];
  /** Path of the PEM key to order with; `undefined`: acme.sh makes one. */
  readonly keyFile?: string | undefined;
}

export interface AcmePaths {
  /** The volume with acme.sh's homes. */
  readonly volume: string;
  /** Where certd tells the wrapper which home, server and roots to use; a tmpfs. */
  readonly runtime: string;
  /** The wrapper. */
  readonly command: string;
  /** File with the API token for DNS-01. */
  readonly token: string;
}

export class AcmeDriver {
  readonly home: string;
  private readonly source: AcmeSource;
  private readonly names: readonly string[];
  private readonly paths: AcmePaths;
  private readonly show: (line: string) => void;
  private cached: { key: string; reading: StoreReading } | undefined;
  private running: number | undefined;

  /** @param show takes acme.sh's output, line by line */
  constructor(source: AcmeSource, names: readonly string[], paths: AcmePaths, show: (line: string) => void) {
    this.source = source;
    this.names = names;
    this.paths = paths;
    this.show = show;
    this.home = join(paths.volume, homeName(source.directory));
  }

  private get hostname(): string {
    return this.names[0] ?? "";
  }

  private get first(): Shelf {
    const { keyType, keyFile } = this.source;
    return { folder: join(this.home, `${this.hostname}_ecc`), keyType, options: [], keyFile };
  }

  /** Not beside the first one: of two certificates for one name in one place a person's `--renew` would take the RSA one. */
  private get rsa(): Shelf | undefined {
    const { rsaKeyType } = this.source;
    if (rsaKeyType === undefined) return undefined;
    const certHome = join(this.home, "rsa");
    return { folder: join(certHome, this.hostname), keyType: rsaKeyType, options: ["--cert-home", certHome] };
  }

  private get shelves(): Shelf[] {
    return [this.first, ...(this.rsa === undefined ? [] : [this.rsa])];
  }

  /** A file that acme.sh names after the host. */
  private file({ folder }: Shelf, extension: "conf" | "csr" | "key"): string {
    return join(folder, `${this.hostname}.${extension}`);
  }

  private get lock(): string {
    return join(this.home, ".lock");
  }

  /** Makes the home and tells the wrapper about it. Everything in the home is secret: 0700. */
  prepare(): void {
    mkdirSync(this.home, { recursive: true, mode: 0o700 });
    chmodSync(this.paths.volume, 0o700);
    chmodSync(this.home, 0o700);
    mkdirSync(this.paths.runtime, { recursive: true });
    const bundle = join(this.paths.runtime, "ca-bundle.pem");
    if (this.source.caBundle !== undefined) replaceFile(bundle, this.source.caBundle, 0o644, false);
    // acme.sh remembers a bundle for ever; what counts is what is configured now.
    this.rewriteConf(join(this.home, "account.conf"), (conf) => conf.replace(/^CA_BUNDLE=.*\n?/m, ""));
    this.scrub();
    this.adoptChallenge();
    const { dns, caBundle } = this.source;
    // The private CA's roots replace the system's for the CA alone; for the DNS host's API they come on top.
    const roots = join(this.paths.runtime, "dns-roots.pem");
    if (dns !== undefined) replaceFile(roots, dnsRoots(caBundle), 0o644, false);
    const lines = [
      `home='${this.home}'`,
      `server='${this.source.directory}'`,
      `ca_bundle='${caBundle === undefined ? "" : bundle}'`,
      `http_port='${this.source.httpPort}'`,
      `dns_token='${this.paths.token}'`,
      `dns_zones='${Object.entries(this.zones)
        .map(([zone, id]) => `${zone}=${id}`)
        .join(" ")}'`,
      `dns_roots='${roots}'`,
      `dns_notes='${this.notes}'`,
    ];
    replaceFile(join(this.paths.runtime, "acme.conf"), lines.join("\n") + "\n", 0o644, false);
  }

  /** A person's renewal takes the challenge that is configured now, not that of the last order. */
  private adoptChallenge(): void {
    for (const shelf of this.shelves) {
      const conf = this.file(shelf, "conf");
      if (!existsSync(conf) || this.busy()) continue;
      const [is, wanted] = [readFileSync(conf, "utf8"), orderConf("", this.source, this.names, shelf.keyType)];
      if (["Le_Webroot", "Le_ChallengeAlias"].some((key) => confValue(is, key) !== confValue(wanted, key)))
        this.rewriteConf(conf, (before) => orderConf(before, this.source, this.names, shelf.keyType));
    }
  }

  /** Zone ids by zone name; `.` stands for every name. */
  get zones(): Zones {
    const { zoneId, zones } = this.source.dns ?? {};
    return zoneId === undefined ? (zones ?? {}) : { ".": zoneId };
  }

  /** Folder in which the DNS hook notes every record before it makes it; outlives a change of the CA. */
  get notes(): string {
    return join(this.paths.volume, "dns-01");
  }

  /** Takes API tokens out of every file in which acme.sh keeps one in clear, whoever gave it one. */
  private scrub(): void {
    for (const path of readdirSync(this.paths.volume, { recursive: true, encoding: "utf8" })) {
      if (!/\.conf$/.test(path)) continue;
      this.rewriteConf(join(this.paths.volume, path), (conf) => conf.replace(/^(SAVED_)?CF_\w+=.*\n?/gm, ""));
    }
  }

  private rewriteConf(path: string, change: (conf: string) => string): void {
    const before = existsSync(path) ? readFileSync(path, "utf8") : "";
    const after = change(before);
    if (after !== before) replaceFile(path, after, 0o600, true);
  }

  /** Whether someone (a person, or an order that outlived an earlier certd) is using the home. */
  busy(): boolean {
    return spawnSync("flock", ["-s", "-n", this.lock, "true"]).status !== 0;
  }

  /** What is stored. Cheap when nothing changed; reads under a shared lock, so never half an order. */
  read(): StoreReading {
    const files = this.shelves.flatMap((shelf) => [join(shelf.folder, "fullchain.cer"), this.file(shelf, "key")]);
    const key = files
      .map((file) => {
        const stat = statSync(file, { throwIfNoEntry: false });
        return stat === undefined ? "-" : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
      })
      .join("|");
    if (this.cached?.key === key) return this.cached.reading;
    const script = 'for file; do cat "$file" 2>/dev/null || :; printf "\\0"; done';
    const result = spawnSync("flock", ["-s", "-n", this.lock, "sh", "-c", script, "read", ...files], {
      encoding: "utf8",
    });
    if (result.status !== 0) return { kind: "busy" };
    const texts = result.stdout.split("\0");
    const pairAt = (index: number): Pair | undefined => {
      const [fullchain = "", privkey = ""] = texts.slice(index);
      return fullchain === "" || privkey === "" ? undefined : { fullchain, privkey };
    };
    const [pair, rsa] = [pairAt(0), this.rsa && pairAt(2)];
    const reading: StoreReading =
      pair === undefined
        ? { kind: "empty" }
        : { kind: "stored", pair: { ...pair, ...(rsa === undefined ? {} : { rsa }) } };
    this.cached = { key, reading };
    return reading;
  }

  /** The account's URL at the CA as acme.sh has it; empty before the first registration. */
  accountUrl(): string {
    const conf = join(this.home, "ca", caFolder(this.source.directory), "ca.conf");
    return existsSync(conf) ? confValue(readFileSync(conf, "utf8"), "ACCOUNT_URL") : "";
  }

  /** The profile that acme.sh's own configuration of the certificate names; empty: none. */
  profile(): string {
    const conf = this.file(this.first, "conf");
    return existsSync(conf) ? confValue(readFileSync(conf, "utf8"), "Le_Certificate_Profile") : "";
  }

  /**
   * Runs something while nobody orders and nobody can begin to; `undefined`: someone is ordering. The lock goes with
   * this process, however that ends.
   */
  async whileIdle<T>(action: () => Promise<T>): Promise<T | undefined> {
    const holder = spawn("flock", ["-n", this.lock, "sh", "-c", "echo held; exec cat"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    const held = await new Promise<boolean>((resolve) => {
      holder.stdout.once("data", () => resolve(true));
      holder.once("close", () => resolve(false)).once("error", () => resolve(false));
    });
    if (!held) return undefined;
    try {
      return await action();
    } finally {
      holder.stdin.end();
    }
  }

  /**
   * Orders a certificate now: for the configured key, or for the stored one if that is of the wanted type. Never rejects.
   * @throws if the configured key cannot be read
   */
  order(): Promise<RunResult> {
    return this.orderFor(this.first);
  }

  /** The same for the RSA certificate beside it. @throws if none is configured */
  orderRsa(): Promise<RunResult> {
    if (this.rsa === undefined) throw new Error("no RSA certificate is configured");
    return this.orderFor(this.rsa);
  }

  private orderFor(shelf: Shelf): Promise<RunResult> {
    mkdirSync(shelf.folder, { recursive: true, mode: 0o700 });
    this.putKey(shelf);
    this.rewriteConf(this.file(shelf, "conf"), (before) => orderConf(before, this.source, this.names, shelf.keyType));
    const email = this.source.email === undefined ? [] : ["--accountemail", this.source.email];
    return this.run(["--renew", "--domain", this.hostname, "--force", ...email, ...shelf.options]);
  }

  /** The key that the configuration names; `undefined` if it names none. */
  givenKey(): string | undefined {
    return this.source.keyFile === undefined ? undefined : readFileSync(this.source.keyFile, "utf8");
  }

  /** acme.sh refuses to overwrite a key, and would sign an old CSR for a key that is gone. */
  private putKey(shelf: Shelf): void {
    const path = this.file(shelf, "key");
    const stored = existsSync(path) ? readFileSync(path, "utf8") : "";
    const given = shelf.keyFile === undefined ? undefined : readFileSync(shelf.keyFile, "utf8");
    if (given === undefined ? keyType(stored) === shelf.keyType : stored === given) return;
    for (const file of ["key", "csr"] as const) rmSync(this.file(shelf, file), { force: true });
    if (given !== undefined) replaceFile(path, given, 0o600, true);
  }

  /** Registers the account, or learns that it is registered. Never rejects. */
  register(): Promise<RunResult> {
    return this.run(["--register-account"]);
  }

  /** acme.sh's own log of one run, in the tmpfs and for nobody else. */
  private get logFile(): string {
    return join(this.paths.runtime, "acme.log");
  }

  private takeLog(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    } finally {
      rmSync(this.logFile, { force: true });
    }
  }

  private run(args: readonly string[]): Promise<RunResult> {
    return new Promise((resolve) => {
      // Of a run whose reader was killed.
      rmSync(this.logFile, { force: true });
      const child = spawn(this.paths.command, args, {
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, NO_TIMESTAMP: "1", LOG_FILE: this.logFile, LOG_LEVEL: "2" },
      });
      this.running = child.pid;
      let output = "";
      let rest = "";
      let inPem = false;
      const showLine = (line: string): void => {
        if (line.startsWith("-----BEGIN")) inPem = true;
        if (!inPem && worthShowing(line)) this.show(line.trimEnd());
        if (line.startsWith("-----END")) inPem = false;
      };
      const take = (chunk: string): void => {
        output += chunk;
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        lines.forEach(showLine);
      };
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);
      const timer = setTimeout(() => this.kill("SIGTERM"), RUN_LIMIT);
      const settle = (result: RunResult): void => {
        clearTimeout(timer);
        this.running = undefined;
        resolve(result);
      };
      child.once("error", (error) => settle({ ok: false, output: error.message, registeredAnew: false }));
      child.once("close", (code) => {
        if (rest !== "") showLine(rest);
        settle({ ok: code === 0, output: output + this.takeLog(), registeredAnew: /^Registered$/m.test(output) });
      });
    });
  }

  /** Ends a run and everything it started. */
  kill(signal: NodeJS.Signals): void {
    if (this.running === undefined) return;
    try {
      process.kill(-this.running, signal);
    } catch {
      // It has ended already.
    }
  }
}

/**
 * Where acme.sh keeps what it knows of a CA (`_initpath` of 3.1.1): by the directory's host without the port, then by its path
 * with the query. A person may have registered at others from the same home.
 */
function caFolder(directory: string): string {
  const [, host = "", ...path] = directory
    .replace(/^[^:]*:/, "")
    .replace(/\/+/g, "/")
    .split("/");
  return join(host.replace(/:.*/, ""), ...path);
}

/** An order that takes longer than this hangs; milliseconds. */
const RUN_LIMIT = 10 * 60 * 1000;

/** PEM roots for the DNS host's API: the system's, and those of a private CA that stands in for it in a closed network. */
export function dnsRoots(caBundle: string | undefined): string {
  return `${systemRoots()}\n${caBundle ?? ""}`;
}

function keyType(privkey: string): string | undefined {
  try {
    return keyTypeOf(createPrivateKey(privkey));
  } catch {
    return undefined;
  }
}
