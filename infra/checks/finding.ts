// What a check made before a change has to say, and how all of it becomes one list.
import { ConfigError } from "../config.ts";

/**
 * `error`: the update would fail half-way, serve what nobody accepts, or order what the CA must refuse; it stops.
 * `warning`: something outside the stack is wrong, or could not be found out. `note`: what was left out, and why.
 */
export type Severity = "error" | "warning" | "note";

export interface Finding {
  readonly severity: Severity;
  /** The configuration key to change, for example `vectis:tls.certPath`. */
  readonly key: string;
  /** Goes on where the key ends: what is wrong and what to do. */
  readonly problem: string;
}

export const error = (key: string, problem: string): Finding => ({ severity: "error", key, problem });
export const warning = (key: string, problem: string): Finding => ({ severity: "warning", key, problem });
export const note = (key: string, problem: string): Finding => ({ severity: "note", key, problem });

/** The findings of one severity as lines, each once. */
function lines(findings: readonly Finding[], severity: Severity): string[] {
  const chosen = findings.filter((finding) => finding.severity === severity);
  return [...new Set(chosen.map(({ key, problem }) => `${key} ${problem}`))];
}

/**
 * What the operator is told when nothing stops the update: one message for all warnings, one for each note.
 * @throws ConfigError with every error, and behind them the warnings, if there is an error
 */
export function messages(findings: readonly Finding[]): { readonly level: "info" | "warn"; readonly text: string }[] {
  const [errors, warnings, notes] = [lines(findings, "error"), lines(findings, "warning"), lines(findings, "note")];
  if (errors.length > 0) {
    const all = [...errors, ...warnings.map((problem) => `(warning) ${problem}`)];
    throw new ConfigError(all, "the checks before the update found");
  }
  const list = warnings.map((problem) => `  - ${problem}`).join("\n");
  return [
    ...notes.map((text) => ({ level: "info", text }) as const),
    ...(list === "" ? [] : [{ level: "warn", text: `the checks before the update found:\n${list}` } as const]),
  ];
}
