// Entry point inside the container: reads the environment, wires certd to its volumes and to the signals.
import { uptime } from "node:os";
import { Certd } from "./certd.ts";
import { parseSettings, SettingsError } from "./settings.ts";

const log = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`);

try {
  const certd = new Certd({
    settings: parseSettings(process.env["CERTD_CONFIG"]),
    paths: {
      certificates: "/etc/ssl/mail",
      traefik: "/etc/traefik/dynamic",
      volume: "/acme.sh",
      runtime: "/run/certd",
      command: "/usr/local/bin/acme.sh",
    },
    clock: Date.now,
    uptime,
    log,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => certd.stop());
  await certd.run();
  process.exit(0);
} catch (error) {
  log(
    error instanceof SettingsError
      ? error.message
      : `certd ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  // The entrypoint does not start certd again with a configuration that it has refused.
  process.exit(error instanceof SettingsError ? 78 : 1);
}
