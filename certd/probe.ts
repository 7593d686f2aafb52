// Connects to a port like a client and reports the leaf certificate that it serves.
// A tiny STARTTLS client over node:net and node:tls; judges nothing.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { X509Certificate } from "node:crypto";
import type { Endpoint, ProbeMode } from "./settings.ts";
import { factsOf, type LeafFacts } from "./validate.ts";

/** What one connection found: the served leaf, or why there is none. */
export type Seen = { readonly leaf: LeafFacts } | { readonly error: string };

/** What a look at a port found; `rsa`: what a client without ECDSA is served, if that was asked for. */
export type ProbeResult = { readonly leaf: LeafFacts; readonly rsa?: Seen } | { readonly error: string };

/** Signature algorithms of a client that takes no ECDSA, under OpenSSL's names. */
export const RSA_SIGNATURES =
  "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/** Polite last words, by port; anything else is just closed. */
const GOODBYE: Readonly<Record<number, string>> = {
  25: "QUIT\r\n",
  465: "QUIT\r\n",
  587: "QUIT\r\n",
  993: "a LOGOUT\r\n",
  995: "QUIT\r\n",
};

/** Speaks SMTP up to the answer to STARTTLS (RFC 3207 section 4). */
function startTls(socket: Socket, done: (error?: string) => void): void {
  const commands = ["EHLO certd.localhost\r\n", "STARTTLS\r\n"];
  let received = "";
  const onData = (chunk: Buffer): void => {
    received += chunk.toString("latin1");
    if (received.length > 8192) return finish("the SMTP greeting is too long");
    // The last line of a reply has a space after its code.
    const reply = /^(?:\d{3}-.*\r?\n)*(\d{3})(?: .*)?\r?\n$/.exec(received);
    if (reply === null) return;
    const code = reply[1] ?? "";
    const last = received.trimEnd().split("\n").at(-1)?.trim() ?? "";
    received = "";
    if (!code.startsWith("2")) return finish(`SMTP answered: ${last}`);
    const command = commands.shift();
    if (command === undefined) return finish();
    socket.write(command);
  };
  const finish = (error?: string): void => {
    socket.off("data", onData);
    done(error);
  };
  socket.on("data", onData);
}

export interface ProbeOptions {
  /** For everything together, name lookup included; milliseconds, default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Signature algorithms to offer, OpenSSL's names joined by colons. Default: OpenSSL's own list, ECDSA first. */
  readonly signatures?: string;
}

/**
 * One connection to a port. Never rejects.
 * @param serverName the name asked for by SNI
 */
export function probe(
  target: Endpoint & { readonly mode: ProbeMode },
  serverName: string,
  { timeoutMs = 5000, signatures }: ProbeOptions = {},
): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: target.host, port: target.port, noDelay: true });
    const settle = (result: Seen): void => {
      clearTimeout(timer);
      resolve(result);
    };
    const fail = (error: string): void => {
      settle({ error });
      socket.destroy();
    };
    const timer = setTimeout(() => fail(`no TLS within ${timeoutMs / 1000} s`), timeoutMs);
    const handshake = (): void => {
      // Trust is not the question here: the leaf is compared with the published one, byte for byte.
      const sigalgs = signatures === undefined ? {} : { sigalgs: signatures };
      const secure = connectTls({ socket, servername: serverName, rejectUnauthorized: false, ...sigalgs });
      secure.once("secureConnect", () => {
        const raw = secure.getPeerCertificate(true).raw as Buffer | undefined;
        if (raw === undefined) return fail("the server sent no certificate");
        settle({ leaf: factsOf(new X509Certificate(raw)) });
        secure.setTimeout(2000, () => secure.destroy());
        secure.on("data", () => undefined);
        secure.end(GOODBYE[target.port] ?? "");
      });
      secure.once("error", (error: Error) => fail(error.message));
      secure.once("close", () => fail("the connection was closed during the handshake"));
    };
    socket.once("error", (error) => fail(error.message));
    socket.once("close", () => fail("the connection was closed"));
    socket.once("connect", () => {
      if (target.mode === "implicit") return handshake();
      startTls(socket, (error) => (error === undefined ? handshake() : fail(error)));
    });
  });
}

/** Looks at a port, and on request a second time as a client without ECDSA. Never rejects. */
export async function look(
  target: Endpoint & { readonly mode: ProbeMode },
  serverName: string,
  rsaToo: boolean,
): Promise<ProbeResult> {
  const [seen, rsa] = await Promise.all([
    probe(target, serverName),
    rsaToo ? probe(target, serverName, { signatures: RSA_SIGNATURES }) : undefined,
  ]);
  return "error" in seen || rsa === undefined ? seen : { ...seen, rsa };
}
