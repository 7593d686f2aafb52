// Reaching the Docker Engine: which address, whether it answers, the client (loaded on first use), and errors a person can read.
import { request } from "node:http";
import { flushCompileCache } from "node:module";
import type Docker from "dockerode";

export type Address =
  | { readonly is: "socket"; readonly path: string }
  | { readonly is: "tcp"; readonly host: string; readonly port: number };

/**
 * @param host `unix:///var/run/docker.sock` or `tcp://127.0.0.1:2375`
 * @throws Error that names the key and a good value
 */
export function parseHost(host: string): Address {
  const example = "set docker:host (or DOCKER_HOST) to unix:///var/run/docker.sock or tcp://127.0.0.1:2375";
  if (host.startsWith("unix://")) {
    const path = host.slice("unix://".length);
    if (!path.startsWith("/")) throw new Error(`docker host '${host}' has no absolute path; ${example}`);
    return { is: "socket", path };
  }
  if (host.startsWith("tcp://")) {
    const url = URL.parse(`http://${host.slice("tcp://".length)}`);
    if (url === null || url.hostname === "") throw new Error(`docker host '${host}' is no address; ${example}`);
    return { is: "tcp", host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 2375 : Number(url.port) };
  }
  throw new Error(`docker host '${host}' is not supported by this stand-in for the docker provider; ${example}`);
}

/** Waits for one answer of the engine. Uses plain HTTP, so that a run without changes never loads the client. */
export function ping(address: Address, timeoutMilliseconds = 10_000): Promise<void> {
  const target = address.is === "socket" ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const call = request({ ...target, path: "/_ping", timeout: timeoutMilliseconds }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`it answered ${response.statusCode ?? "nothing"}`));
    });
    call.on("timeout", () => call.destroy(new Error(`no answer within ${timeoutMilliseconds / 1000} s`)));
    call.on("error", reject);
    call.end();
  });
}

export function describe(address: Address): string {
  return address.is === "socket" ? `unix://${address.path}` : `tcp://${address.host}:${address.port}`;
}

export async function connect(address: Address): Promise<Docker> {
  const { default: Client } = await import("dockerode");
  setTimeout(flushCompileCache, 500).unref();
  return address.is === "socket"
    ? new Client({ socketPath: address.path })
    : new Client({ protocol: "http", host: address.host, port: address.port });
}

/** The HTTP status of a failed call, if the engine answered at all. */
export function statusOf(error: unknown): number | undefined {
  return typeof error === "object" && error !== null && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : undefined;
}

/** The engine's own sentence, without the client's prefix ("(HTTP code 404) no such container - "). */
export function reason(error: unknown): string {
  if (typeof error === "object" && error !== null && "json" in error) {
    const { json } = error;
    if (typeof json === "object" && json !== null && "message" in json && typeof json.message === "string") {
      return json.message.trim();
    }
  }
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^\(HTTP code \d+\) [a-z -]*? - /, "").trim();
}

/** Undefined in place of "404 not found"; every other failure is thrown. */
export async function found<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** Adds what was being done to a failure of the engine. */
export async function attempt<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new Error(`${what}: ${reason(error)}`, { cause: error });
  }
}
