// The two small files by which certd speaks to the HTTPS side, in the folder that Traefik watches.
// `certd.yml` makes Traefik look at its routers again; `ca-epoch` tells its follower that the CA forgot the account.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "./files.ts";

const MARKER_FILE = "certd.yml";
const EPOCH_FILE = "ca-epoch";

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

export class TraefikFolder {
  private readonly folder: string;

  /** @param folder the watched folder; a volume shared with Traefik */
  constructor(folder: string) {
    this.folder = folder;
  }

  private read(name: string): string {
    try {
      return readFileSync(join(this.folder, name), "utf8");
    } catch {
      return "";
    }
  }

  /** Writes the next marker and returns it. */
  nudge(): number {
    const marker = Number(/X-Vectis-Marker: "(\d+)"/.exec(this.read(MARKER_FILE))?.[1] ?? 0) + 1;
    replaceFile(join(this.folder, MARKER_FILE), renderMarker(marker), 0o644, false);
    return marker;
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
