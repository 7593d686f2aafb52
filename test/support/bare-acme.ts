// The packaged acme.sh with its own dns_cf, past certd, the wrapper and their hook: what the stack is compared with.
import { docker } from "./docker.ts";
import { Lab, type Site } from "./site.ts";

/** A home of acme.sh in the sidecar, beside the stack's. */
export class BareAcme {
  readonly #container: string;
  readonly #directory: string;
  readonly #settings: Readonly<Record<string, string>>;

  /** `token` is for Cloudflare's API, `zone` the id of the one zone that every name is in. */
  constructor(site: Site, token: string, zone: string) {
    this.#container = site.containers.acme;
    this.#directory = site.lab.directory;
    const home = "/tmp/bare-acme";
    const homes = { HOME: home, LE_WORKING_DIR: home, LE_CONFIG_HOME: home };
    this.#settings = { ...homes, CF_Token: token, CF_Zone_ID: zone, ROOT: Lab.httpsRoot };
  }

  /**
   * Orders for these names, each time anew, and resolves to what acme.sh printed and `code N`. It waits one second
   * instead of asking public resolvers for the TXT record, which know nothing of the lab.
   */
  order(...names: readonly string[]): Promise<string> {
    const domains = names.map((name) => `-d '${name}'`).join(" ");
    return this.#run(
      'umask 077; mkdir -p "$HOME"; printf %s "$ROOT" >"$HOME/root.pem"',
      `/usr/bin/acme.sh --issue --force --dns dns_cf ${domains} --server ${this.#directory} \\`,
      '  --ca-bundle "$HOME/root.pem" --keylength ec-256 --dnssleep 1 2>&1; echo "code $?"',
    );
  }

  /** Removes account, keys and certificates. */
  async remove(): Promise<void> {
    await this.#run('rm -rf "$HOME"');
  }

  #run(...script: readonly string[]): Promise<string> {
    const set = Object.entries(this.#settings).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    return docker("exec", ...set, this.#container, "sh", "-c", script.join("\n"));
  }
}
