// How tests break a host: through helper containers, so that it works wherever the Docker host is.
import { docker, inspect } from "../support/docker.ts";
import { type Role, type Site } from "../support/site.ts";

/** An image with a shell and `mount`, there before the stack's own are. */
async function helperImage(site: Site): Promise<string> {
  return (await inspect(site.lab.ca)).Image;
}

/** Pattern of certd's process, not of a renewal that a person started. */
export const certd = '"node "*certd.mjs*';
/** Pattern of a follower. */
export const follower = '"/bin/sh /usr/local/lib/vectis/follower"*';

/** Signals every process but the first whose command line matches a shell pattern; false when there is none. */
export async function signal(site: Site, role: Role, name: string, pattern: string): Promise<boolean> {
  const script = `for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) continue;; esac
    case $(tr "\\0" " " <"$p/cmdline") in ${pattern}) kill -${name} "${"${p#/proc/}"}" && echo found;; esac; done`;
  return (await site.exec(role, "sh", "-c", `{ ${script}; } 2>/dev/null; true`)).includes("found");
}

/** After its home was emptied, acme.sh has nothing to renew until certd has ordered once. */
export async function renewable(site: Site): Promise<void> {
  const known = await site.exec("acme", "sh", "-c", "ls /acme.sh/*/*_ecc/*.test.conf 2>/dev/null || :");
  if (known === "") await site.exec("acme", "certd", "renew");
}

/** Names of a site's volumes on small file systems of their own. */
export type SmallVolume = "mail-certs" | "acme-home";
const smallVolumes: readonly SmallVolume[] = ["mail-certs", "acme-home"];

/**
 * Volumes that can be filled and made read-only without harm to the host: a MiB of memory each, held by a container of
 * their own because such a file system is gone when nobody uses it. Before the stack's first update. That container sees
 * the host's processes, too.
 */
export class SmallVolumes {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  get #holder(): string {
    return `${this.#site.name}-volumes`;
  }

  async create(): Promise<void> {
    const mounts: string[] = [];
    for (const suffix of smallVolumes) {
      const volume = `${this.#site.name}-${suffix}`;
      const options = ["type=tmpfs", "device=tmpfs", "o=size=1m,mode=0755"].flatMap((option) => ["--opt", option]);
      await docker("volume", "create", "--driver", "local", ...options, volume);
      mounts.push("--volume", `${volume}:/${suffix}`);
    }
    // Only what is needed to remount them.
    const rights = ["--user", "0", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"];
    const how = ["--detach", "--name", this.#holder, "--network", "none", "--pid", "host", "--entrypoint", "sleep"];
    await docker("run", ...how, ...rights, ...mounts, await helperImage(this.#site), "infinity");
  }

  /** Runs a script with both volumes at `/mail-certs` and `/acme-home`. */
  run(script: string): Promise<string> {
    return docker("exec", this.#holder, "sh", "-euc", script);
  }

  async fill(): Promise<void> {
    await this.run(
      smallVolumes.map((volume) => `dd if=/dev/zero of=/${volume}/.full bs=4k 2>/dev/null || :`).join("\n"),
    );
  }

  async empty(): Promise<void> {
    await this.run(smallVolumes.map((volume) => `rm /${volume}/.full`).join("\n"));
  }

  async remount(volume: SmallVolume, access: "ro" | "rw"): Promise<void> {
    await this.run(`mount -o remount,${access} /${volume}`);
  }

  /**
   * Signals containers' main processes at the same time, and from outside, where they can be killed and stopped. Not by
   * `docker kill`: after that Docker takes a container for stopped by a person, and leaves it so when it ends.
   */
  async signalMain(name: string, ...roles: readonly Role[]): Promise<void> {
    const containers = roles.map((role) => this.#site.containers[role]);
    const pids = await docker("inspect", "--format", "{{.State.Pid}}", ...containers);
    await this.run(`kill -${name} ${pids.replaceAll("\n", " ")}`);
  }
}
