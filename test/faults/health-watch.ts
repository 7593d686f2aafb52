// Asks the health API over 443 once a second, as a monitor does, and keeps what it said and when.
import { request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import type { Health } from "../../certd/health.ts";
import type { Target } from "../../cli/verdict.ts";

/** As Pulumi.dev.yaml has it. */
const token = "dev-health-token";
/** The rate limit lets one request a second through. */
const interval = 1_000;

export interface Reading {
  /** Milliseconds since the epoch at which it was asked for. */
  readonly at: number;
  /** Undefined if there was no answer. */
  readonly health: Health | undefined;
}

export class HealthWatch {
  readonly readings: Reading[] = [];
  readonly #target: Target;
  readonly #roots: () => string;
  #running = true;
  readonly #loop: Promise<void>;

  /** @param roots PEM roots to trust at the moment */
  constructor(target: Target, roots: () => string) {
    this.#target = target;
    this.#roots = roots;
    this.#loop = this.#watch();
  }

  async #watch(): Promise<void> {
    while (this.#running) {
      const at = Date.now();
      const answer = await this.#ask().catch(() => undefined);
      if (answer !== "limited") this.readings.push({ at, health: answer });
      await delay(Math.max(0, at + interval - Date.now()));
    }
  }

  #ask(): Promise<Health | "limited" | undefined> {
    const { endpoints, hostname } = this.#target;
    const { host, port } = endpoints.https;
    const headers = { host: hostname, authorization: `Bearer ${token}` };
    const options = { host, port, path: "/api/v1/health", headers, servername: hostname, ca: this.#roots() };
    return new Promise((resolve, reject) => {
      const call = request({ ...options, agent: false, timeout: 5_000 }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.once("error", reject).once("end", () => {
          if (response.statusCode === 429) return resolve("limited");
          resolve([200, 503].includes(response.statusCode ?? 0) ? parse(text) : undefined);
        });
      });
      call.once("timeout", () => call.destroy(new Error("no answer")));
      call.once("error", reject).end();
    });
  }

  /** The first reading from a moment on for which something holds. */
  first(from: number, holds: (reading: Reading) => boolean): Reading | undefined {
    return this.readings.find((reading) => reading.at >= from && holds(reading));
  }

  /** Since when something holds without interruption; undefined if it does not hold now or nothing was read since `from`. */
  since(from: number, holds: (reading: Reading) => boolean): number | undefined {
    const later = this.readings.filter(({ at }) => at >= from);
    const lastNot = later.findLastIndex((reading) => !holds(reading));
    return later[lastNot + 1]?.at;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#loop;
  }
}

/** A proxy's own error page with one of these status codes is no report. */
function parse(text: string): Health | undefined {
  try {
    return JSON.parse(text) as Health;
  } catch {
    return undefined;
  }
}
