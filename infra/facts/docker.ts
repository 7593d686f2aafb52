// Which Docker host the stack goes to, and which ports are taken there. Reads; judges nothing.
import { request } from "node:http";
import { readFile } from "node:fs/promises";

/** `local`: its files and ports are those of this machine. `remote`: neither can be seen from here. */
export type DockerHost =
  { readonly is: "local"; readonly socket: string } | { readonly is: "remote"; readonly address: string };

/** The host that the Docker provider talks to: `docker:host`, else DOCKER_HOST, else the local socket. */
export function dockerHost(
  config: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): DockerHost {
  const context = config["docker:context"];
  if (context !== undefined && context !== "default") return { is: "remote", address: `the context ${context}` };
  const address = config["docker:host"] || environment["DOCKER_HOST"] || "unix:///var/run/docker.sock";
  return address.startsWith("unix://")
    ? { is: "local", socket: address.slice("unix://".length) }
    : { is: "remote", address };
}

export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/** A container and, while it runs, the ports of the host that it publishes. */
export interface PortHolder {
  readonly name: string;
  /** Value of its label `vectis.stack`; undefined if the stack did not make it. */
  readonly owner: string | undefined;
  /** Value of its label `vectis.pulumi-stack`; undefined if it has none. */
  readonly pulumiStack: string | undefined;
  readonly ports: readonly SocketAddress[];
}

export interface PortFacts {
  readonly containers: readonly PortHolder[];
  /** Everything that listens on this machine, Docker's own proxies included. */
  readonly listeners: readonly SocketAddress[];
}

/** Ports in use on a local Docker host; undefined if the engine does not answer, which the provider will report. */
export async function portFacts(socket: string, milliseconds: number): Promise<PortFacts | undefined> {
  try {
    const [containers, listeners] = await Promise.all([publishedPorts(socket, milliseconds), listeningSockets()]);
    return { containers, listeners };
  } catch {
    return undefined;
  }
}

interface EngineContainer {
  readonly Names: readonly string[];
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly Ports: readonly { readonly IP?: string; readonly PublicPort?: number; readonly Type: string }[];
}

async function publishedPorts(socket: string, milliseconds: number): Promise<PortHolder[]> {
  const path = "/containers/json?all=true";
  const found = JSON.parse(await engine(socket, path, milliseconds)) as readonly EngineContainer[];
  return found.map(({ Names, Labels, Ports }) => ({
    name: Names[0]?.replace(/^\//, "") ?? "",
    owner: Labels?.["vectis.stack"],
    pulumiStack: Labels?.["vectis.pulumi-stack"],
    ports: Ports.flatMap(({ IP, PublicPort, Type }) =>
      PublicPort === undefined || Type !== "tcp" ? [] : [{ ip: IP ?? "0.0.0.0", port: PublicPort }],
    ),
  }));
}

function engine(socketPath: string, path: string, milliseconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(milliseconds);
    const call = request({ socketPath, path, signal, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("error", reject);
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${response.statusCode ?? ""}`)),
      );
    });
    call.on("error", reject);
    call.end();
  });
}

/** Listening TCP sockets as Linux lists them; none on other systems. */
async function listeningSockets(): Promise<SocketAddress[]> {
  const tables = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readFile(path, "utf8").catch(() => "")),
  );
  return tables.flatMap(parseSockets);
}

const LISTEN = "0A";

/** The listening sockets of a text in the format of /proc/net/tcp and tcp6 (proc(5)). */
export function parseSockets(table: string): SocketAddress[] {
  return table.split("\n").flatMap((row) => {
    const [, local = "", , state] = row.trim().split(/\s+/);
    const [address = "", port = ""] = local.split(":");
    return state === LISTEN ? [{ ip: fromHex(address), port: parseInt(port, 16) }] : [];
  });
}

/** Each group of four bytes is written as one number in the machine's byte order: little-endian wherever Docker runs. */
function fromHex(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex")].reverse());
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0));
  // A URL's host is the shortest form (RFC 5952).
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]`).hostname.slice(1, -1);
}
