// What an order has brought, read from the store: what lies there counts, not the exit code of acme.sh. Pure.
import type { RunResult } from "./acme.ts";
import type { Trouble } from "./causes.ts";
import { awaitsItsTime, type Candidate } from "./decide.ts";

/** SHA-256 of the usable leaves in the store; empty where there is none. */
export interface StoredLeaves {
  readonly leaf: string;
  readonly rsa: string;
}

/** How the runs of one order ended; absent: it had no such run. */
export type OrderRuns = { readonly [which in keyof StoredLeaves]?: RunResult | undefined };

export function leavesOf(candidate: Candidate): StoredLeaves {
  if (candidate.kind !== "usable") return { leaf: "", rsa: "" };
  return { leaf: candidate.leaf.sha256, rsa: candidate.rsa?.sha256 ?? "" };
}

/** Whether another certificate is there than before. */
export function came(which: keyof StoredLeaves, before: StoredLeaves, after: StoredLeaves): boolean {
  return after[which] !== "" && after[which] !== before[which];
}

/** The first certificate that was ordered and did not come; `undefined`: every one came. */
export function missingOf(runs: OrderRuns, before: StoredLeaves, after: StoredLeaves): keyof StoredLeaves | undefined {
  return (["leaf", "rsa"] as const).find((which) => runs[which] !== undefined && !came(which, before, after));
}

/** Whether it came and is not used only because by this machine's clock its time has not come. */
export function cameTooEarly(missing: keyof StoredLeaves, runs: OrderRuns, candidate: Candidate): boolean {
  if (runs[missing]?.ok !== true) return false;
  return awaitsItsTime(
    candidate.kind === "refused" ? candidate.findings : candidate.kind === "usable" ? (candidate.rsaRefused ?? []) : [],
  );
}

/** Why a certificate did not come. */
export function troubleOf(
  missing: keyof StoredLeaves,
  runs: OrderRuns,
  candidate: Candidate,
  diagnose: (output: string) => Trouble,
): Trouble {
  const run = runs[missing];
  const trouble = run?.ok === true ? unusable(candidate) : diagnose(run?.output ?? "");
  return missing === "rsa" ? { ...trouble, cause: `no RSA certificate came: ${trouble.cause}` } : trouble;
}

function unusable(candidate: Candidate): Trouble {
  const findings =
    candidate.kind === "refused" ? candidate.findings : candidate.kind === "usable" ? (candidate.rsaRefused ?? []) : [];
  const refused = findings.map(({ message }) => message).join(" ");
  return {
    code: "unknown",
    cause: `the result cannot be used: ${refused || "it is what was there before"}`,
    advice: "read the lines above this one in the log",
  };
}
