// Keeps what the API knows: in a file, written whole before an answer, and in the zones' DNS, tried until it is there.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { firstState, type Answer, type State } from "./api.ts";
import { publish, publishedNames, type DnsServer } from "./dns.ts";
import { zones } from "./seed.ts";

const retry = 1000;

export class Keeper {
  readonly state: State;
  readonly #file: string;
  readonly #server: DnsServer;
  /** Names whose records the DNS has to take up, by zone id. */
  readonly #pending = new Map(zones.map(({ id }) => [id, new Set<string>()]));
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(file: string, server: DnsServer) {
    this.#file = file;
    this.#server = server;
    this.state = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as State) : firstState(new Date());
  }

  /** Makes the zones what the file says: what it does not know goes, names that only the DNS has included. */
  async resync(): Promise<void> {
    for (const zone of zones) {
      const pending = this.#pending.get(zone.id);
      try {
        const known = (this.state.records[zone.id] ?? []).map(({ name }) => name);
        for (const name of [...(await publishedNames(zone.name, this.#server)), ...known]) pending?.add(name);
      } catch (error) {
        console.log(`the DNS of ${zone.name} does not answer, once more in a second: ${String(error)}`);
        setTimeout(() => void this.resync(), retry);
        return;
      }
    }
    await this.commit();
  }

  note({ zone, names }: NonNullable<Answer["changed"]>): void {
    for (const name of names) this.#pending.get(zone.id)?.add(name);
  }

  /** Resolves once everything noted so far is in the file, and in the DNS unless that does not answer. */
  commit(): Promise<void> {
    // Those who come while a run is going on share the next one.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const run = this.#run();
      this.#running = run.catch(() => undefined);
      return run;
    });
    return this.#next;
  }

  async #run(): Promise<void> {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.state));
    renameSync(`${this.#file}.new`, this.#file);
    for (const { id, name } of zones) {
      const pending = this.#pending.get(id) ?? new Set();
      const names = [...pending];
      pending.clear();
      try {
        await publish(name, names, this.state.records[id] ?? [], this.#server);
      } catch (error) {
        names.forEach((one) => pending.add(one));
        console.log(`the DNS did not take up ${names.join(", ")}, once more in a second: ${String(error)}`);
        setTimeout(() => void this.commit(), retry);
      }
    }
  }
}
