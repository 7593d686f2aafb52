// Entry point inside the container: reads the environment, wires certd to its volumes and to the signals.
// With a word it is a command instead: `await-txt NAME VALUE` for acme.sh's DNS hook, the rest for people.
import { uptime } from "node:os";
import { Certd, type Paths } from "./certd.ts";
import { CommandError, runCommand } from "./commands.ts";
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

const paths: Paths = {
  certificates: "/etc/ssl/mail",
  traefik: "/etc/traefik/dynamic",
  traefikGroup: TRAEFIK_GROUP,
  secrets: "/etc/vectis/secrets",
  volume: "/acme.sh",
  runtime: "/run/certd",
  command: "/usr/local/bin/acme.sh",
  token: "/etc/vectis/secrets/cloudflare-token",
};

if (command !== undefined) {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    const settings = parseSettings(process.env["CERTD_CONFIG"]);
    await runCommand(process.argv.slice(2), { settings, paths, clock: Date.now, print });
    process.exit(0);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

try {
  const certd = new Certd({
    settings: parseSettings(process.env["CERTD_CONFIG"]),
    paths,
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
  // The entrypoint waits longer before it starts certd again with a configuration that it has refused.
  process.exit(error instanceof SettingsError ? 78 : 1);
}
