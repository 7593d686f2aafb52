// Who served which certificate when, as clients saw it.

/** When a port served a certificate: milliseconds since the epoch, each the start of a handshake (first: its end). */
export interface Served {
  first: number;
  last: number;
  count: number;
}

export class ServedCounts {
  /** By port, then by serial number. */
  readonly served: Map<number, Map<string, Served>>;

  constructor(served = new Map<number, Map<string, Served>>()) {
    this.served = served;
  }

  /**
   * A handshake that began at `at` (milliseconds since the epoch) and has ended now.
   * @returns whether it is the first on this port that showed this certificate
   */
  count(port: number, serial: string, at: number): boolean {
    const serials = this.served.get(port) ?? new Map<string, Served>();
    this.served.set(port, serials);
    const seen = serials.get(serial);
    if (seen === undefined) {
      serials.set(serial, { first: Date.now(), last: at, count: 1 });
      return true;
    }
    seen.last = Math.max(seen.last, at);
    seen.count += 1;
    return false;
  }

  get handshakes(): number {
    return [...this.served.values()].flatMap((port) => [...port.values()]).reduce((sum, { count }) => sum + count, 0);
  }

  serialsOn(port: number): ReadonlyMap<string, Served> {
    return this.served.get(port) ?? new Map<string, Served>();
  }

  /** Ports that have served the certificate with this serial number. */
  portsServing(serial: string): number[] {
    return [...this.served].filter(([, serials]) => serials.has(serial)).map(([port]) => port);
  }

  /**
   * Milliseconds from `published` until the last handshake that still began with another certificate had begun, by
   * port; the port has served the new one from then on.
   */
  delays(serial: string, published: number): Map<number, number> {
    const delays = new Map<number, number>();
    for (const [port, serials] of this.served) {
      const first = serials.get(serial)?.first ?? Infinity;
      const older = [...serials.values()].filter((other) => other.first < first).map(({ last }) => last);
      delays.set(port, Math.max(first, ...older) - published);
    }
    return delays;
  }
}
