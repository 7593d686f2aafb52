// A sender's view of DANE, sampled: which TLSA records a validating resolver gives, and which key port 25 serves.
import { createSocket } from "node:dgram";
import { setTimeout as delay } from "node:timers/promises";
import packet from "dns-packet";
import { handshake } from "../../cli/probe.ts";
import type { Target } from "../../cli/verdict.ts";

interface Sample<T> {
  /** Milliseconds since the epoch: for records the answer, for a key the start of the handshake. */
  readonly at: number;
  readonly value: T;
}

export class TlsaWatch {
  readonly #sets: Sample<readonly string[]>[] = [];
  readonly #keys: Sample<string>[] = [];
  readonly #failures: string[] = [];
  #running = true;
  readonly #loops: Promise<void>[];

  constructor({ name, resolver, target }: { name: string; resolver: string; target: Target }) {
    const { hostname, ca, endpoints } = target;
    this.#loops = [
      this.#every(500, async () => {
        const value = await secureTlsa(name, resolver);
        this.#sets.push({ at: Date.now(), value });
      }),
      this.#every(100, async () => {
        const at = Date.now();
        const { leaf } = await handshake(endpoints.smtp, { hostname, ca, startTls: "smtp" });
        this.#keys.push({ at, value: leaf.publicKeySha256 });
      }),
    ];
  }

  async #every(pause: number, look: () => Promise<void>): Promise<void> {
    while (this.#running) {
      await look().catch((error: unknown) => this.#failures.push(String(error)));
      // A breath between two looks; what is awaited is the end of the watch.
      await delay(pause);
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  /**
   * Compares every handshake with every record set that was given out in the TTL before it, as any cache may hold it.
   * @param ttl seconds
   */
  judge(ttl: number): { handshakes: number; keys: number; unmatched: readonly string[] } {
    const unmatched = this.#keys.flatMap(({ at, value }) =>
      this.#sets
        .filter((set) => set.at <= at && set.at > at - ttl * 1000)
        .filter((set) => !set.value.includes(value))
        .map((set) => `${new Date(at).toISOString()}: the key is not in the set of ${new Date(set.at).toISOString()}`),
    );
    const keys = new Set(this.#keys.map(({ value }) => value)).size;
    return { handshakes: this.#keys.length, keys, unmatched: [...this.#failures, ...unmatched] };
  }
}

/** TLSA data (SHA-256 of keys, upper-case hex) from a resolver that validates. Rejects unless the answer is secure. */
export function secureTlsa(name: string, resolver: string): Promise<string[]> {
  const id = Math.floor(Math.random() * 65_536);
  const query = packet.encode({
    type: "query",
    id,
    flags: packet.RECURSION_DESIRED | packet.AUTHENTIC_DATA,
    questions: [{ type: "TLSA", class: "IN", name }],
  });
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const timer = setTimeout(() => socket.close(() => reject(new Error(`${resolver} does not answer`))), 5_000);
    socket.once("message", (message) => {
      clearTimeout(timer);
      socket.close();
      const answer = packet.decode(message);
      if (!answer.flag_ad) return reject(new Error(`the answer for ${name} is not secure`));
      resolve(
        (answer.answers ?? []).flatMap((record) =>
          record.type === "TLSA" ? [record.data.certificate.toString("hex").toUpperCase()] : [],
        ),
      );
    });
    socket.send(query, 53, resolver);
  });
}
