// Reads a text protocol (SMTP, IMAP, POP3) line by line from a socket. Knows no protocol; hands the socket on untouched.
import type { Duplex } from "node:stream";

export class LineReader {
  readonly socket: Duplex;
  #buffer = Buffer.alloc(0);
  #ended: Error | undefined;
  #waiting: (() => void) | undefined;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("data", this.#onData);
    socket.on("error", this.#onError);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
  }

  /** The next line without its CRLF. Rejects when the peer closes, or after `timeout` milliseconds of silence. */
  async line(timeout: number): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf("\n");
      if (end >= 0) {
        const line = this.#buffer.subarray(0, end).toString("utf8").replace(/\r$/, "");
        this.#buffer = this.#buffer.subarray(end + 1);
        return line;
      }
      await this.#more(timeout);
    }
  }

  /** Exactly `length` bytes (an IMAP literal). */
  async bytes(length: number, timeout: number): Promise<string> {
    while (this.#buffer.length < length) await this.#more(timeout);
    const bytes = this.#buffer.subarray(0, length).toString("utf8");
    this.#buffer = this.#buffer.subarray(length);
    return bytes;
  }

  /** Stops listening, so that TLS can take the socket over. What arrived early would be a STARTTLS injection (RFC 3207 §4.2). */
  release(): void {
    if (this.#buffer.length > 0) throw new Error(`bytes before the TLS handshake: ${this.#buffer.toString("utf8")}`);
    this.socket.off("data", this.#onData);
    this.socket.off("error", this.#onError);
    this.socket.off("end", this.#onEnd);
    this.socket.off("close", this.#onEnd);
    this.socket.pause();
  }

  #more(timeout: number): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(new Error(`no answer within ${timeout / 1000} s`));
      }, timeout);
      this.#waiting = () => {
        clearTimeout(timer);
        this.#waiting = undefined;
        if (this.#ended !== undefined) reject(this.#ended);
        else resolve();
      };
    });
  }

  #onData = (chunk: Buffer): void => {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    this.#waiting?.();
  };
  #onError = (error: Error): void => {
    this.#ended ??= error;
    this.#waiting?.();
  };
  #onEnd = (): void => {
    this.#ended ??= new Error("the peer closed the connection");
    this.#waiting?.();
  };
}

/** One SMTP reply, all its lines joined (RFC 5321 §4.2.1: a hyphen after the code means that more follow). */
export async function smtpReply(reader: LineReader, timeout: number): Promise<string> {
  const lines: string[] = [];
  for (;;) {
    const line = await reader.line(timeout);
    lines.push(line);
    if (line[3] !== "-") return lines.join("\n");
  }
}

/** Brings a fresh SMTP connection to the point where the TLS handshake starts; returns what EHLO offered in clear. */
export async function smtpStartTls(socket: Duplex, timeout: number): Promise<string> {
  const reader = new LineReader(socket);
  const expect = async (code: string, command?: string): Promise<string> => {
    if (command !== undefined) socket.write(`${command}\r\n`);
    const reply = await smtpReply(reader, timeout);
    if (!reply.startsWith(code)) throw new Error(`${command ?? "the greeting"} was answered by: ${reply}`);
    return reply;
  };
  await expect("220");
  const offered = await expect("250", "EHLO probe.invalid");
  if (!/^250[- ]STARTTLS$/m.test(offered)) throw new Error("STARTTLS is not offered");
  await expect("220", "STARTTLS");
  reader.release();
  return offered;
}
