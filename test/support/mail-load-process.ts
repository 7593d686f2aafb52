// The process of mail-load.ts: runs the clients, tells what is seen for the first time, and reports at the end.
import { constants, setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import { smtpStartTls } from "../../cli/lines.ts";
import { open } from "../../cli/probe.ts";
import { mailServices, type Target } from "../../cli/verdict.ts";
import { ImapSession, SmtpSession } from "./clients.ts";
import type { Failure } from "./load.ts";
import type { FromLoad, MailLoadOptions, ToLoad } from "./mail-load.ts";
import { ServedCounts } from "./served.ts";
import { alice, bob } from "./site.ts";
import { until } from "./wait.ts";

const patience = 10_000;
/** Submission servers hang up on a client that says nothing for five minutes (RFC 5321 section 4.5.3.2.7). */
const keepAlive = 60_000;

const tell = (message: FromLoad): void => void process.send?.(message);
/** As `tell`; resolves when it is on its way, however long it is. */
const tellAll = (message: FromLoad): Promise<unknown> => new Promise((resolve) => process.send?.(message, resolve));

type MailService = (typeof mailServices)[number];

/** One verified handshake; resolves to the leaf's serial number. Without the probe's analyses: cheap for the client. */
async function meet(target: Target, service: MailService, context: SecureContext): Promise<string> {
  const socket = await open(target.endpoints[service.key], patience);
  socket.on("error", () => {});
  try {
    if ("startTls" in service) await smtpStartTls(socket, patience);
    return await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no handshake in time")), patience);
      const tls = connectTls({ socket, servername: target.hostname, secureContext: context }, () =>
        resolve(tls.getPeerX509Certificate()?.serialNumber ?? ""),
      );
      tls.once("error", reject);
      tls.once("close", () => reject(new Error("the peer closed the connection during the handshake")));
      tls.once("secureConnect", () => clearTimeout(timer));
    });
  } finally {
    socket.destroy();
  }
}

class Clients {
  readonly #target: Target;
  readonly #trust: { readonly hostname: string; readonly ca: string };
  readonly #options: MailLoadOptions;
  readonly #counts = new ServedCounts();
  readonly #failures: Failure[] = [];
  readonly #lost: string[] = [];
  readonly #submissionFailures: string[] = [];
  readonly #run = `load${process.pid}`;
  #accepted = 0;
  #slowest = 0;
  #running = true;
  readonly #ends: (() => Promise<void>)[] = [];
  #workers: Promise<void>[] = [];
  #ticker: NodeJS.Timeout | undefined;

  constructor(target: Target, options: MailLoadOptions) {
    this.#target = target;
    this.#trust = { hostname: target.hostname, ca: target.ca ?? "" };
    this.#options = options;
  }

  async start(): Promise<void> {
    const { idling, held, perPort, submitEvery } = this.#options;
    for (let n = 0; n < idling; n++) this.#ends.push(await this.#idle());
    for (let n = 0; n < held; n++) this.#ends.push(await this.#hold());
    const context = createSecureContext({ ca: this.#trust.ca, minVersion: "TLSv1.2" });
    this.#workers = [
      ...mailServices.flatMap((service) => Array.from({ length: perPort }, () => this.#handshakes(service, context))),
      this.#submissions(submitEvery),
    ];
    this.#ticker = setInterval(() => tell({ kind: "handshakes", total: this.#counts.handshakes }), 500);
  }

  async #handshakes(service: MailService, context: SecureContext): Promise<void> {
    while (this.#running) {
      const at = Date.now();
      try {
        const serial = await meet(this.#target, service, context);
        this.#slowest = Math.max(this.#slowest, Date.now() - at);
        if (this.#counts.count(service.port, serial, at)) tell({ kind: "first", port: service.port, serial });
      } catch (error) {
        this.#failures.push({ port: service.port, at, error: String(error) });
      }
      // A breath between two handshakes: the servers share the processor with this client.
      await delay(this.#options.pause);
    }
  }

  /** Opens a session in IDLE; what is returned ends it in order. */
  async #idle(): Promise<() => Promise<void>> {
    const session = await ImapSession.open(this.#target.endpoints.imaps, this.#trust, bob);
    const idle = await session.idle();
    return async () => {
      await idle.done();
      await session.command("NOOP");
      await session.logout();
    };
  }

  /** Logs in for submission and stays; what is returned delivers and quits. */
  async #hold(): Promise<() => Promise<void>> {
    const session = await SmtpSession.startTls(this.#target.endpoints.submission, this.#trust);
    await session.login(alice);
    let last: Promise<unknown> = Promise.resolve();
    const timer = setInterval(() => {
      last = session.command("NOOP").catch(() => {});
    }, keepAlive);
    return async () => {
      clearInterval(timer);
      await last;
      await this.#deliver(session, "held");
      await session.quit();
    };
  }

  async #submissions(every: number): Promise<void> {
    const { submission, submissions } = this.#target.endpoints;
    for (let n = 0; this.#running; n++) {
      const at = new Date().toISOString();
      try {
        const session =
          n % 2 === 0
            ? await SmtpSession.startTls(submission, this.#trust)
            : await SmtpSession.implicit(submissions, this.#trust);
        await session.login(alice);
        await this.#deliver(session, String(n));
        await session.quit();
      } catch (error) {
        this.#submissionFailures.push(`${at} ${n % 2 === 0 ? 587 : 465}: ${String(error)}`);
      }
      await delay(every);
    }
  }

  async #deliver(session: SmtpSession, what: string): Promise<void> {
    await session.send({ from: alice.user, to: bob.user, subject: `${this.#run}-${what}` });
    this.#accepted += 1;
  }

  async stop(): Promise<void> {
    this.#running = false;
    clearInterval(this.#ticker);
    await Promise.all(this.#workers);
    const opened = this.#ends.length;
    for (const end of this.#ends) await end().catch((error: unknown) => this.#lost.push(String(error)));
    await tellAll({
      kind: "report",
      report: {
        handshakes: this.#counts.handshakes,
        failures: this.#failures,
        served: this.#counts.served,
        slowest: this.#slowest,
        sessions: { opened, lost: this.#lost },
        submissions: {
          accepted: this.#accepted,
          arrived: await this.#arrived(),
          failures: this.#submissionFailures,
        },
      },
    });
  }

  /** How many of the accepted messages are in the mailbox; waits for the last ones. */
  async #arrived(): Promise<number> {
    const session = await ImapSession.open(this.#target.endpoints.imaps, this.#trust, bob);
    let seen = 0;
    await until(
      "every accepted message in the mailbox",
      async () => {
        const found = await session.command(`SEARCH SUBJECT "${this.#run}-"`);
        seen = (found.find((line) => line.startsWith("* SEARCH"))?.split(" ").length ?? 2) - 2;
        return seen >= this.#accepted;
      },
      { deadline: 30 },
    ).catch(() => {});
    await session.logout();
    return seen;
  }
}

// Mail clients run on machines of their own: here they give way to the servers, which share the processor with them.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

let clients: Clients | undefined;
process.on("message", (message: ToLoad) => {
  void (async () => {
    if (message === "stop") {
      await clients?.stop();
      process.disconnect();
    } else {
      clients = new Clients(message.start.target, message.start.options);
      await clients.start();
      tell({ kind: "ready" });
    }
  })();
});
// A test that was killed takes its load with it.
process.on("disconnect", () => process.exit());
