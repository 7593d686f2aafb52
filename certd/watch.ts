// Watches ports: probes each at its own pace, remembers what it serves, and tells when that changes for good or ill.
import { probeInterval } from "./schedule.ts";
import type { Endpoint, ProbeMode } from "./settings.ts";
import type { ProbeResult, Seen } from "./probe.ts";
import type { LeafFacts } from "./validate.ts";

export type WatchTarget = Endpoint & { readonly mode: ProbeMode };

export interface Watched {
  readonly target: WatchTarget;
  result: ProbeResult | undefined;
  checkedAt: number;
  agrees: boolean;
  /** Since when it has not agreed; 0 while it agrees. */
  differsSince: number;
  /** The difference has been told. */
  told: boolean;
  /** Milliseconds from the last publication until it was first seen served here. */
  servedAfter: number | undefined;
}

/** How sentences name a port. */
export function portName(port: Watched): string {
  return `${port.target.port} (${port.target.host})`;
}

/** What a port was last seen to serve, as the end of a sentence about it. */
export function served(port: Watched): string {
  if (port.result === undefined) return "has not answered yet";
  if ("error" in port.result) return `gives no certificate (${port.result.error})`;
  const { leaf, rsa } = port.result;
  const theirs =
    rsa === undefined ? "" : "error" in rsa ? `none (${rsa.error})` : `the one with serial ${rsa.leaf.serial}`;
  return (
    `serves the certificate with serial ${leaf.serial} by ${leaf.issuer}` +
    (theirs === "" ? "" : ` and, to clients without ECDSA, ${theirs}`)
  );
}

/** A difference shorter than this is a switch in progress; milliseconds. */
export const GRACE = 5000;

export interface WatchEvents {
  /** A port has not agreed for longer than the grace time; told once. */
  differs(port: Watched): void;
  /** A difference that was told is over. */
  repaired(port: Watched, after: number): void;
  /** Every port serves what was last published, for the first time. */
  allServed(ports: readonly Watched[]): void;
}

export class PortWatch {
  readonly ports: readonly Watched[];
  private readonly agreement: (leaf: LeafFacts, rsa: Seen | undefined) => boolean;
  private readonly look: (target: WatchTarget) => Promise<ProbeResult>;
  private readonly clock: () => number;
  private readonly events: WatchEvents;
  private readonly busy = new Set<Watched>();
  private since: number;
  private expectation = "";
  private announced = true;

  /**
   * @param agreement whether a served leaf is what should be served now, and what clients without ECDSA see if that was
   * looked at
   * @param look one connection, never rejecting
   */
  constructor(
    targets: readonly WatchTarget[],
    agreement: (leaf: LeafFacts, rsa: Seen | undefined) => boolean,
    look: (target: WatchTarget) => Promise<ProbeResult>,
    clock: () => number,
    events: WatchEvents,
  ) {
    this.agreement = agreement;
    this.look = look;
    this.clock = clock;
    this.events = events;
    this.since = clock();
    this.ports = targets.map((target) => ({
      target,
      result: undefined,
      checkedAt: 0,
      agrees: false,
      differsSince: this.since,
      told: false,
      servedAfter: undefined,
    }));
  }

  /** Something else is to be served from now on; `name` identifies it. */
  expect(name: string): void {
    if (name === this.expectation) return;
    this.expectation = name;
    this.since = this.clock();
    this.announced = false;
    for (const port of this.ports) {
      port.servedAfter = undefined;
      if (port.agrees) port.differsSince = this.since;
      port.agrees = false;
      port.checkedAt = 0;
    }
  }

  get allAgree(): boolean {
    return this.ports.every((port) => port.agrees);
  }

  /** Starts the probes that are due. Call it often. */
  tick(): void {
    const now = this.clock();
    for (const port of this.ports) {
      const due = port.checkedAt + probeInterval(port.agrees, now - Math.max(this.since, port.differsSince));
      if (this.busy.has(port) || (now < due && port.checkedAt <= now)) continue;
      this.busy.add(port);
      const expectation = this.expectation;
      void this.look(port.target).then((result) => {
        this.busy.delete(port);
        // An answer to a connection made before the switch says nothing about the switch.
        if (expectation === this.expectation) this.take(port, result);
      });
    }
  }

  private take(port: Watched, result: ProbeResult): void {
    const now = this.clock();
    port.result = result;
    port.checkedAt = now;
    const agrees = "leaf" in result && this.agreement(result.leaf, result.rsa);
    if (agrees) {
      port.servedAfter ??= now - this.since;
      if (port.told) this.events.repaired(port, now - port.differsSince);
      port.told = false;
      port.differsSince = 0;
    } else {
      if (port.agrees || port.differsSince === 0) port.differsSince = now;
      if (!port.told && now - port.differsSince > GRACE) {
        port.told = true;
        this.events.differs(port);
      }
    }
    port.agrees = agrees;
    if (!this.announced && this.allAgree) {
      this.announced = true;
      this.events.allServed(this.ports);
    }
  }
}
