// Mail clients as tests need them: SMTP, IMAP and POP3 sessions that stay open across whatever happens to the server.
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Duplex } from "node:stream";
import { LineReader, smtpReply, smtpStartTls } from "../../cli/lines.ts";
import { open, type Address } from "../../cli/probe.ts";

const patience = 15_000;

export interface Trust {
  readonly hostname: string;
  /** PEM roots. */
  readonly ca: string;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

export interface Message {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
}

/** Implicit TLS with a verified chain; undefined trust takes any certificate. */
async function secure(socket: Duplex, trust: Trust): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connectTls({ socket, servername: trust.hostname, ca: trust.ca, minVersion: "TLSv1.2" }, () =>
      resolve(tls),
    );
    tls.once("error", reject);
  });
}

async function connectSecurely(address: Address, trust: Trust): Promise<TLSSocket> {
  const tls = await secure(await open(address, patience), trust);
  tls.on("error", () => {});
  return tls;
}

/** The serial number of the certificate that a session was opened with. */
function serialOf(socket: Duplex): string {
  return "getPeerX509Certificate" in socket ? ((socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? "") : "";
}

export class SmtpSession {
  readonly #reader: LineReader;
  readonly greeting: string;

  private constructor(reader: LineReader, greeting: string) {
    this.#reader = reader;
    this.greeting = greeting;
  }

  static async plain(address: Address): Promise<SmtpSession> {
    const socket = await open(address, patience);
    socket.on("error", () => {});
    const reader = new LineReader(socket);
    return new SmtpSession(reader, await smtpReply(reader, patience));
  }

  static async startTls(address: Address, trust: Trust): Promise<SmtpSession> {
    const socket = await open(address, patience);
    const offered = await smtpStartTls(socket, patience);
    const tls = await secure(socket, trust);
    tls.on("error", () => {});
    return new SmtpSession(new LineReader(tls), offered);
  }

  static async implicit(address: Address, trust: Trust): Promise<SmtpSession> {
    const reader = new LineReader(await connectSecurely(address, trust));
    return new SmtpSession(reader, await smtpReply(reader, patience));
  }

  get serial(): string {
    return serialOf(this.#reader.socket);
  }

  /** Sends one command and returns the whole reply. */
  async command(line: string): Promise<string> {
    this.#reader.socket.write(`${line}\r\n`);
    return smtpReply(this.#reader, patience);
  }

  async expect(code: string, line: string): Promise<string> {
    const reply = await this.command(line);
    if (!reply.startsWith(code)) throw new Error(`${line.split(" ")[0]} was answered by: ${reply}`);
    return reply;
  }

  ehlo(): Promise<string> {
    return this.expect("250", "EHLO client.test");
  }

  async login({ user, password }: Login): Promise<void> {
    await this.ehlo();
    await this.expect("235", `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`);
  }

  /** Sends a message and returns the server's answer to it. */
  async send({ from, to, subject }: Message): Promise<string> {
    await this.expect("250", `MAIL FROM:<${from}>`);
    await this.expect("250", `RCPT TO:<${to}>`);
    await this.expect("354", "DATA");
    const head = [`From: <${from}>`, `To: <${to}>`, `Subject: ${subject}`, `Message-ID: <${subject}@client.test>`];
    return this.expect("250", [...head, "", `This is ${subject}.`, "."].join("\r\n"));
  }

  async quit(): Promise<void> {
    await this.command("QUIT").catch(() => undefined);
    this.#reader.socket.destroy();
  }
}

export class ImapSession {
  readonly #reader: LineReader;
  #tag = 0;

  private constructor(reader: LineReader) {
    this.#reader = reader;
  }

  static async open(address: Address, trust: Trust, login: Login): Promise<ImapSession> {
    const reader = new LineReader(await connectSecurely(address, trust));
    const greeting = await reader.line(patience);
    if (!greeting.startsWith("* OK")) throw new Error(`greeted with: ${greeting}`);
    const session = new ImapSession(reader);
    await session.command(`LOGIN ${login.user} ${login.password}`);
    await session.command("SELECT INBOX");
    return session;
  }

  get serial(): string {
    return serialOf(this.#reader.socket);
  }

  /** Sends one command and returns the untagged lines of its answer, literals included. */
  async command(text: string): Promise<string[]> {
    const tag = `a${++this.#tag}`;
    this.#reader.socket.write(`${tag} ${text}\r\n`);
    return this.#untilTagged(tag, text);
  }

  async #untilTagged(tag: string, what: string): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      let line = await this.#reader.line(patience);
      for (let literal = /\{(\d+)\}$/.exec(line); literal !== null; literal = /\{(\d+)\}$/.exec(line)) {
        line += `\n${await this.#reader.bytes(Number(literal[1]), patience)}${await this.#reader.line(patience)}`;
      }
      if (!line.startsWith(`${tag} `)) lines.push(line);
      else if (line.startsWith(`${tag} OK`)) return lines;
      else throw new Error(`${what.split(" ")[0]} was answered by: ${line}`);
    }
  }

  /** The whole message with this subject, or undefined while it has not arrived. */
  async messageWith(subject: string): Promise<string | undefined> {
    const found = await this.command(`SEARCH SUBJECT "${subject}"`);
    const number = found.find((line) => line.startsWith("* SEARCH "))?.split(" ")[2];
    if (number === undefined) return undefined;
    return (await this.command(`FETCH ${number} BODY.PEEK[]`)).join("\n");
  }

  /** Starts IDLE (RFC 2177). `newMessage` waits for one; `done` ends it. Both reject if the server has hung up. */
  async idle(): Promise<{ readonly done: () => Promise<string[]>; readonly newMessage: () => Promise<void> }> {
    const tag = `a${++this.#tag}`;
    this.#reader.socket.write(`${tag} IDLE\r\n`);
    const answer = await this.#reader.line(patience);
    if (!answer.startsWith("+")) throw new Error(`IDLE was answered by: ${answer}`);
    return {
      newMessage: async () => {
        // Dovecot says "* OK Still here" from time to time.
        for (let line = ""; !/^\* \d+ EXISTS/.test(line);) line = await this.#reader.line(patience);
      },
      done: async () => {
        this.#reader.socket.write("DONE\r\n");
        return this.#untilTagged(tag, "IDLE");
      },
    };
  }

  async logout(): Promise<void> {
    await this.command("LOGOUT").catch(() => undefined);
    this.#reader.socket.destroy();
  }
}

export class Pop3Session {
  readonly #reader: LineReader;

  private constructor(reader: LineReader) {
    this.#reader = reader;
  }

  static async open(address: Address, trust: Trust, login: Login): Promise<Pop3Session> {
    const session = new Pop3Session(new LineReader(await connectSecurely(address, trust)));
    await session.#ok("the greeting");
    await session.command(`USER ${login.user}`);
    await session.command(`PASS ${login.password}`);
    return session;
  }

  async #ok(what: string): Promise<string> {
    const line = await this.#reader.line(patience);
    if (!line.startsWith("+OK")) throw new Error(`${what} was answered by: ${line}`);
    return line;
  }

  command(text: string): Promise<string> {
    this.#reader.socket.write(`${text}\r\n`);
    return this.#ok(text.split(" ")[0] ?? text);
  }

  /** Every message of the mailbox. */
  async messages(): Promise<string[]> {
    const count = Number((await this.command("STAT")).split(" ")[1]);
    const messages: string[] = [];
    for (let number = 1; number <= count; number++) {
      await this.command(`RETR ${number}`);
      const lines: string[] = [];
      for (let line = await this.#reader.line(patience); line !== "."; line = await this.#reader.line(patience)) {
        lines.push(line);
      }
      messages.push(lines.join("\n"));
    }
    return messages;
  }

  async quit(): Promise<void> {
    await this.command("QUIT").catch(() => undefined);
    this.#reader.socket.destroy();
  }
}
