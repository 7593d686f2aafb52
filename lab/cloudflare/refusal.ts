// What the API answers in place of a result: HTTP status, code and message, as the real one words them.
import { written, type Plain } from "../providers/protocol/value.ts";

export class Refusal extends Error {
  readonly status: number;
  readonly code: number;
  /** The messages behind the first one, as in `error_chain`. */
  readonly chain: readonly { readonly code: number; readonly message: string }[];
  /** Seconds, or a date (RFC 9110, section 10.2.3). */
  readonly retryAfter: string | undefined;

  constructor(
    status: number,
    code: number,
    message: string,
    more: { readonly chain?: Refusal["chain"]; readonly retryAfter?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.chain = more.chain ?? [];
    this.retryAfter = more.retryAfter;
  }
}

/** A DNS record that breaks a rule: 400, code 1004, with the rule's own code behind it. */
export const invalidRecord = (code: number, message: string): Refusal =>
  new Refusal(400, 1004, "DNS Validation Error", { chain: [{ code, message }] });

/** An input that the real API may know and the stand-in does not. */
export const unknownInput = (what: string, name: string, value: Plain | undefined): Refusal =>
  new Refusal(400, 1, `the lab's stand-in does not know ${what} '${name}' (${written(value)})`);

/** Refuses every key that is not named. */
export function onlyKnown(what: string, given: Readonly<Record<string, Plain>>, known: readonly string[]): void {
  const stranger = Object.keys(given).find((key) => !known.includes(key));
  if (stranger !== undefined) throw unknownInput(what, stranger, given[stranger]);
}
