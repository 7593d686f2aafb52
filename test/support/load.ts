// Continuous handshakes on the mail ports, counted: who got which certificate when, and what failed.
import { setTimeout as delay } from "node:timers/promises";
import { handshake, type Certificate } from "../../cli/probe.ts";
import { mailServices, tlsServices, type Target } from "../../cli/verdict.ts";
import { ServedCounts } from "./served.ts";

export interface Failure {
  readonly port: number;
  readonly at: number;
  readonly error: string;
}

export interface LoadOptions {
  /** Clients on each port; default 1. */
  readonly perPort?: number;
  /** Milliseconds between two handshakes of a client; default 5. */
  readonly pause?: number;
  /** Signature algorithms to offer, OpenSSL's names joined by colons. Default: OpenSSL's own list. */
  readonly signatures?: string;
  /** Default: the mail ports. */
  readonly services?: readonly (typeof tlsServices)[number][];
  /** Whether to count a leaf whose root is not known yet; default: none. */
  readonly accepts?: (leaf: Certificate) => boolean;
}

export class HandshakeLoad extends ServedCounts {
  readonly failures: Failure[] = [];
  /** PEM roots to trust; a CA that is rebuilt has another one. */
  ca: string;
  /** Milliseconds of the longest successful handshake, connection and STARTTLS included. */
  slowest = 0;
  #running = true;
  readonly #workers: Promise<void>[];

  /** Starts clients on every port; every chain must verify, so a torn pair or a placeholder is a failure. */
  constructor(
    target: Target,
    { perPort = 1, pause = 5, signatures, services = mailServices, accepts = () => false }: LoadOptions = {},
  ) {
    super();
    this.ca = target.ca ?? "";
    this.#workers = services.flatMap((service) =>
      Array.from({ length: perPort }, async () => {
        while (this.#running) {
          const at = Date.now();
          try {
            const options = { hostname: target.hostname, ca: this.ca, signatures, startTls: startTls(service) };
            const seen = await handshake(target.endpoints[service.key], options);
            this.slowest = Math.max(this.slowest, Date.now() - at);
            if (seen.distrust === undefined || accepts(seen.leaf)) this.count(service.port, seen.leaf.serial, at);
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

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }
}

function startTls(service: (typeof tlsServices)[number]): "smtp" | undefined {
  return "startTls" in service ? service.startTls : undefined;
}
