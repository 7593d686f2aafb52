// What a command ends with: exit codes, and the one error class whose message is for the operator as it stands.

export const exitCodes = {
  ok: 0,
  /** It was tried, and the result is not as expected. */
  notAsExpected: 1,
  /** Wrong usage or configuration: nothing was tried. */
  usage: 2,
  /** Ended with Ctrl-C, as shells count it. */
  cancelled: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A sentence for the operator; shown without a stack trace. */
export class UserError extends Error {
  readonly exitCode: ExitCode;
  constructor(message: string, exitCode: ExitCode = exitCodes.usage, options?: ErrorOptions) {
    super(message, options);
    this.name = "UserError";
    this.exitCode = exitCode;
  }
}

/** Ctrl-C. No UserError, after which some go on without what has failed. Shown without a stack trace. */
export class Cancelled extends Error {
  readonly exitCode: ExitCode = exitCodes.cancelled;
  constructor(message = "cancelled") {
    super(message);
    this.name = "Cancelled";
  }
}
