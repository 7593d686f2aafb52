// Entry point inside the container: reads the environment, wires certd to its volumes and to the signals.
// `await-txt NAME VALUE` is what acme.sh's DNS hook calls instead.
import { uptime } from "node:os";
import { Certd } from "./certd.ts";
import { parseSettings, SettingsError } from "./settings.ts";
import { TRAEFIK_GROUP } from "./traefik.ts";
import { awaitTxt } from "./txt.ts";

const log = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`);

const [command, name = "", value = ""] = process.argv.slice(2);
if (command === "await-txt") {
  const say = (line: string): void => void process.stdout.write(`dns_vectis: ${line}\n`);
  const { seen, text } = await awaitTxt(name, value, say);
  say(seen ? text : `gave up: ${text}`);
  process.exit(seen ? 0 : 1);
}

try {
  const certd = new Certd({
    settings: parseSettings(process.env["CERTD_CONFIG"]),
    paths: {
      certificates: "/etc/ssl/mail",
      traefik: "/etc/traefik/dynamic",
      traefikGroup: TRAEFIK_GROUP,
      secrets: "/etc/vectis/secrets",
      volume: "/acme.sh",
      runtime: "/run/certd",
      command: "/usr/local/bin/acme.sh",
      token: "/etc/vectis/secrets/cloudflare-token",
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
