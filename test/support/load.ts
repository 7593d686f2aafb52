// Continuous handshakes on the mail ports, counted: who got which certificate when, and what failed.
import { setTimeout as delay } from "node:timers/promises";
import { handshake, type Certificate } from "../../cli/probe.ts";
import { mailServices, tlsServices, type Target } from "../../cli/verdict.ts";

export interface Failure {
  readonly port: number;
  readonly at: number;
  readonly error: string;
}

/** When a port served a certificate: milliseconds since the epoch, each the start of a handshake (first: its end). */
export interface Served {
  first: number;
  last: number;
  count: number;
}

export interface LoadOptions {
  /** Clients on each port; default 1. */
  readonly perPort?: number;
  /** Milliseconds between two handshakes of a client; default 5. */
  readonly pause?: number;
  /** Default: the mail ports. */
  readonly services?: readonly (typeof tlsServices)[number][];
  /** Whether to count a leaf whose root is not known yet; default: none. */
  readonly accepts?: (leaf: Certificate) => boolean;
}

export class HandshakeLoad {
  readonly failures: Failure[] = [];
  /** PEM roots to trust; a CA that is rebuilt has another one. */
  ca: string;
  /** By port, then by serial number. */
  readonly served = new Map<number, Map<string, Served>>();
  /** Milliseconds of the longest successful handshake, connection and STARTTLS included. */
  slowest = 0;
  #running = true;
  readonly #workers: Promise<void>[];

  /** Starts clients on every port; every chain must verify, so a torn pair or a placeholder is a failure. */
  constructor(
    target: Target,
    { perPort = 1, pause = 5, services = mailServices, accepts = () => false }: LoadOptions = {},
  ) {
    this.ca = target.ca ?? "";
    this.#workers = services.flatMap((service) =>
      Array.from({ length: perPort }, async () => {
        while (this.#running) {
          const at = Date.now();
          try {
            const options = { hostname: target.hostname, ca: this.ca, startTls: startTls(service) };
            const seen = await handshake(target.endpoints[service.key], options);
            this.slowest = Math.max(this.slowest, Date.now() - at);
            if (seen.distrust === undefined || accepts(seen.leaf)) this.#count(service.port, seen.leaf.serial, at);
            else this.failures.push({ port: service.port, at, error: seen.distrust });
          } catch (error) {
            this.failures.push({ port: service.port, at, error: String(error) });
          }
          // A breath between two handshakes: the server shares the processor with this client.
          await delay(pause);
        }
      }),
    );
  }

  get handshakes(): number {
    return [...this.served.values()].flatMap((port) => [...port.values()]).reduce((sum, { count }) => sum + count, 0);
  }

  serialsOn(port: number): ReadonlyMap<string, Served> {
    return this.served.get(port) ?? new Map<string, Served>();
  }

  /** Ports that have served the certificate with this serial number. */
  portsServing(serial: string): number[] {
    return [...this.served].filter(([, serials]) => serials.has(serial)).map(([port]) => port);
  }

  /**
   * Milliseconds from `published` until the last handshake that still began with another certificate had begun, by
   * port; the port has served the new one from then on.
   */
  delays(serial: string, published: number): Map<number, number> {
    const delays = new Map<number, number>();
    for (const [port, serials] of this.served) {
      const first = serials.get(serial)?.first ?? Infinity;
      const older = [...serials.values()].filter((other) => other.first < first).map(({ last }) => last);
      delays.set(port, Math.max(first, ...older) - published);
    }
    return delays;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  #count(port: number, serial: string, at: number): void {
    const serials = this.served.get(port) ?? new Map<string, Served>();
    this.served.set(port, serials);
    const seen = serials.get(serial);
    if (seen === undefined) serials.set(serial, { first: Date.now(), last: at, count: 1 });
    else {
      seen.last = Math.max(seen.last, at);
      seen.count += 1;
    }
  }
}

function startTls(service: (typeof tlsServices)[number]): "smtp" | undefined {
  return "startTls" in service ? service.startTls : undefined;
}
