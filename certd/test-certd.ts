// A whole certd in a folder of its own, for tests: everything that it touches lies in there, and a stand-in orders for it.
import { uptime } from "node:os";
import { join } from "node:path";
import { Certd, type Paths } from "./certd.ts";
import type { AcmeSource, Settings } from "./settings.ts";

/** An ACME source as small as can be. */
export function acmeSource(directory: string, caBundle: string, change: Partial<AcmeSource> = {}): AcmeSource {
  return { kind: "acme", directory, caBundle, challenge: "http-01", httpPort: 8080, keyType: "ec-256", ...change };
}

export interface RunningCertd {
  readonly certd: Certd;
  readonly settings: Settings;
  readonly paths: Paths;
  /** Resolves when it has ended. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts certd with a pass every 20 ms.
 * @param top folder with `acme.sh`, the stand-in, and the empty folders certs, traefik and acme
 * @param clock milliseconds since the epoch
 */
export function runCertd(
  top: string,
  settings: Pick<Settings, "names" | "source"> & Partial<Settings>,
  clock: () => number,
  log: (line: string) => void,
): RunningCertd {
  const whole: Settings = { probes: [], keepGenerations: 3, ...settings };
  const paths: Paths = {
    certificates: join(top, "certs"),
    traefik: join(top, "traefik"),
    secrets: join(top, "secrets"),
    volume: join(top, "acme"),
    runtime: join(top, "run"),
    command: join(top, "acme.sh"),
    token: join(top, "token"),
  };
  const certd = new Certd({ settings: whole, paths, clock, uptime, log, passInterval: 20 });
  const ended = certd.run();
  const stop = async (): Promise<void> => {
    certd.stop();
    await ended;
  };
  return { certd, settings: whole, paths, stop };
}
