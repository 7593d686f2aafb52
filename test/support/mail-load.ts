// Mail clients in a process of their own, so that what they see and when does not depend on what a test does meanwhile:
// handshakes on every mail port, sessions in IDLE, submissions at any moment. What they do is in mail-load-process.ts.
import { fork, type ChildProcess } from "node:child_process";
import type { Target } from "../../cli/verdict.ts";
import type { Failure } from "./load.ts";
import { ServedCounts, type Served } from "./served.ts";

export interface MailLoadOptions {
  /** Clients on each port that make one handshake after the other. */
  readonly perPort: number;
  /** Milliseconds between two handshakes of a client. */
  readonly pause: number;
  /** IMAP sessions that stay in IDLE from the beginning to the end. */
  readonly idling: number;
  /** Submission sessions, logged in, that stay open from the beginning to the end and then deliver. */
  readonly held: number;
  /** Milliseconds between two submissions, in turns on 465 and 587: connect, log in, deliver, quit. */
  readonly submitEvery: number;
}

export interface MailLoadReport {
  readonly handshakes: number;
  readonly failures: readonly Failure[];
  readonly served: Map<number, Map<string, Served>>;
  /** Milliseconds of the longest handshake, connection and STARTTLS included. */
  readonly slowest: number;
  readonly sessions: { readonly opened: number; readonly lost: readonly string[] };
  readonly submissions: {
    readonly accepted: number;
    /** Accepted messages that were in the mailbox at the end. */
    readonly arrived: number;
    readonly failures: readonly string[];
  };
}

/** What the processes tell each other. */
export type ToLoad = { readonly start: { readonly target: Target; readonly options: MailLoadOptions } } | "stop";
export type FromLoad =
  | { readonly kind: "ready" }
  | { readonly kind: "handshakes"; readonly total: number }
  | { readonly kind: "first"; readonly port: number; readonly serial: string }
  | { readonly kind: "report"; readonly report: MailLoadReport };

const moderate: MailLoadOptions = { perPort: 2, pause: 25, idling: 4, held: 2, submitEvery: 150 };

export class MailLoad {
  /** Handshakes so far; a moment old. */
  handshakes = 0;
  readonly #child: ChildProcess;
  readonly #ports = new Map<string, Set<number>>();
  readonly #report: Promise<MailLoadReport>;

  private constructor(child: ChildProcess, report: Promise<MailLoadReport>) {
    this.#child = child;
    this.#report = report;
  }

  /** Resolves when all sessions are open and handshakes are being made. */
  static async start(target: Target, options: Partial<MailLoadOptions> = {}): Promise<MailLoad> {
    const child = fork(new URL("mail-load-process.ts", import.meta.url), { serialization: "advanced" });
    let ready = (): void => {};
    const running = new Promise<void>((resolve) => (ready = resolve));
    const report = new Promise<MailLoadReport>((resolve, reject) => {
      child.on("message", (message: FromLoad) => {
        if (message.kind === "report") resolve(message.report);
      });
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the load ended with code ${code}`)));
    });
    const load = new MailLoad(child, report);
    child.on("message", (message: FromLoad) => {
      switch (message.kind) {
        case "ready":
          return ready();
        case "handshakes":
          load.handshakes = message.total;
          return;
        case "first":
          load.#ports.set(message.serial, (load.#ports.get(message.serial) ?? new Set()).add(message.port));
          return;
        case "report":
          return;
      }
    });
    const start: ToLoad = { start: { target, options: { ...moderate, ...options } } };
    child.send(start);
    await Promise.race([running, report]);
    return load;
  }

  /** Ports on which a client has met the certificate with this serial number. */
  portsServing(serial: string): number[] {
    return [...(this.#ports.get(serial) ?? [])];
  }

  /** Ends every client in order, the sessions that were held open last. */
  async stop(): Promise<MailLoadReport> {
    if (this.#child.connected) this.#child.send("stop" satisfies ToLoad);
    return this.#report;
  }

  /** Ends the process at once; for a test that has failed. */
  abandon(): void {
    this.#report.catch(() => {});
    this.#child.kill();
  }
}

/** The counts of a report, with their questions. */
export function countsOf(report: MailLoadReport): ServedCounts {
  return new ServedCounts(report.served);
}
