// A site whose mail certificate comes from files, and many rotations of it: a new pair of files is published within a
// quarter of a second, so that a hundred rotations take minutes.
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestPki, type Issued } from "../../certd/test-pki.ts";
import { mailServices } from "../../cli/verdict.ts";
import type { MailLoad } from "./mail-load.ts";
import { Site } from "./site.ts";
import { until } from "./wait.ts";

const host = "mail.vectis.test";

export interface Rotation {
  readonly serial: string;
  /** When `current` was switched; milliseconds since the epoch. */
  readonly publishedAt: number;
}

export class FilesSite {
  readonly site: Site;
  readonly #folder: string;
  readonly #pki: TestPki;
  readonly #intermediate: Issued;

  private constructor(site: Site, pki: TestPki, intermediate: Issued) {
    this.site = site;
    this.#pki = pki;
    this.#intermediate = intermediate;
    this.#folder = join(site.stack.folder, "certs");
  }

  /** Brings a site up with the provider `custom`. */
  static async start(group: string): Promise<FilesSite> {
    const site = await Site.prepare(group);
    const pki = new TestPki();
    const root = pki.issue({ subject: "/CN=Root of the rotations", ca: true });
    const intermediate = pki.issue({ subject: "/CN=Intermediate of the rotations", ca: true, by: root });
    const files = new FilesSite(site, pki, intermediate);
    mkdirSync(files.#folder);
    files.#put(files.#issue());
    site.roots = root.pem;
    const tls = {
      ...(site.stack.config["vectis:tls"] as object),
      provider: "custom",
      certPath: join(files.#folder, "fullchain.pem"),
      keyPath: join(files.#folder, "privkey.pem"),
    };
    await site.up(...site.stack.withConfig({ "vectis:tls": tls }));
    await site.asExpected();
    return files;
  }

  #issue(): Issued {
    return this.#pki.issue({ subject: `/CN=${host}`, names: [host], by: this.#intermediate, usage: "serverAuth" });
  }

  #put({ pem, key }: Issued): void {
    for (const [name, text, mode] of [
      ["privkey.pem", key, 0o600],
      ["fullchain.pem", pem + this.#intermediate.pem, 0o644],
    ] as const) {
      const path = join(this.#folder, `.${name}`);
      writeFileSync(path, text);
      chmodSync(path, mode);
      renameSync(path, join(this.#folder, name));
    }
  }

  /**
   * Rotates under load, each time as soon as every port serves the certificate before, and its follower knows it.
   * @param takeUp called when a certificate is published, for daemons that are without their followers
   */
  async rotate(load: MailLoad, count: number, takeUp?: () => Promise<unknown>): Promise<Rotation[]> {
    // Made beforehand: openssl would take the processor from the daemons.
    const pairs = Array.from({ length: count }, () => this.#issue());
    const rotations: Rotation[] = [];
    for (const pair of pairs) {
      this.#put(pair);
      if (takeUp !== undefined) {
        await until("publication", async () => (await this.site.publishedSerial()) === pair.serial, { interval: 20 });
        await takeUp();
      }
      const what = `rotation ${rotations.length + 1} of ${count} on every port`;
      await until(what, () => Promise.resolve(load.portsServing(pair.serial).length === mailServices.length), {
        interval: 20,
      });
      rotations.push({ serial: pair.serial, publishedAt: await this.site.publishedAt() });
      if (takeUp === undefined) await this.#settled();
    }
    return rotations;
  }

  /** Waits until both followers have proven what is published, and look out for the next one. */
  async #settled(): Promise<void> {
    for (const role of ["postfix", "dovecot"] as const) {
      const script = 'read -r word generation </run/follower/status; echo "$word $generation"';
      const serving = `serving ${await this.site.generation()}`;
      await until(`${role}: ${serving}`, async () => (await this.site.exec(role, "sh", "-c", script)) === serving);
    }
  }

  removeFiles(): void {
    this.#pki.remove();
  }
}
