// Puts the routes of the MTA-STS policy hosts (RFC 8461 section 3.3) in place, each once its host has an address: Traefik
// orders a certificate for every route that it has, and an order for a name that leads nowhere fails and counts at the CA.
import { lookup } from "node:dns/promises";
import { duration, type Journal } from "./journal.ts";
import { passed, reminderBackoff } from "./schedule.ts";
import type { TraefikFolder } from "./traefik.ts";

const INTERVAL = 60_000;

export interface PolicyHostsArgs {
  /** Traefik's dynamic configuration by host. */
  readonly routes: Readonly<Record<string, string>>;
  readonly folder: TraefikFolder;
  readonly journal: Journal;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Whether HTTPS has a certificate for a host. Never rejects. */
  readonly certified: (host: string) => Promise<boolean>;
  /** Whether a name has an address; default: as the container's DNS servers say. Never rejects. */
  readonly resolves?: (host: string) => Promise<boolean>;
}

export class PolicyHosts {
  private readonly args: PolicyHostsArgs;
  private lookAt = 0;
  private looking = false;
  /** Why the last look did not come to its end. */
  private failure: Error | undefined;
  private reminders = 0;
  private remindAt = 0;

  constructor(args: PolicyHostsArgs) {
    this.args = args;
  }

  /** Takes away the routes of hosts that are no longer wanted; called once. */
  start(): void {
    const { folder, routes } = this.args;
    for (const host of folder.hosts()) if (routes[host] === undefined) folder.setHost(host, undefined);
  }

  /**
   * Called in every pass. A route that is in place stays: a failed look-up is no reason to stop serving a policy.
   * @throws until a look succeeds again, if the last one could not read or write the routes
   */
  tick(): void {
    const now = this.args.clock();
    if (!this.looking && passed(this.lookAt, now)) {
      this.lookAt = now + INTERVAL;
      this.looking = true;
      void this.look()
        .then(
          () => (this.failure = undefined),
          (error: unknown) => (this.failure = error instanceof Error ? error : new Error(String(error))),
        )
        .finally(() => (this.looking = false));
    }
    if (this.failure !== undefined) throw this.failure;
  }

  private async look(): Promise<void> {
    const { folder, journal, routes, certified, resolves = hasAddress } = this.args;
    const bare: string[] = [];
    for (const [host, route] of Object.entries(routes)) {
      if (!folder.hosts().includes(host) && !(await resolves(host))) {
        journal.say(
          host,
          `${host} has no address yet, so the MTA-STS policy is not served there; looked up again every minute. ` +
            "What to do: publish the records of the stack (`pulumi stack output`), or set vectis:dns.mtaSts to off.",
        );
        continue;
      }
      journal.settle(host);
      if (folder.setHost(host, route)) journal.log(`The MTA-STS policy is served at https://${host} from now on.`);
      else if (!(await certified(host))) bare.push(host);
    }
    this.remind(bare);
  }

  /** Traefik does not repeat an order that failed until its configuration changes: make a change, ever more rarely. */
  private remind(bare: readonly string[]): void {
    const { folder, journal, clock } = this.args;
    if (bare.length === 0) this.reminders = this.remindAt = 0;
    if (bare.length === 0 || !passed(this.remindAt, clock())) return;
    const marker = folder.nudge();
    const wait = reminderBackoff(++this.reminders);
    this.remindAt = clock() + wait;
    journal.log(
      `HTTPS has no certificate for ${bare.join(", ")} yet; Traefik is asked to look again (marker ${marker}), ` +
        `next in ${duration(Math.max(wait, INTERVAL))} if need be. What to do: look into Traefik's log (\`docker logs\`).`,
    );
  }
}

async function hasAddress(host: string): Promise<boolean> {
  try {
    await lookup(host);
    return true;
  } catch {
    return false;
  }
}
