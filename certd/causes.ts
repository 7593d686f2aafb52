// What went wrong and what to do about it: a table from the outputs of acme.sh, the CA's problem documents (RFC 8555
// section 6.7) and connection errors to one cause and one advice. Pure; certd adds what still works and when it tries again.

export type TroubleCode =
  | "account"
  | "account-unknown"
  | "ca-busy"
  | "ca-unreachable"
  | "ca-untrusted"
  | "caa"
  | "clock"
  | "disk"
  | "dns"
  | "dns-api"
  | "other-host"
  | "port-80"
  | "profile"
  | "rate-limited"
  | "rejected-name"
  | "token-refused"
  | "unknown";

/** One thing that went wrong. Both texts are whole sentences without the full stop at the end. */
export interface Trouble {
  readonly code: TroubleCode;
  readonly cause: string;
  /** What a person can do, with the key of the stack configuration to change if there is one. */
  readonly advice: string;
  /** Milliseconds since the epoch before which the CA does not want to hear of it again. */
  readonly retryAt?: number;
}

/** What a text says went wrong, before it is put into words. */
interface Evidence {
  /** Error type of ACME without its URN prefix; empty if there is none. */
  readonly type: string;
  /** What the other side says; empty if nothing was found. */
  readonly detail: string;
  /** The name that it is about. */
  readonly name: string;
  readonly text: string;
}

interface Rule {
  readonly code: TroubleCode;
  readonly types?: readonly string[];
  /** Looked for in the detail, or in everything if there is no detail. */
  readonly pattern?: RegExp;
  readonly cause: (evidence: Evidence) => string;
  readonly advice: (evidence: Evidence) => string;
}

const said = ({ detail }: Evidence): string => (detail === "" ? "" : ` (${detail})`);
const pointHere = (name: string): string =>
  `make the A and AAAA records of ${name} lead to this host and no others (compare \`dig +short A ${name}\` and ` +
  `\`dig +short AAAA ${name}\` with vectis:addresses; a stale AAAA record is enough to fail)`;

/** The first rule that fits by type or by words counts: a CA may call one thing by the type of another (Pebble: a name
 * that does not resolve is a failed connection), so the more special ones come first. */
const RULES: readonly Rule[] = [
  {
    code: "rate-limited",
    types: ["rateLimited"],
    pattern: /^it answers 429|too many (certificates|requests|failed authorizations|new orders)/i,
    cause: (e) => `the CA's rate limit is reached${said(e)}`,
    advice: () =>
      "nothing can hurry it, and every attempt before then is refused; keep the volumes with the ACME accounts, " +
      "and try changes with vectis:tls.acme.directory set to staging",
  },
  {
    code: "caa",
    types: ["caa"],
    pattern: /CAA record for .* prevents issuance/,
    cause: (e) => `a CAA record forbids this CA to issue for ${e.name}${said(e)}`,
    advice: (e) =>
      `correct the CAA records of ${e.name} and the domains above it (\`dig CAA ${e.name}\`): an issue record must name ` +
      "the CA of vectis:tls.acme.directory, and accounturi and validationmethods in it must fit",
  },
  {
    code: "account-unknown",
    types: ["accountDoesNotExist"],
    cause: () => "the CA does not know our account any more",
    advice: () =>
      "nothing: it is registered anew with the same key; if a CAA record names the account by accounturi, put in its new URL",
  },
  {
    code: "account",
    types: ["externalAccountRequired", "userActionRequired", "invalidContact", "unsupportedContact"],
    cause: (e) => `the CA does not accept our account${said(e)}`,
    advice: (e) =>
      e.type === "externalAccountRequired"
        ? "this CA wants an account bound to a customer number, which is not supported; choose another one in vectis:tls.acme.directory"
        : "set vectis:tls.email to a mail address that works, for example admin@example.com, and read what the CA asks for",
  },
  {
    code: "profile",
    types: ["invalidProfile"],
    cause: (e) => `the CA does not offer the certificate profile${said(e)}`,
    advice: () =>
      "set vectis:tls.acme.profile to one that the CA's directory lists under meta.profiles, for example tlsserver, or remove it",
  },
  {
    code: "rejected-name",
    types: ["rejectedIdentifier", "unsupportedIdentifier"],
    cause: (e) => `the CA does not issue for ${e.name}${said(e)}`,
    advice: () => "correct vectis:hostname or vectis:tls.names: the names must be public and allowed at this CA",
  },
  {
    code: "dns-api",
    pattern: /^Cloudflare (does not answer|answers (408|429|5\d\d))/,
    cause: (e) => e.detail,
    advice: () =>
      "let this host open connections to TCP port 443 of api.cloudflare.com; if it can, look at Cloudflare's status page",
  },
  {
    code: "dns",
    pattern: /^_acme-challenge\.\S+ is not yet at |^no answer from |^no name servers are found|^the name servers of /,
    cause: (e) => `the challenge's TXT record does not show at the zone's name servers${said(e)}`,
    advice: () =>
      "look whether the zone that vectis:dns names is the one that these servers serve (`dig NS`), and whether the containers " +
      "may ask them (UDP and TCP port 53, vectis:resolvers)",
  },
  {
    code: "dns",
    pattern: /^_acme-challenge\.\S+ (is no alias of|cannot be looked up)/,
    cause: (e) => e.detail,
    advice: ({ detail }) => {
      const [, name, target] = /^(\S+) is no alias of (\S+)/.exec(detail) ?? [];
      const record = name === undefined ? "" : ` (\`${name}. CNAME ${target}.\`)`;
      return (
        `where this stack makes the records, run \`pulumi up\`; elsewhere add the alias to the zone${record}; ` +
        "and let the containers ask its name servers (UDP and TCP port 53, vectis:resolvers)"
      );
    },
  },
  {
    code: "dns-api",
    pattern: /^Cloudflare calls zone /,
    cause: (e) => e.detail,
    advice: () => "set vectis:dns.challengeZone to the name and the id of one zone, as the dashboard shows them",
  },
  {
    code: "token-refused",
    // In the API's own words: 10000, 9103, 9106, 9109: authentication; 1000, 1001, 6003: malformed token.
    pattern:
      /Cloudflare answers (400|401|403)|Cloudflare does not show|Cloudflare .*\(code (10000|9103|9106|9109|1000|1001|6003)\)|there is no API token/,
    cause: (e) => e.detail,
    advice: () =>
      "give the challenge token Zone > DNS > Edit (and Zone > Zone > Read) on this zone, look at its expiry, its allowed " +
      "addresses and vectis:dns.zoneId, and run `pulumi up`; one of your own is set with " +
      "`pulumi config set --secret vectis:challengeToken`. It is taken at once",
  },
  {
    code: "dns-api",
    pattern: /no zone is configured for/,
    cause: (e) => e.detail,
    advice: () => "set vectis:dns.zoneId, or name the zone and its id in vectis:dns.zones",
  },
  {
    code: "dns-api",
    pattern: /^Cloudflare /,
    cause: (e) => e.detail,
    advice: () =>
      "nothing if it passes; look at https://www.cloudflarestatus.com and at the zone that vectis:dns names",
  },
  {
    code: "dns",
    pattern: /(looking up|Incorrect|No) TXT|TXT record .* found at/,
    cause: (e) => `the CA does not see the challenge's TXT record for ${e.name}${said(e)}`,
    advice: (e) =>
      `look whether the zone that vectis:dns names is the one that answers for _acme-challenge.${e.name} ` +
      `(\`dig NS\` and \`dig TXT _acme-challenge.${e.name}\`), and whether all of its servers have the same content`,
  },
  {
    code: "dns",
    types: ["dns"],
    pattern: /NXDOMAIN|SERVFAIL|DNS problem|no such host|could not resolve|no valid (A|AAAA|IP)/i,
    cause: (e) => `the CA finds no address for ${e.name} in the DNS${said(e)}`,
    advice: (e) => pointHere(e.name),
  },
  {
    code: "other-host",
    types: ["unauthorized", "incorrectResponse"],
    pattern: /Invalid response from|did not match this challenge|Non-200 status code/,
    cause: (e) => `for ${e.name} the CA got an answer that is not ours${said(e)}`,
    advice: (e) => `${pointHere(e.name)}; a proxy or CDN in front must be off (at Cloudflare: DNS only)`,
  },
  {
    code: "port-80",
    types: ["connection"],
    pattern: /connection refused|connection reset|Timeout during connect|i\/o timeout|no route to host/i,
    cause: (e) => `the CA does not reach port 80 of ${e.name}${said(e)}`,
    advice: (e) =>
      `let TCP port 80 through from everywhere (host firewall, router, provider) and ${pointHere(e.name)}; where port 80 ` +
      "cannot be open, set vectis:tls.challenge to dns-01",
  },
  {
    code: "clock",
    pattern: /certificate has expired|certificate is not yet valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/,
    cause: (e) => `the CA's own HTTPS certificate is not valid at the time of this machine's clock${said(e)}`,
    advice: () =>
      "set the clock of the Docker host (`timedatectl`); if it is right, the CA has to renew its certificate",
  },
  {
    code: "ca-untrusted",
    pattern: /self-signed certificate|unable to (get local issuer|verify)|curl\S* for error code: (60|77)/,
    cause: (e) => `the CA's own HTTPS certificate is not trusted here${said(e)}`,
    advice: () =>
      "for a CA of your own put the root of its HTTPS certificate into vectis:tls.acme.caBundle; for a public CA leave " +
      "vectis:tls.acme.caBundle out, and look for something that intercepts HTTPS",
  },
  {
    code: "ca-busy",
    types: ["serverInternal", "badNonce", "orderNotReady"],
    pattern: /^it answers 5\d\d/,
    cause: (e) => `the CA has a problem of its own${said(e)}`,
    advice: () => "nothing here; look at the CA's status page if it lasts",
  },
  {
    code: "ca-unreachable",
    pattern: /ENOTFOUND|EAI_AGAIN|curl\S* for error code: 6\b/,
    cause: (e) => `the CA does not answer: its name cannot be resolved${said(e)}`,
    advice: () => "look at vectis:tls.acme.directory and at the DNS servers of the containers, vectis:resolvers",
  },
  {
    code: "ca-unreachable",
    pattern:
      /ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|no answer within|Cannot init API|socket hang up|socket disconnected|for error code: \d+/,
    cause: (e) => `the CA does not answer${said(e)}`,
    advice: () =>
      "let this host open connections to TCP port 443 of the CA; if it can, look at the CA's status page and at vectis:tls.acme.directory",
  },
  {
    code: "disk",
    pattern: /No space left on device|Read-only file system|ENOSPC|EROFS|Permission denied|EACCES/,
    cause: (e) => `something could not be written${said(e) || ` (${lastLine(e.text)})`}`,
    advice: () => "make room on the Docker host (`df -h`, `docker system df`) and look at the volumes of this stack",
  },
];

/** Lines of acme.sh that tell a reader nothing. */
const CHATTER =
  /^\s*$|^Please (add '--debug'|check log file)|How-to-debug-acme|^sleep: invalid|^Try 'sleep --help'|^[\s{}]*$/;

/** Whether a line of acme.sh's output is worth a line in the log. */
export function worthShowing(line: string): boolean {
  return !/^\s*$|^Please (add '--debug'|check log file)|How-to-debug-acme|^sleep: invalid|^Try 'sleep --help'/.test(
    line,
  );
}

function lastLine(text: string): string {
  // What acme.sh prints comes before what it writes into its log.
  const printed = text.split(/^response(?:Headers)?=/m)[0] ?? "";
  return (
    printed
      .trim()
      .split("\n")
      .filter((line) => !CHATTER.test(line))
      .at(-1)
      ?.trim() ?? ""
  );
}

const unescaped = (text: string): string => {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
};

/** One line without control characters, cut where it stops being of use. */
function tidy(detail: string): string {
  // eslint-disable-next-line no-control-regex -- a CA's text, and with it a stranger's page, goes into our log
  const line = detail.replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

function readEvidence(text: string, names: readonly string[]): Evidence {
  // The error of a challenge says more than the refusals that follow when acme.sh gives the order up.
  const challenge =
    /"error" *: *\{ *"type" *: *"urn:ietf:params:acme:error:(\w+)" *, *"detail" *: *"((?:[^"\\]|\\.)*)"/;
  const problem = /"type"\s*:\s*"urn:ietf:params:acme:error:(\w+)"\s*,\s*"detail"\s*:\s*"((?:[^"\\]|\\.)*)"/;
  const [, type = "", rawDetail = ""] = challenge.exec(text) ?? problem.exec(text) ?? [];
  // What the hook gave up for comes before everything that the CA says of the order afterwards.
  const hook = /^dns_vectis: gave up: (.+)$/m.exec(text)?.[1];
  const cloudflare =
    /"success" *: *false.*?"errors" *: *\[ *\{ *"code" *: *(\d+) *, *"message" *: *"((?:[^"\\]|\\.)*)"/.exec(text);
  const anyDetail = /"detail" *: *"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
  const verification = /Verification error details: (.+)$/m.exec(text)?.[1] ?? "";
  const detail =
    hook !== undefined
      ? hook
      : type !== ""
        ? unescaped(rawDetail)
        : cloudflare !== null
          ? `Cloudflare refuses the request: ${unescaped(cloudflare[2] ?? "")} (code ${cloudflare[1] ?? ""})`
          : /^invalid domain$/m.test(text)
            ? "Cloudflare does not show the zone to this token"
            : verification || unescaped(anyDetail) || (text.includes("\n") ? "" : text);
  const name =
    /^(\S+): Invalid status/m.exec(text)?.[1] ??
    /"identifier":\{"type":"dns","value":"([^"]+)"/.exec(text)?.[1] ??
    names.find((known) => detail.includes(known)) ??
    names[0] ??
    "the host name";
  return { type: hook === undefined ? type : "", detail: tidy(detail), name, text };
}

/**
 * When the other side wants to be asked again: the moment in a rate limit's text (Let's Encrypt), else the Retry-After
 * header of a refusal, which acme.sh logs.
 */
function retryTime(text: string, now: number): number | undefined {
  const moment = /retry after (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/.exec(text);
  if (moment !== null) return Date.parse(`${moment[1] ?? ""}T${moment[2] ?? ""}Z`);
  const seconds = /wants to be left alone for (\d+) s$/m.exec(text)?.[1];
  if (seconds !== undefined) return now + Number(seconds) * 1000;
  const header = /responseHeaders='HTTP\/[\d.]+ (?:429|503)[^']*?\nretry-after: *([^\r\n']+)/i.exec(text)?.[1];
  if (header === undefined) return undefined;
  const time = /^\d+$/.test(header) ? now + Number(header) * 1000 : Date.parse(header);
  return Number.isNaN(time) ? undefined : time;
}

/**
 * What a text means: acme.sh's output with the log that it keeps, or the message of a connection error. Never throws.
 * @param names names of the order, the hostname first
 * @param now milliseconds since the epoch; a Retry-After in seconds counts from it
 */
export function diagnose(text: string, names: readonly string[], now: number): Trouble {
  const evidence = readEvidence(text, names);
  // Without what is quoted: a stranger's page must not choose the rule.
  const words = evidence.detail === "" ? text : evidence.detail.replace(/"[^"]*"?/g, '""');
  const chosen = RULES.find(({ types, pattern }) => types?.includes(evidence.type) === true || pattern?.test(words));
  const retryAt = retryTime(text, now);
  const retry = retryAt === undefined ? {} : { retryAt };
  if (chosen === undefined) {
    const what = evidence.type === "" ? evidence.detail : `the CA says ${evidence.type}: ${evidence.detail}`;
    return {
      code: "unknown",
      cause: what || lastLine(text) || "acme.sh said nothing",
      advice: "read the lines above this one in the log",
      ...retry,
    };
  }
  return { code: chosen.code, cause: chosen.cause(evidence), advice: chosen.advice(evidence), ...retry };
}
