// The kinds of values that several configuration keys share, each with the sentence that a wrong one gets.
// Every message continues "vectis:KEY …".
import { isIP } from "node:net";
import * as v from "valibot";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const domainName = new RegExp(`^(?=.{4,253}$)${label}(?:\\.${label})+$`);

export const text = (good: string) => v.string(`must be text, for example ${good}`);

export const domain = (good: string) =>
  v.pipe(text(good), v.regex(domainName, `must be a lower-case domain name, for example ${good}`));

/** An IP address; IPv6 in its canonical form (RFC 5952), so that equal addresses are equal texts. */
export const address = v.pipe(
  text("192.0.2.25"),
  v.check((value) => isIP(value) !== 0 && !value.includes("%"), "must be an IP address, for example 192.0.2.25"),
  v.transform((value) => (isIP(value) === 6 ? new URL(`http://[${value}]/`).hostname.slice(1, -1) : value)),
);

export const email = v.pipe(
  text("admin@example.com"),
  v.email("must be an e-mail address, for example admin@example.com"),
);

/**
 * An address to log in with. Dovecot makes a login name lower-case before it looks for it, takes these characters alone
 * (auth_username_chars), and what follows a "+" is no part of the mailbox's name in a delivery (recipient_delimiter).
 */
export const mailboxAddress = v.pipe(
  text("alice@example.com"),
  v.email("must be an e-mail address, for example alice@example.com"),
  v.regex(
    /^[a-z0-9._@-]*$/,
    'must be of a-z in lower case, 0-9, ".", "_" and "-", or nobody could log in to it; for example alice@example.com',
  ),
);

/** A whole number; `pulumi config set` without a type writes text, which counts as well. */
export const wholeNumber = (low: number, high: number, good: number) => {
  const problem = `must be a whole number from ${low} to ${high}, for example ${good}`;
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number))], problem),
    v.integer(problem),
    v.minValue(low, problem),
    v.maxValue(high, problem),
  );
};
