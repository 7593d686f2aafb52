// `vectis verify`: looks at every port of a running stack from outside and says whether it is as it should be.
import { setTimeout as delay } from "node:timers/promises";
import { remoteDockerHost } from "./docker-host.ts";
import { exitCodes, type ExitCode } from "./errors.ts";
import type { Offer } from "./offer.ts";
import { progress, result } from "./output.ts";
import { chooseRoots } from "./roots.ts";
import { parseOutputs, rawOutputs, type StackOutputs } from "./stack.ts";
import { table } from "./table.ts";
import { groupBy, inspect, judge, type Target, type Verdict } from "./verdict.ts";

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
  const checks = verdict.checks
    .filter(({ problems }) => problems.length > 0)
    .map(({ name, problems }) => `not yet: ${name} (${problems.join("; ")})`);
  return (ports.length > 0 ? ports : checks).join(" | ");
}

export interface WaitOptions {
  /** Milliseconds; 0 looks once. */
  readonly deadline: number;
  readonly progress: (line: string) => void;
  /** What the source of certificates has, asked at every look. Default: from outside, every valid certificate is right. */
  readonly offer?: (() => Promise<Offer>) | undefined;
}

/** Inspects until the verdict is good or the time is up, and returns the last one. */
export async function verify(target: Target, { deadline, progress, offer }: WaitOptions): Promise<Verdict> {
  const start = Date.now();
  let shown = "";
  for (;;) {
    const offered = await offer?.();
    const verdict = judge(target, await inspect(target), new Date(), offered);
    const elapsed = Date.now() - start;
    if (verdict.asExpected || offered?.final === true || elapsed >= deadline) return verdict;
    const line = missing(verdict);
    if (line !== shown) progress(`${String(Math.round(elapsed / 1000)).padStart(4)} s  ${line}`);
    shown = line;
    await delay(500);
  }
}

export interface VerifyOptions {
  /** File with the only roots to trust, PEM; `-` is standard input. Default: see roots.ts. */
  readonly ca?: string | undefined;
  /** Seconds until everything has to be as expected; 0 looks once. */
  readonly wait: number;
  readonly json: boolean;
}

/** Verifies a running stack and prints what was seen. `stack`: default the selected one. */
export async function verifyStack(stack: string | undefined, options: VerifyOptions): Promise<ExitCode> {
  const [outputs, remote] = await Promise.all([rawOutputs(stack), remoteDockerHost(stack)]);
  return verifyOutputs(parseOutputs(outputs, remote), options);
}

/** `offer`: see WaitOptions. */
export async function verifyOutputs(
  outputs: StackOutputs,
  { ca, wait, json }: VerifyOptions,
  offer?: () => Promise<Offer>,
): Promise<ExitCode> {
  const { hostname, certificateNames, alsoKeyType, endpoints, https } = outputs;
  const roots = await chooseRoots(ca, outputs);
  const target: Target = { hostname, names: certificateNames, alsoKeyType, endpoints, https, ca: roots.pem };
  const verdict = await verify(target, { deadline: wait * 1000, progress, offer });
  result(json, { hostname, roots: roots.from, ...verdict }, () =>
    [render(verdict), `     Chains are checked against ${roots.from}.`].join("\n"),
  );
  return verdict.asExpected ? exitCodes.ok : exitCodes.notAsExpected;
}
