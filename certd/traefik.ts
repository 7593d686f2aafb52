// The folder that Traefik watches, all of which certd writes; Traefik itself reads it only.
//   vectis.yml       the routes, as the stack renders them
//   certificate.yml  the published pair, where HTTPS serves it too
//   host-NAME.yml    the route of an MTA-STS policy host, once it has an address
//   certd.yml        a marker whose change makes Traefik look at everything again
//   ca-epoch         a number whose growth makes Traefik's follower start it afresh with an empty certificate store
// Each file is replaced whole by one rename.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "./files.ts";
import type { Pair } from "./validate.ts";

const ROUTES_FILE = "vectis.yml";
const SHARED_FILE = "certificate.yml";
const MARKER_FILE = "certd.yml";
const EPOCH_FILE = "ca-epoch";

/**
 * The number that `ca-epoch` is to say next. By the clock (milliseconds since the epoch), so that it is greater than what
 * Traefik's follower knows even if everybody else has forgotten that: the folder, or certd's state, may have been deleted.
 */
export function nextEpoch(known: number, now: number): number {
  return Math.max(known + 1, Math.floor(now / 1000));
}
const HOST_FILE = /^host-(.+)\.yml$/;

/** The name of the resolver in Traefik's static configuration by which it has a certificate of its own. */
export const TRAEFIK_RESOLVER = "acme";

/** Group that Traefik's process runs in, by which it may read the key in certificate.yml. */
export const TRAEFIK_GROUP = 65532;

/** What certificate.yml holds. */
export interface Shared {
  readonly pair: Pair;
  /** Name for which it is also the default certificate, or `undefined`. */
  readonly hostname: string | undefined;
  /** Whether Traefik shall meanwhile have a certificate of its own for the host name. */
  readonly orders: boolean;
}

/** The dynamic configuration for a marker. Traefik ignores identical content, so every number is a real change. */
export function renderMarker(marker: number): string {
  return `# Written by certd: a new number makes Traefik look for missing certificates again.
http:
  middlewares:
    certd-marker:
      headers:
        customRequestHeaders:
          X-Vectis-Marker: "${marker}"
`;
}

interface SharedYaml {
  readonly tls: {
    readonly certificates: readonly [{ readonly certFile: string; readonly keyFile: string }];
    readonly stores?: {
      readonly default: {
        readonly defaultGeneratedCert: { readonly resolver: string; readonly domain: { readonly main: string } };
      };
    };
  };
}

/**
 * The dynamic configuration with a pair in it, as JSON, which is YAML too.
 *
 * Among certificates for the same names Traefik keeps one at random whenever its configuration changes, and its own
 * certificate from acme.json never leaves a running Traefik. A default certificate by domain makes that choice count for
 * every certificate that names the host, whatever other names are in it: `certd` lets Traefik choose again until it is
 * right. It is also the only way by which Traefik orders a certificate for a name that another one covers already.
 */
export function renderShared({ pair, hostname, orders }: Shared): string {
  const generated =
    hostname === undefined ? undefined : { resolver: orders ? TRAEFIK_RESOLVER : "none", domain: { main: hostname } };
  const yaml: SharedYaml = {
    tls: {
      certificates: [{ certFile: pair.fullchain, keyFile: pair.privkey }],
      ...(generated === undefined ? {} : { stores: { default: { defaultGeneratedCert: generated } } }),
    },
  };
  return `# Written by certd: the published certificate.\n${JSON.stringify(yaml, undefined, 2)}\n`;
}

export class TraefikFolder {
  private readonly folder: string;
  private readonly group: number | undefined;

  /**
   * @param folder the watched folder; a volume shared with Traefik
   * @param group numeric id of the group that may read the key; default: our own
   */
  constructor(folder: string, group?: number) {
    this.folder = folder;
    this.group = group;
  }

  private read(name: string): string {
    try {
      return readFileSync(join(this.folder, name), "utf8");
    } catch {
      return "";
    }
  }

  /** Makes `vectis.yml` hold this text; the same text is not written again. */
  writeRoutes(text: string): void {
    if (this.read(ROUTES_FILE) !== text) replaceFile(join(this.folder, ROUTES_FILE), text, 0o644, true);
  }

  /** The pair in `certificate.yml`; `undefined` if there is none. */
  shared(): Pair | undefined {
    try {
      const { tls } = JSON.parse(this.read(SHARED_FILE).replace(/^#.*\n/, "")) as SharedYaml;
      return { fullchain: tls.certificates[0].certFile, privkey: tls.certificates[0].keyFile };
    } catch {
      return undefined;
    }
  }

  /** Makes `certificate.yml` hold this; the same is not written again. */
  share(shared: Shared): void {
    const text = renderShared(shared);
    if (this.read(SHARED_FILE) === text) return;
    replaceFile(join(this.folder, SHARED_FILE), text, 0o640, true, this.group);
  }

  /** Removes `certificate.yml`. */
  unshare(): void {
    rmSync(join(this.folder, SHARED_FILE), { force: true });
  }

  /** Writes the next marker and returns it. */
  nudge(): number {
    const marker = Number(/X-Vectis-Marker: "(\d+)"/.exec(this.read(MARKER_FILE))?.[1] ?? 0) + 1;
    replaceFile(join(this.folder, MARKER_FILE), renderMarker(marker), 0o644, false);
    return marker;
  }

  /** Hosts that have a route of their own. */
  hosts(): string[] {
    return readdirSync(this.folder).flatMap((name) => HOST_FILE.exec(name)?.[1] ?? []);
  }

  /** Writes the route of a host, or takes it away; whether that changed anything. */
  setHost(host: string, route: string | undefined): boolean {
    const name = `host-${host}.yml`;
    if (this.read(name) === (route ?? "")) return false;
    if (route === undefined) rmSync(join(this.folder, name), { force: true });
    else replaceFile(join(this.folder, name), route, 0o644, false);
    return true;
  }

  /** What `ca-epoch` says; 0 if there is none yet. */
  epoch(): number {
    const epoch = Number(this.read(EPOCH_FILE).trim());
    return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
  }

  /** Makes `ca-epoch` say this number; the same number is not written again. */
  setEpoch(epoch: number): void {
    if (this.read(EPOCH_FILE) !== `${epoch}\n`) replaceFile(join(this.folder, EPOCH_FILE), `${epoch}\n`, 0o644, true);
  }
}
