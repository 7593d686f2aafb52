// Full handshakes per second on 465 and 993: in the containers, and on the same files and configuration outside of any
// container (a chroot into a copy of the container's files, on the host's network), in turns in one run.
import { execFile, spawn, execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { listens, type Address } from "../cli/probe.ts";
import { docker, inspect } from "../test/support/docker.ts";
import type { Site } from "../test/support/site.ts";
import { until } from "../test/support/wait.ts";
import { summarise, type Summary } from "./statistics.ts";

const run = promisify(execFile);

export interface HandshakeRates {
  readonly port: 465 | 993;
  /** Handshakes per second at the published port, that is, through Docker's proxy for 127.0.0.1. */
  readonly published: Summary;
  /** At the container's own address. */
  readonly container: Summary;
  /** The same daemon outside a container. */
  readonly outside: Summary;
}

const clients = 4;
const seconds = 4;
const turns = 3;

/** Full handshakes per second that four clients get, written in C so that the daemon is what is measured. */
async function rate({ host, port }: Address): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: clients }, async () => {
      const args = ["s_time", "-connect", `${host}:${port}`, "-new", "-time", String(seconds)];
      const { stdout } = await run("openssl", args);
      return Number(/(\d+) connections in \d+ real seconds/.exec(stdout)?.[1]);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / seconds;
}

/** A daemon outside a container: what its configuration is changed to, and what starts it. */
interface Outside {
  readonly role: "postfix" | "dovecot";
  readonly port: 465 | 993;
  readonly file: string;
  readonly change: (text: string, port: number) => string;
  readonly command: string;
}

const others = (port: number): readonly number[] => [port + 1, port + 2];

const outside: readonly Outside[] = [
  {
    role: "postfix",
    port: 465,
    file: "etc/postfix/master.cf",
    change: (text, port) => {
      const [smtp = 0, submission = 0] = others(port);
      return text
        .replace(/^smtp inet/m, `127.0.0.1:${smtp} inet`)
        .replace(/^submissions inet/m, `127.0.0.1:${port} inet`)
        .replace(/^submission inet/m, `127.0.0.1:${submission} inet`);
    },
    command: "postfix start-fg",
  },
  {
    role: "dovecot",
    port: 993,
    file: "run/vectis/dovecot.conf",
    change: (text, port) => {
      const [pop3 = 0] = others(port);
      return text.replace("port = 993", `port = ${port}`).replace("port = 995", `port = ${pop3}`);
    },
    command: "dovecot -F -c /run/vectis/dovecot.conf",
  },
];

function childrenOf(pid: number | undefined): number[] {
  if (pid === undefined || !existsSync(`/proc/${pid}`)) return [];
  return (readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").match(/\d+/g) ?? []).map(Number);
}

/** Runs `work` with the daemon of a container running a second time, outside of it. */
async function withOutside<T>(site: Site, daemon: Outside, port: number, work: () => Promise<T>): Promise<T> {
  // Nobody else gets at its secrets; whoever is in it must be able to enter its root.
  const folder = mkdtempSync(join(tmpdir(), "vectis-outside-"));
  const root = join(folder, "root");
  mkdirSync(root, { mode: 0o755 });
  const container = site.containers[daemon.role];
  const sasl = (await inspect(container)).Mounts.find(({ Destination }) => Destination === "/run/sasl")?.Source ?? "";
  const unpack = (from: string): void => void execFileSync("sh", ["-c", `${from} | tar -x -C "$1"`, "sh", root]);
  unpack(`docker export ${container}`);
  unpack(`docker exec ${container} tar -c -C / run/vectis`);
  for (const folder of ["run/sasl", "dev", "proc"]) mkdirSync(join(root, folder), { recursive: true });
  const file = join(root, daemon.file);
  writeFileSync(file, daemon.change(readFileSync(file, "utf8"), port));
  // Namespaces of mounts and processes: both are gone with the first process in them.
  const script = `mount --bind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount --bind "$2" "$1/run/sasl" &&
    exec chroot "$1" ${daemon.command}`;
  const log = join(folder, "log");
  const output = openSync(log, "w");
  const child = spawn("unshare", ["--mount", "--pid", "--fork", "sh", "-c", script, "sh", root, sasl], {
    // A file: a daemon that opens /dev/stdout anew cannot do so with Node.js's pipes, which are sockets.
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const failed = ended.then(() => {
    throw new Error(`${daemon.role} outside a container ended: ${readFileSync(log, "utf8")}`);
  });
  failed.catch(() => undefined);
  const up = until(`${daemon.role} outside a container`, () => listens({ host: "127.0.0.1", port }), { deadline: 20 });
  try {
    await Promise.race([up, failed]);
    return await Promise.race([work(), failed]);
  } finally {
    // The first process of the namespace, and with it all others; unshare itself only waits for it.
    for (const pid of childrenOf(child.pid)) process.kill(pid, "SIGKILL");
    await ended;
    await until("its port closed", async () => !(await listens({ host: "127.0.0.1", port })), { deadline: 20 });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Both ports, each in three turns. */
export async function measureHandshakes(site: Site): Promise<readonly HandshakeRates[]> {
  const results: HandshakeRates[] = [];
  for (const daemon of outside) {
    const published = site.outputs.endpoints[daemon.port === 465 ? "submissions" : "imaps"];
    const address = await docker(
      "inspect",
      "--format",
      "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
      site.containers[daemon.role],
    );
    const container = { host: address.split(" ")[0] ?? "", port: daemon.port };
    const free = published.port + 20_000 > 60_000 ? published.port + 5 : published.port + 20_000;
    await withOutside(site, daemon, free, async () => {
      const rates: Record<"published" | "container" | "outside", number[]> = {
        published: [],
        container: [],
        outside: [],
      };
      for (let turn = 0; turn < turns; turn++) {
        rates.published.push(await rate(published));
        rates.container.push(await rate(container));
        rates.outside.push(await rate({ host: "127.0.0.1", port: free }));
      }
      results.push({
        port: daemon.port,
        published: summarise(rates.published),
        container: summarise(rates.container),
        outside: summarise(rates.outside),
      });
    });
  }
  return results;
}
