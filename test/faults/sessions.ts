// The mailbox and submission sessions that are open while something happens to the site.
import type { Target } from "../../cli/verdict.ts";
import { ImapSession, Pop3Session, SmtpSession } from "../support/clients.ts";
import { alice, bob } from "../support/site.ts";

interface OpenSession {
  readonly port: number;
  /** Uses the session and ends it; rejects if the server has hung up. */
  readonly use: () => Promise<unknown>;
}

export class Sessions {
  readonly #open: readonly OpenSession[];
  #lost: Promise<number[]> | undefined;

  private constructor(open: readonly OpenSession[]) {
    this.#open = open;
  }

  /** Two that wait in IDLE, a POP3 session, and on each submission port one that is logged in. */
  static async open({ hostname, endpoints, ca = "" }: Target): Promise<Sessions> {
    const trust = { hostname, ca };
    const idle = async (): Promise<OpenSession> => {
      const session = await ImapSession.open(endpoints.imaps, trust, bob);
      const idling = await session.idle();
      const use = async () => {
        await idling.done();
        await session.command("NOOP");
        await session.logout();
      };
      return { port: 993, use };
    };
    const pop3 = async (): Promise<OpenSession> => {
      const session = await Pop3Session.open(endpoints.pop3s, trust, alice);
      return { port: 995, use: () => session.command("NOOP").then(() => session.quit()) };
    };
    const submission = async (port: 465 | 587): Promise<OpenSession> => {
      const session = await (port === 465
        ? SmtpSession.implicit(endpoints.submissions, trust)
        : SmtpSession.startTls(endpoints.submission, trust));
      await session.login(alice);
      const use = async () => {
        await session.send({ from: alice.user, to: bob.user, subject: `fault-${port}-${Date.now()}` });
        await session.quit();
      };
      return { port, use };
    };
    return new Sessions(await Promise.all([idle(), idle(), pop3(), submission(465), submission(587)]));
  }

  get count(): number {
    return this.#open.length;
  }

  /** Uses and ends them, once; ports of those that the server has hung up on. */
  lost(): Promise<number[]> {
    this.#lost ??= this.#use();
    return this.#lost;
  }

  async #use(): Promise<number[]> {
    const ports = this.#open.map(({ port, use }) =>
      use().then(
        () => [],
        () => [port],
      ),
    );
    return (await Promise.all(ports)).flat();
  }
}
