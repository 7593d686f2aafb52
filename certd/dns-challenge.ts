// DNS-01 from certd's side: may the token change the zones before an order counts at the CA, and are the TXT records
// gone afterwards. acme.sh's hook makes them, and notes each one in a folder before it does.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type ApiResult, CloudflareClient } from "./cloudflare.ts";
import { undelegated } from "./delegation.ts";
import { challengeName } from "./names.ts";
import type { Lookups } from "./name-servers.ts";

/** Zone ids at Cloudflare by zone name; `.` stands for every name. */
export type Zones = Readonly<Record<string, string>>;

/** A record that may exist. */
interface Note {
  readonly file: string;
  readonly zone: string;
  readonly name: string;
  readonly value: string;
}

export interface CleanUp {
  /** Names of the records that were still there and have been removed. */
  readonly removed: readonly string[];
  /** Why some may still be there; `undefined`: none is. */
  readonly failure: Exclude<ApiResult<unknown>, { kind: "ok" }> | undefined;
}

/** Id of the zone with the longest name that holds a name (a wildcard counts as its parent); `undefined` if none does. */
export function zoneOf(zones: Zones, name: string): string | undefined {
  for (let zone = name.replace(/^\*\./, ""); zone !== ""; zone = zone.split(".").slice(1).join(".")) {
    if (zones[zone] !== undefined) return zones[zone];
  }
  return zones["."];
}

/** Challenges in a zone of their own. */
export interface Delegation {
  /** Name of that zone. */
  readonly zone: string;
  /** Name of all TXT records, which every name's `_acme-challenge` is an alias of. */
  readonly target: string;
  /** Default: the real DNS. */
  readonly lookups?: Lookups;
}

export interface DnsChallengeArgs {
  readonly zones: Zones;
  /** Names of the order. */
  readonly names: readonly string[];
  readonly client: CloudflareClient;
  /** Folder in which the hook notes the records that it makes. */
  readonly notes: string;
  readonly tokenFile: string;
  /** Undefined: the records are made in the names' own zones. */
  readonly delegation: Delegation | undefined;
}

export class DnsChallenge {
  private readonly names: readonly string[];
  private readonly zones: readonly string[];
  private readonly client: CloudflareClient;
  private readonly notes: string;
  private readonly tokenFile: string;
  private readonly delegation: Delegation | undefined;

  constructor({ zones, names, client, notes, tokenFile, delegation }: DnsChallengeArgs) {
    this.names = [...new Set(names.map(challengeName))];
    this.zones = [...new Set(names.map((name) => zoneOf(zones, name) ?? ""))];
    this.client = client;
    this.notes = notes;
    this.tokenFile = tokenFile;
    this.delegation = delegation;
  }

  /**
   * Whether the API lets the token at every zone of the order, and the CA will be led there. An order that finds out costs a
   * failed authorisation.
   */
  async ready(): Promise<ApiResult<unknown>> {
    const { delegation } = this;
    for (const zone of this.zones) {
      const answer = await this.client.mayUse(zone);
      if (answer.kind !== "ok") return answer;
      if (delegation !== undefined && answer.result !== delegation.zone)
        return { kind: "refused", cause: `Cloudflare calls zone ${zone} ${answer.result}, not ${delegation.zone}` };
    }
    const cause = delegation && (await undelegated(this.names, delegation.target, delegation.lookups));
    return cause === undefined ? { kind: "ok", result: undefined } : { kind: "unavailable", cause };
  }

  /** Which token there is, without saying it: another text after each replacement. */
  tokenMark(): string {
    const stat = statSync(this.tokenFile, { throwIfNoEntry: false });
    return stat === undefined ? "none" : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  }

  /** Whether a record may have been left behind. Cheap. */
  get leftovers(): boolean {
    return existsSync(this.notes) && readdirSync(this.notes).length > 0;
  }

  private read(): readonly Note[] {
    return readdirSync(this.notes).flatMap((file): Note[] => {
      const path = join(this.notes, file);
      const [, zone, name, value] = /^([0-9a-f]{32}) (\S+) (\S+)\n$/.exec(readFileSync(path, "utf8")) ?? [];
      // A note that was never finished is older than its record, which does not exist.
      if (!file.endsWith(".txt") || zone === undefined || name === undefined || value === undefined) {
        rmSync(path, { force: true });
        return [];
      }
      return [{ file: path, zone, name, value }];
    });
  }

  /** Removes what notes tell of; only while no order runs. A note goes when its record has been seen to be gone. */
  async cleanUp(): Promise<CleanUp> {
    const removed: string[] = [];
    try {
      return { removed, failure: await this.removeNoted(removed) };
    } catch (error) {
      // A note that cannot be read or removed, say: the record is looked for again.
      return {
        removed,
        failure: { kind: "unavailable", cause: error instanceof Error ? error.message : String(error) },
      };
    }
  }

  /** @param removed takes the names of the records that were removed */
  private async removeNoted(removed: string[]): Promise<CleanUp["failure"]> {
    let failure: CleanUp["failure"];
    for (const note of this.leftovers ? this.read() : []) {
      const found = await this.client.txtRecords(note.zone, note.name);
      if (found.kind !== "ok") {
        failure ??= found;
        continue;
      }
      const answers: ApiResult<unknown>[] = [];
      for (const { id } of found.result.filter(({ value }) => value === note.value)) {
        answers.push(await this.client.remove(note.zone, id));
        removed.push(note.name);
      }
      const refused = answers.find((answer) => answer.kind !== "ok");
      if (refused === undefined) rmSync(note.file, { force: true });
      else failure ??= refused;
    }
    return failure;
  }
}
