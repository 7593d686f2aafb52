// `make verify`: looks at every port of a running stack from outside and says whether it is as it should be.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { stackOutputs } from "./stack.ts";
import { table } from "./table.ts";
import { groupBy, inspect, judge, type Target, type Verdict } from "./verdict.ts";

const usage = `Usage: verify [-s STACK] [--ca FILE] [--wait SECONDS] [--json]

Connects to 25, 443, 465, 587, 993, 995 and 80 of a running stack and shows what they serve.

  -s, --stack STACK   stack to look at (default: dev)
      --ca FILE       trust only the root certificates in FILE (PEM; - reads standard input; default: the system's roots)
      --wait SECONDS  look again until everything is as expected, at most this long (default: 0, look once)
      --json          print facts and verdict as JSON
  -h, --help          this text

Exit code: 0 everything as expected, 1 not, 2 usage, or no such stack.
`;

export function render(verdict: Verdict): string {
  const head = ["Port", "Protocol", "TLS", "Key exchange", "Names", "Issuer", "Days", "Chain", "Expected"];
  const rows = verdict.rows.map((row) => [
    String(row.port),
    row.protocol,
    row.tls,
    row.group,
    row.subject,
    row.issuer,
    row.daysLeft === undefined ? "" : daysText(row.daysLeft),
    row.tls === "" ? "" : row.verified ? "verified" : "NOT VERIFIED",
    row.problems.length === 0 ? "yes" : `NO: ${row.problems.join("; ")}`,
  ]);
  const checks = verdict.checks.map(({ name, problems }) =>
    problems.length === 0 ? `yes  ${name}` : `NO   ${name}: ${problems.join("; ")}`,
  );
  return [table(head, rows, ["Port", "Days"]), "", ...checks].join("\n");
}

function daysText(days: number): string {
  return Math.abs(days) < 10 ? days.toFixed(1) : String(Math.floor(days));
}

/** One line: what still keeps the stack from being as expected, the same trouble on several ports named once. */
export function missing(verdict: Verdict): string {
  const byProblem = groupBy(
    verdict.rows.flatMap(({ port, problems }) => problems.map((problem) => ({ port, problem }))),
    ({ problem }) => problem,
  );
  const ports = [...byProblem].map(([problem, rows]) => `${rows.map(({ port }) => port).join(", ")}: ${problem}`);
  const checks = verdict.checks.filter(({ problems }) => problems.length > 0).map(({ name }) => `not yet: ${name}`);
  return (ports.length > 0 ? ports : checks).join(" | ");
}

export interface WaitOptions {
  /** Milliseconds; 0 looks once. */
  readonly deadline: number;
  readonly progress: (line: string) => void;
}

/** Inspects until the verdict is good or the time is up, and returns the last one. */
export async function verify(target: Target, { deadline, progress }: WaitOptions): Promise<Verdict> {
  const start = Date.now();
  let shown = "";
  for (;;) {
    const verdict = judge(target, await inspect(target));
    const elapsed = Date.now() - start;
    if (verdict.asExpected || elapsed >= deadline) return verdict;
    const line = missing(verdict);
    if (line !== shown) progress(`${String(Math.round(elapsed / 1000)).padStart(4)} s  ${line}`);
    shown = line;
    await delay(500);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const fail = (message: string): number => {
    process.stderr.write(`${message}\n`);
    return 2;
  };
  let options;
  try {
    options = parseArgs({
      args: [...args],
      options: {
        stack: { type: "string", short: "s", default: "dev" },
        ca: { type: "string" },
        wait: { type: "string", default: "0" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const seconds = Number(options.wait);
  if (!Number.isFinite(seconds) || seconds < 0)
    return fail(`--wait takes seconds, for example 120, not ${options.wait}`);
  let target: Target;
  try {
    const ca = options.ca === undefined ? undefined : readFileSync(options.ca === "-" ? 0 : options.ca, "utf8");
    if (ca?.includes("-----BEGIN CERTIFICATE-----") === false)
      return fail(`--ca ${options.ca} holds no PEM certificate`);
    const { hostname, certificateNames, endpoints } = await stackOutputs(options.stack);
    target = { hostname, names: certificateNames, endpoints, ca };
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const verdict = await verify(target, { deadline: seconds * 1000, progress });
  process.stdout.write(
    `${options.json ? JSON.stringify({ hostname: target.hostname, ...verdict }, undefined, 2) : render(verdict)}\n`,
  );
  return verdict.asExpected ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
