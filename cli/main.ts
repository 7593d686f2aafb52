// The `vectis` command: what can be called, and which options it takes. Each action loads its module when it runs, so that
// help and quick commands wait for nothing that they do not need.
import { Argument, Command, CommanderError, InvalidArgumentError } from "commander";
import { Cancelled, exitCodes, UserError, type ExitCode } from "./errors.ts";

interface Common {
  readonly stack?: string;
  readonly json: boolean;
}

const program = new Command("vectis")
  .description("The TLS side of a mail server as one Pulumi stack.")
  .option("-s, --stack <name>", "stack to work on (default: the selected one, as with pulumi)")
  .option("--json", "print the result as JSON", false)
  .helpOption("-h, --help", "show help")
  .addHelpText("after", "\nExit codes: 0 as it should be, 1 not, 2 wrong usage or configuration, 130 cancelled.")
  .configureHelp({ showGlobalOptions: true })
  .exitOverride();

/** Registers an action; `options` are the command's own and the common ones together. */
function action<Options>(command: Command, run: (options: Options & Common, ...words: string[]) => Promise<ExitCode>) {
  command.action(async (...args: unknown[]) => {
    const words = args.slice(0, -2).filter((word) => word !== undefined) as string[];
    process.exitCode = await run(command.optsWithGlobals<Options & Common>(), ...words);
  });
}

const seconds = (text: string): number => {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError("It takes seconds, for example 120.");
  return value;
};

interface Verify {
  readonly ca?: string;
  readonly wait: number;
}
const withVerification = (command: Command, wait: number): Command =>
  command
    .option("--ca <file>", "trust only the root certificates in this file (PEM; - is standard input; also: VECTIS_CA)")
    .option("--wait <seconds>", "time in which every port has to be as expected", seconds, wait);

interface Update {
  readonly refresh: boolean;
  readonly expectNoChanges: boolean;
}
const withUpdate = (command: Command): Command =>
  command
    .option("--refresh", "compare with what really runs first", false)
    .option("--expect-no-changes", "fail if anything changes", false);

function upCommand(parent: Command, name: string, description: string): void {
  const command = withVerification(withUpdate(parent.command(name)), 180)
    .description(description)
    .option("--no-verify", "do not look at the ports afterwards");
  action<Update & Verify & { readonly verify: boolean }>(command, async (options) =>
    (await import("./update.ts")).up(options),
  );
}

upCommand(program, "up", "bring the stack to what its configuration says, then verify every port");

action<Update & { readonly diff: boolean }>(
  withUpdate(program.command("preview"))
    .description("show what an update would change")
    .option("--diff", "show every property that changes", false),
  async (options) => (await import("./update.ts")).preview(options),
);

action<Update & { readonly yes: boolean }>(
  program
    .command("destroy")
    .description("remove the stack's containers and networks, and its volumes if vectis:data says delete")
    .option("--refresh", "compare with what really runs first", false)
    .option("-y, --yes", "do not ask", false),
  async (options) => (await import("./update.ts")).destroy(options),
);

const config = program.command("config").description("the stack's configuration");
upCommand(config, "apply", "the same as up: apply configuration and certificate files, wait until they are served");
action(
  config
    .command("import")
    .description("take the guide's config.yaml and secrets.yaml over into the stack's configuration, secrets encrypted")
    .argument("<config.yaml>", "the guide's file with settings")
    .argument("[secrets.yaml]", "the guide's file with secrets"),
  async (options, ...files) => (await import("./config-import.ts")).configImport(files, options),
);

action<Verify>(
  withVerification(program.command("verify"), 0).description(
    "show what every port serves, and whether it is as expected",
  ),
  async ({ stack, ...options }) => (await import("./verify.ts")).verifyStack(stack, options),
);

action<{ readonly zone: boolean }>(
  program
    .command("dns")
    .description("the mail records of the stack's domains")
    .command("show")
    .description("show the records that every domain needs, whether the stack publishes them itself or not")
    .option("--zone", "as lines of a zone file", false),
  async (options) => (await import("./dns.ts")).dnsShow(options),
);

const certs = program.command("certs").description("the generations of the mail certificate");
action(
  certs.command("list").description("show every generation, which one is in service, and whether it is pinned"),
  async (options) => (await import("./certs.ts")).certsList(options),
);
action(
  certs
    .command("show")
    .description("show what differs between two generations: names, key, issuer, chain, dates")
    .argument("[generation]", "its number (default: the one before)")
    .argument("[other]", "the other's number (default: the current one)"),
  async (options, ...generations) => (await import("./certs.ts")).certsShow(options, ...generations),
);
action<{ readonly yes: boolean }>(
  certs
    .command("renew")
    .description("order a certificate now, and wait until every mail port serves it")
    .option("-y, --yes", "even if it takes one of the last orders that the CA's limit leaves", false),
  async (options) => (await import("./certs.ts")).certsRenew(options),
);
action(
  certs
    .command("rollback")
    .description("serve an earlier generation at once, and keep it until `certs unpin` or until it nears its end")
    .argument("[generation]", "its number (default: the one before the current one)"),
  async (options, generation) => (await import("./certs.ts")).certsRollback(options, generation),
);
action(
  certs.command("unpin").description("end a rollback: serve what the source of certificates has"),
  async (options) => (await import("./certs.ts")).certsUnpin(options),
);

action(
  program
    .command("backup")
    .description(
      "write what cannot be had again into one file: ACME accounts, certificates, keys, configuration, state",
    )
    .argument("<file>", "where to write it (mode 0600; - is standard output)"),
  async (options, file = "") => (await import("./backup.ts")).backup(file, options),
);
action<{ readonly keepConfig: boolean }>(
  program
    .command("restore")
    .description("put a backup back on a Docker host where nothing of the stack is left; then: vectis up --refresh")
    .argument("<file>", "the backup (- is standard input)")
    .option("--keep-config", "go on with the stack's configuration file that is there, not with the backup's", false),
  async (options, file = "") => (await import("./restore.ts")).restore(file, options),
);

const services = ["acme", "traefik", "postfix", "dovecot"] as const;
action<{ readonly follow: boolean; readonly tail?: string; readonly since?: string }>(
  program
    .command("logs")
    .description("show what a service has logged; acme is the one that orders and publishes certificates")
    .addArgument(new Argument("<service>", "whose log").choices(services))
    .option("-f, --follow", "go on until interrupted", false)
    .option("-n, --tail <lines>", "only so many lines from the end")
    .option("--since <time>", "only what is newer, for example 10m or 2026-01-31T12:00:00"),
  async (options, service) => (await import("./logs.ts")).logs(service as (typeof services)[number], options),
);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): ExitCode {
  // Commander has printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof UserError || error instanceof Cancelled) {
    process.stderr.write(`error: ${error.message}\n`);
    return error.exitCode;
  }
  process.stderr.write(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exitCodes.notAsExpected;
}
