// Reads the key exchange group off the wire: Node's getEphemeralKeyInfo() is silent about hybrid KEMs. RFC 8446 §4.1.3,
// §4.2.8; for TLS 1.2 the ServerKeyExchange of RFC 8422 §5.4.
import { Duplex } from "node:stream";

/** IANA "TLS Supported Groups". */
const groups: Readonly<Record<number, string>> = {
  0x0017: "secp256r1",
  0x0018: "secp384r1",
  0x0019: "secp521r1",
  0x001d: "X25519",
  0x001e: "X448",
  0x0100: "ffdhe2048",
  0x0101: "ffdhe3072",
  0x0102: "ffdhe4096",
  0x11eb: "SecP256r1MLKEM768",
  0x11ec: "X25519MLKEM768",
  0x11ed: "SecP384r1MLKEM1024",
};

const record = { handshake: 22 } as const;
const message = { serverHello: 2, serverKeyExchange: 12 } as const;
const keyShareExtension = 51;

/** The group named in what a server has sent so far, or undefined while (or if) it names none. */
export function groupInServerFlight(flight: Buffer): string | undefined {
  let group: number | undefined;
  for (const { type, body } of handshakeMessages(flight)) {
    // A HelloRetryRequest is a ServerHello too: the last one counts.
    if (type === message.serverHello) group = keyShare(body) ?? group;
    if (type === message.serverKeyExchange && body[0] === 3) group = body.readUInt16BE(1);
  }
  return group === undefined ? undefined : (groups[group] ?? `0x${group.toString(16).padStart(4, "0")}`);
}

function* handshakeMessages(flight: Buffer): Generator<{ type: number; body: Buffer }> {
  const fragments: Buffer[] = [];
  for (let at = 0; at + 5 <= flight.length;) {
    const length = flight.readUInt16BE(at + 3);
    if (flight[at] === record.handshake) fragments.push(flight.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  const stream = Buffer.concat(fragments);
  for (let at = 0; at + 4 <= stream.length;) {
    const length = stream.readUIntBE(at + 1, 3);
    if (at + 4 + length > stream.length) return;
    yield { type: stream.readUInt8(at), body: stream.subarray(at + 4, at + 4 + length) };
    at += 4 + length;
  }
}

function keyShare(hello: Buffer): number | undefined {
  const afterRandom = 2 + 32;
  const extensions = afterRandom + 1 + hello.readUInt8(afterRandom) + 2 + 1 + 2;
  for (let at = extensions; at + 4 <= hello.length; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) === keyShareExtension) return hello.readUInt16BE(at + 4);
  }
  return undefined;
}

/** Passes a connection through and keeps the first bytes that the server sent. */
export class Tap extends Duplex {
  readonly #inner: Duplex;
  readonly #limit = 32 * 1024;
  #seen: Buffer[] = [];
  #length = 0;

  constructor(inner: Duplex) {
    super({ allowHalfOpen: true });
    this.#inner = inner;
    inner.on("data", (chunk: Buffer) => {
      if (this.#length < this.#limit) {
        this.#seen.push(chunk);
        this.#length += chunk.length;
      }
      if (!this.push(chunk)) inner.pause();
    });
    inner.on("end", () => this.push(null));
    inner.on("error", (error) => this.destroy(error));
    inner.on("close", () => this.destroy());
  }

  get received(): Buffer {
    return Buffer.concat(this.#seen);
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#inner.write(chunk, encoding, done);
  }

  override _final(done: () => void): void {
    this.#inner.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner.destroy();
    done(error);
  }
}
