// A lab and a product stack of a test's own: unique names, ports and network, removed afterwards whatever happened.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { labAddresses, sinkZone } from "../../lab/addresses.ts";
import { parseOutputs, projectRoot, type StackOutputs } from "../../cli/stack.ts";
import {
  clearTextPorts,
  inspect as inspectPorts,
  judge,
  tlsServices,
  type Target,
  type Verdict,
} from "../../cli/verdict.ts";
import { missing } from "../../cli/verify.ts";
import { CloudflareApi } from "./cloudflare.ts";
import { docker, inspect, kinds, logs, named, removeAll } from "./docker.ts";
import { TestProject, type StackFile } from "./pulumi.ts";
import { until, type Patience } from "./wait.ts";

export const alice = { user: "alice@vectis.test", password: "correct-horse" } as const;
export const bob = { user: "bob@vectis.test", password: "correct-horse" } as const;

/** What the site's A and AAAA records say. Inside the lab, the mail host's name is Traefik's container all the same. */
export const addresses = ["192.0.2.25", "2001:db8::25"] as const;

/** Everything of this process starts with it; the process id tells whose leftovers may be removed. */
const prefix = `vt${process.pid}-`;

/** The small internet of a test. */
export class Lab {
  readonly name: string;
  readonly project: TestProject;
  readonly directory = "https://acme.vectis-lab.test:14000/dir";
  readonly dns: string;
  /** Address of the resolver that validates the lab's zones. */
  readonly resolver: string;
  readonly cloudflare: CloudflareApi;
  readonly sinks: { readonly tls: Sink; readonly plain: Sink };
  readonly #management: number;

  constructor(
    name: string,
    folder: string,
    subnet: string,
    management: number,
    config: Readonly<Record<string, unknown>>,
  ) {
    this.name = name;
    this.#management = management;
    const at = labAddresses(subnet);
    this.dns = at.dns;
    this.resolver = at.resolver;
    this.cloudflare = new CloudflareApi(name, management + 1);
    this.sinks = {
      tls: { container: `${name}-sink-tls`, domain: `tls.${sinkZone}` },
      plain: { container: `${name}-sink-plain`, domain: `plain.${sinkZone}` },
    };
    this.project = new TestProject(join(projectRoot, "lab"), folder, {
      config: { "vectis-lab:name": name, "vectis-lab:subnet": subnet, "vectis-lab:publish": management, ...config },
    });
  }

  /** The container of the ACME CA. */
  get ca(): string {
    return `${this.name}-ca`;
  }

  /**
   * What the lab's DNS answers: one line for each record of the answer, without name and type.
   * @param options as kdig takes them, for example `+dnssec`, or `@ADDRESS` of another server
   */
  async dig(name: string, type: string, ...options: readonly string[]): Promise<string[]> {
    const answer = await docker("exec", `${this.name}-dns`, "kdig", "+short", "@127.0.0.1", ...options, name, type);
    return answer.split("\n").filter((line) => line !== "");
  }

  /** What the CA's own HTTPS certificate chains to, and that of the Cloudflare API. */
  static get httpsRoot(): string {
    return readFileSync(join(projectRoot, ".vectis", "lab", "https-ca.pem"), "utf8");
  }

  /** The root that the CA issues from at this moment; a new one after each of its starts. */
  root(): Promise<string> {
    const url = `https://127.0.0.1:${this.#management}/roots/0`;
    return new Promise((resolve, reject) => {
      const request = get(url, { ca: Lab.httpsRoot, agent: false, timeout: 5_000 }, (response) => {
        let pem = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (pem += chunk));
        response.on("end", () => resolve(pem));
      });
      request.on("timeout", () => request.destroy(new Error("the CA does not answer")));
      request.on("error", reject);
    });
  }

  /** What the CA has done so far, from its log. */
  async ledger(): Promise<Ledger> {
    const log = await logs(this.ca);
    const count = (pattern: RegExp): number => log.match(pattern)?.length ?? 0;
    return {
      orders: count(/ Added order "/g),
      failedAuthorisations: count(/ authz \S+ set INVALID /g),
      issued: [...log.matchAll(/^(\S+) .*Issued certificate serial (\S+) for order (\S+)/gm)].map(
        ([, issuedAt = "", serial = "", order = ""]) => {
          const orderedAt = new RegExp(`^(\\S+) .*Added order "${order}"`, "m").exec(log)?.[1] ?? "";
          return { serial: serial.toUpperCase(), orderedAt: Date.parse(orderedAt), issuedAt: Date.parse(issuedAt) };
        },
      ),
    };
  }
}

export interface Sink {
  readonly container: string;
  /** Domain whose mail it takes. */
  readonly domain: string;
}

export interface Issued {
  /** As the prober writes it. */
  readonly serial: string;
  readonly orderedAt: number;
  readonly issuedAt: number;
}

export interface Ledger {
  readonly orders: number;
  readonly failedAuthorisations: number;
  /** In the order in which they were issued; times in milliseconds since the epoch. */
  readonly issued: readonly Issued[];
}

/** The product's containers, by what they do. */
export type Role = keyof StackOutputs["containers"];
export const roles: readonly Role[] = ["traefik", "postfix", "dovecot", "acme"];

export class Site {
  readonly lab: Lab;
  readonly stack: TestProject;
  /** Value of `vectis:name`. */
  readonly name: string;
  /** PEM roots that clients trust beside the CA's. */
  roots = "";
  readonly #folder: string;
  #outputs: StackOutputs | undefined;

  private constructor(name: string, folder: string, lab: Lab, stack: TestProject) {
    this.name = name;
    this.#folder = folder;
    this.lab = lab;
    this.stack = stack;
  }

  /**
   * Brings the lab up and prepares the product's stack, which is not brought up yet. `group` is a short name,
   * `labConfig` stack configuration of the lab beyond what it needs.
   */
  static async prepare(group: string, labConfig: Readonly<Record<string, unknown>> = {}): Promise<Site> {
    await removeLeftovers();
    execFileSync(join(projectRoot, "lab", "https-ca"));
    const name = `${prefix}${group}`;
    const labName = `${prefix}lab-${group}`;
    const folder = join(tmpdir(), name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const offset = await freeOffset();
    const lab = new Lab(labName, join(folder, "lab"), await freeSubnet(), offset + managementPort, labConfig);
    const site = new Site(
      name,
      folder,
      lab,
      new TestProject(projectRoot, join(folder, "stack"), siteConfig(name, offset, lab)),
    );
    started.add(site);
    await lab.project.init();
    await lab.project.up();
    await site.stack.init();
    return site;
  }

  /** A site on which everything is as it should be. */
  static async start(group: string): Promise<Site> {
    const site = await Site.prepare(group);
    await site.up();
    await site.asExpected();
    // The last that Traefik orders; until then orders may still begin.
    await site.policy();
    return site;
  }

  async up(...args: readonly string[]): Promise<string> {
    const text = await this.stack.up(...args);
    this.#outputs = parseOutputs(await this.stack.outputs());
    return text;
  }

  get outputs(): StackOutputs {
    if (this.#outputs === undefined) throw new Error(`${this.name} is not up`);
    return this.#outputs;
  }

  get containers(): StackOutputs["containers"] {
    return this.outputs.containers;
  }

  /** Where clients find the site, trusting the root that the CA has now, and `roots`. */
  async target(): Promise<Target> {
    const { hostname, certificateNames, alsoKeyType, endpoints, https } = this.outputs;
    return {
      hostname,
      names: certificateNames,
      alsoKeyType,
      endpoints,
      https,
      ca: (await this.lab.root()) + this.roots,
    };
  }

  async verdict(): Promise<Verdict> {
    const target = await this.target();
    return judge(target, await inspectPorts(target));
  }

  /** Waits until every port is as it should be, and returns the verdict that says so. */
  async asExpected({ deadline = 120, interval = 500 }: Patience = {}): Promise<Verdict> {
    let last = "no verdict";
    try {
      return await until(
        "every port as expected",
        async () => {
          const verdict = await this.verdict();
          last = missing(verdict);
          return verdict.asExpected && verdict;
        },
        { deadline, interval },
      );
    } catch (error) {
      const sidecar = (await logs(this.containers.acme)).trimEnd().split("\n").slice(-20).join("\n");
      throw new Error(`${String(error)}: ${last}\nThe sidecar says:\n${sidecar}`, { cause: error });
    }
  }

  /** Waits until the MTA-STS policy is served under the policy host's own certificate, and returns it. */
  async policy(): Promise<string> {
    const { endpoints, ca } = await this.target();
    const [domain] = this.stack.config["vectis:domains"] as readonly string[];
    const servername = `mta-sts.${domain}`;
    const { host, port } = endpoints.https;
    const options = { host, port, path: "/.well-known/mta-sts.txt", headers: { host: servername }, servername, ca };
    return until(`the policy at ${servername}`, () => {
      return new Promise<string>((resolve, reject) => {
        const request = get({ ...options, agent: false, timeout: 5_000 }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () =>
            response.statusCode === 200 ? resolve(text) : reject(new Error(`answered with ${response.statusCode}`)),
          );
        });
        request.on("timeout", () => request.destroy(new Error("no answer")));
        request.on("error", reject);
      });
    });
  }

  /** Waits until Docker calls every container of the product healthy. */
  async healthy(): Promise<void> {
    for (const role of roles) {
      await until(
        `${role} healthy`,
        async () => (await inspect(this.containers[role])).State.Health?.Status === "healthy",
      );
    }
  }

  /** Serial numbers by port. */
  async serials(): Promise<Record<number, string>> {
    return Object.fromEntries((await this.asExpected()).rows.map(({ port, serial }) => [port, serial]));
  }

  /** Runs a command in a container of the product. */
  exec(role: Role, ...command: readonly string[]): Promise<string> {
    return docker("exec", this.containers[role], ...command);
  }

  /** Name of the generation that is published. */
  async generation(): Promise<string> {
    return this.exec("acme", "readlink", "/etc/ssl/mail/current");
  }

  /** When the published generation was switched to, in milliseconds since the epoch. */
  async publishedAt(): Promise<number> {
    return Number(await this.exec("acme", "stat", "-c", "%.3Z", "/etc/ssl/mail/current")) * 1000;
  }

  /** Serial number of the published certificate, as the prober writes it. */
  async publishedSerial(): Promise<string> {
    const text = await this.exec("acme", "openssl", "x509", "-noout", "-serial", "-in", "/etc/ssl/mail/fullchain.pem");
    return text.replace("serial=", "");
  }

  /** Renews the mail certificate with the guide's command. */
  forceRenewal(): Promise<string> {
    return this.exec("acme", "acme.sh", "--renew", "--domain", this.outputs.hostname, "--force");
  }

  /** Names of everything of the product that Docker has, the lab excepted. */
  async resources(): Promise<string[]> {
    return (await Promise.all(kinds.map((kind) => named(kind, this.name)))).flat();
  }

  async remove(): Promise<void> {
    started.delete(this);
    await removeAll(this.name);
    await removeAll(this.lab.name);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const started = new Set<Site>();

/** Removes the site of a group, or every site of this process; those that failed half-way included. */
export async function removeSites(group?: string): Promise<void> {
  for (const site of started) {
    if (group === undefined || site.name === `${prefix}${group}`) await site.remove();
  }
}

/** The local stack's configuration, moved to names, ports and networks of its own. */
function siteConfig(name: string, portOffset: number, lab: Lab): StackFile {
  const dev = parse(readFileSync(join(projectRoot, "Pulumi.dev.yaml"), "utf8")) as StackFile;
  const tls = dev.config["vectis:tls"] as Readonly<Record<string, unknown>>;
  return {
    ...dev,
    config: {
      ...dev.config,
      "vectis:name": name,
      "vectis:publish": { address: "127.0.0.1", portOffset, networks: [lab.name] },
      "vectis:resolvers": [lab.dns],
      "vectis:tls": { ...tls, acme: { directory: lab.directory, caBundle: Lab.httpsRoot } },
      "vectis:addresses": [...addresses],
      "vectis:dns": { provider: "cloudflare", zones: lab.cloudflare.zones },
      "cloudflare:apiToken": lab.cloudflare.deploymentToken,
      "cloudflare:baseUrl": lab.cloudflare.baseUrl,
      "vectis:data": "delete",
    },
  };
}

const managementPort = 1_500;

/**
 * An offset at which nothing listens on any port that a site publishes, or must not publish. All below 32768: from
 * there on the kernel takes ports for outgoing connections, and one that was free is in use a moment later.
 */
export async function freeOffset(): Promise<number> {
  const ports = [80, managementPort, managementPort + 1, ...clearTextPorts, ...tlsServices.map(({ port }) => port)];
  for (let offset = 12_000; offset <= 30_000; offset += 2_000) {
    const free = await Promise.all(ports.map((port) => isFree(offset + port)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error("no free range of ports on 127.0.0.1");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/**
 * A subnet that Docker gives out at this moment, shown by taking it: a daemon that was killed may still hold one for a
 * network that it no longer lists. Begins where no other run does.
 */
async function freeSubnet(): Promise<string> {
  const trial = `${prefix}trial`;
  for (let turn = 0; turn < 256; turn++) {
    const subnet = `10.214.${(process.pid + turn) % 256}.0/24`;
    const taken = await docker("network", "create", "--subnet", subnet, trial).then(
      () => true,
      (error: unknown) => {
        if (/overlap|conflict/i.test(String(error))) return false;
        throw error;
      },
    );
    if (!taken) continue;
    await docker("network", "rm", trial);
    return subnet;
  }
  throw new Error("no free subnet in 10.214.0.0/16");
}

/** What runs that were killed have left behind: names that carry the id of a process that is gone. */
async function removeLeftovers(): Promise<void> {
  const names = [...(await Promise.all(kinds.map((kind) => named(kind, "vt")))).flat(), ...readdirSync(tmpdir())];
  const owners = new Set(names.flatMap((name) => /^vt(\d+)-/.exec(name)?.[1] ?? []));
  for (const owner of owners) {
    if (isTestRun(owner)) continue;
    await removeAll(`vt${owner}-`);
    for (const folder of readdirSync(tmpdir()).filter((name) => name.startsWith(`vt${owner}-`))) {
      rmSync(join(tmpdir(), folder), { recursive: true, force: true });
    }
  }
}

/** Whether that process runs now and is not another one with a number that has come round again. */
function isTestRun(pid: string): boolean {
  try {
    return /\/node\b|^node\b/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false; // gone
  }
}
