// Reads all stack configuration, once, and turns it into Settings or into one message that lists every problem.
// The only module that knows configuration keys; it knows nothing of resources.
import * as v from "valibot";
import { address, domain, mailboxAddress, text, wholeNumber } from "./config-fields.ts";
import { dns, dnsContradictions, zoneNames } from "./dns-config.ts";
import { tls } from "./tls-config.ts";

/** Everything that a mistake in the configuration has to say, in one error without a stack trace. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  /** @param finder who found them, up to the number; default: the configuration itself */
  constructor(problems: readonly string[], finder = "the stack configuration has") {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super(`${finder} ${count}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const dockerName = (good: string) =>
  v.pipe(
    text(good),
    v.regex(/^[a-z0-9][a-z0-9_.-]{0,39}$/, `must be 1 to 40 of a-z, 0-9, "_", "." and "-", for example ${good}`),
  );
const publish = v.strictObject(
  {
    /** Address of the host on which the ports are published. Default: 0.0.0.0. */
    address: v.optional(address, "0.0.0.0"),
    /** Added to every published port, 0 to 64540. Default: 0. */
    portOffset: v.optional(wholeNumber(0, 64_540, 10_000), 0),
    /**
     * Whether port 80 is published. Closed, nothing is redirected to HTTPS, and Traefik proves the host name to its CA on
     * port 443 (TLS-ALPN-01). Default: open.
     */
    port80: v.optional(v.picklist(["open", "closed"], "must be open or closed"), "open"),
    /** Existing Docker networks that the published containers join as well, under the mail host's name. */
    networks: v.optional(v.array(dockerName("backbone"), "must be a list of Docker network names"), []),
  },
  "must be an object, for example { address: 0.0.0.0 }",
);

const mailbox = v.strictObject(
  {
    address: mailboxAddress,
    /** A hash in Dovecot's notation, as `doveadm pw -s SHA512-CRYPT` prints it. */
    passwordHash: v.pipe(
      text("{SHA512-CRYPT}$6$…"),
      v.regex(
        /^\{(?:SHA512-CRYPT|BLF-CRYPT|ARGON2ID|ARGON2I)\}[^\s:]+$/,
        "must be a hash as `doveadm pw -s SHA512-CRYPT` prints it, for example {SHA512-CRYPT}$6$…",
      ),
    ),
  },
  "must be an object, for example { address: alice@example.com, passwordHash: '{SHA512-CRYPT}$6$…' }",
);

const keys = v.strictObject(
  {
    /** Who holds the private key of the mail certificate: the stack, encrypted in its state, or the host alone. Default: stack. */
    held: v.optional(v.picklist(["stack", "host"], "must be stack or host"), "stack"),
    /** Generation of the stack's key in use, 1 to 999999; one more makes the next key the current one. Default: 1. */
    generation: v.optional(wholeNumber(1, 999_999, 2), 1),
  },
  "must be an object, for example { held: stack, generation: 2 }",
);

const schema = v.strictObject({
  /** Prefix of every container, network and volume, so that several stacks fit one Docker host. */
  name: v.optional(dockerName("vectis"), "vectis"),
  /** The mail host's public name: MX target, and first name of both certificates. */
  hostname: domain("mail.example.com"),
  /** Domains whose mail is delivered here. */
  domains: v.pipe(
    v.array(domain("example.com"), "must be a list of domain names, for example [example.com]"),
    v.minLength(1, "must name at least one domain, for example [example.com]"),
  ),
  tls,
  publish: v.optional(publish, {}),
  /** Public addresses of the mail host, for its A and AAAA records. Default: none, the records are somebody else's. */
  addresses: v.optional(
    v.pipe(
      v.array(address, "must be a list of IP addresses, for example [192.0.2.25, 2001:db8::25]"),
      v.check((list) => new Set(list).size === list.length, "names an address twice; remove one of them"),
    ),
    [],
  ),
  /** The private key of the mail certificate. */
  keys: v.optional(keys, {}),
  /** Who holds the zones of the mail host and the domains, and what the records say. */
  dns: v.optional(dns, { provider: "none" }),
  /** An API token for DNS-01 that somebody else made; secret. Default: the stack makes one. */
  challengeToken: v.optional(
    v.pipe(
      v.string("must be text"),
      v.regex(/^[\x21-\x7e]{20,}$/, "must be one API token without spaces; set it with --secret"),
    ),
  ),
  /** Token of the health API, the metrics and the status page; secret. Default: none of them is there. */
  healthToken: v.optional(
    v.pipe(
      v.string("must be text"),
      v.regex(
        /^[A-Za-z0-9._~+/-]{16,256}=*$/,
        'must be 16 to 256 of A-Z, a-z, 0-9, ".", "_", "~", "+", "/" and "-", for example from `openssl rand -hex 32`',
      ),
    ),
  ),
  /** DNS servers of the containers. Default: those of the Docker host. */
  resolvers: v.optional(v.array(address, "must be a list of IP addresses, for example [192.0.2.53]"), []),
  mailboxes: v.optional(v.array(mailbox, "must be a list of { address, passwordHash }"), []),
  /** Base images; for hosts that reach no registry. Defaults: infra/images.ts. */
  images: v.optional(
    v.strictObject({
      debian: v.optional(text("debian:trixie-slim@sha256:…")),
      traefik: v.optional(text("traefik:v3.7@sha256:…")),
    }),
    {},
  ),
  /** What `pulumi destroy` does with volumes that hold state: keep them on the host, or delete them. */
  data: v.optional(v.picklist(["keep", "delete"], "must be keep or delete"), "keep"),
});

/** All stack configuration, checked. Plain values: which of them are secret is said where they become inputs. */
export type Settings = v.InferOutput<typeof schema>;

/** The configuration keys that exist, without the project's namespace; Pulumi.yaml declares the same. */
export const configKeys: readonly string[] = Object.keys(schema.entries);

const plainKeys = new Set(["name", "hostname", "data", "challengeToken", "healthToken"]);

/**
 * Checks stack configuration as the engine hands it over: texts by key, structured values as JSON.
 * @throws ConfigError with every problem: its key, what is wrong, and an example of a good value
 */
export function parseSettings(raw: Readonly<Record<string, string>>, project = "vectis"): Settings {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [fullKey, value] of Object.entries(raw)) {
    if (!fullKey.startsWith(`${project}:`)) continue;
    const key = fullKey.slice(project.length + 1);
    if (!plainKeys.has(key) && configKeys.includes(key)) {
      try {
        values[key] = JSON.parse(value);
      } catch {
        problems.push(`${fullKey} must be structured YAML, not the text "${value}"`);
      }
    } else if (value !== "") {
      values[key] = value;
    }
  }
  const malformed = new Set(problems.map((problem) => problem.split(" ")[0]));
  const result = v.safeParse(schema, values);
  for (const issue of result.issues ?? []) {
    const key = `${project}:${v.getDotPath(issue) ?? ""}`;
    if (malformed.has(key)) continue;
    problems.push(`${key} ${describe(issue)}`);
  }
  if (result.success) problems.push(...contradictions(result.output, project));
  if (problems.length > 0 || !result.success) throw new ConfigError(problems);
  return result.output;
}

function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object" && issue.expected === "never")
    return "is not a key of this stack; check its spelling";
  if (issue.type === "strict_object" && issue.received === "undefined") return `is missing; ${missing(issue)}`;
  return issue.received === "undefined" ? `is missing; it ${issue.message}` : issue.message;
}

/** A missing entry is reported by its parent, so its own example is looked up here. */
function missing(issue: v.BaseIssue<unknown>): string {
  const examples: Readonly<Record<string, string>> = {
    hostname: "for example mail.example.com",
    domains: "for example [example.com]",
    tls: "for example { provider: letsencrypt, email: admin@example.com }",
    provider: "for example letsencrypt",
    address: "for example alice@example.com",
    passwordHash: "print one with `doveadm pw -s SHA512-CRYPT`",
  };
  const key = String(issue.path?.at(-1)?.key);
  return examples[key] ?? `it ${issue.message}`;
}

/** What no single value shows. */
function contradictions(settings: Settings, project: string): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  settings.mailboxes.forEach(({ address }, index) => {
    const key = `${project}:mailboxes.${index}.address`;
    const domain = address.slice(address.lastIndexOf("@") + 1);
    if (!settings.domains.includes(domain)) {
      problems.push(
        `${key} is ${address}, but ${domain} is not among ${project}:domains; add it there or correct the address`,
      );
    }
    if (seen.has(address))
      problems.push(`${key} is ${address}, which an earlier mailbox has already; remove one of them`);
    seen.add(address);
  });
  const { tls, dns, hostname, publish } = settings;
  // Beside other providers the challenge only waits for a switch back.
  const challenge = tls.provider === "letsencrypt" ? tls.challenge : undefined;
  problems.push(...dnsContradictions(dns, zoneNames(settings), `${project}:dns`));
  if (dns.dane === "on" && tls.provider !== "letsencrypt")
    problems.push(
      `${project}:dns.dane is on, and its records are for keys of the stack, which ${project}:tls.provider ${tls.provider} does not use; ` +
        `set ${project}:dns.dane to off, and wait for two TTLs before the provider is changed`,
    );
  if (dns.dane === "on" && settings.keys.held === "host")
    problems.push(
      `${project}:dns.dane is on, which needs to know the next key too; set ${project}:keys.held to stack, or ${project}:dns.dane to off`,
    );
  problems.push(...alsoContradictions(settings, project));
  if (challenge === "http-01" && publish.port80 === "closed") {
    problems.push(
      `${project}:publish.port80 is closed, but ${project}:tls.challenge http-01 is answered there; ` +
        `set the challenge to dns-01, or port80 to open`,
    );
  }
  if (challenge === "dns-01" && dns.provider === "none") {
    if (dns.challengeZone === undefined)
      problems.push(
        `${project}:tls.challenge is dns-01, which needs somebody who holds the zone; set ${project}:dns, ` +
          `for example { provider: cloudflare, zoneId: 023e105f4ecef8ad9ca31a8372d0c353 }, or use http-01`,
      );
    else if (settings.challengeToken === undefined)
      problems.push(
        `${project}:challengeToken is needed for ${project}:dns.challengeZone where this stack holds no zone; set a token with ` +
          `Zone > DNS > Edit on ${dns.challengeZone.name} by \`pulumi config set --secret ${project}:challengeToken\``,
      );
  }
  if (tls.names.includes(hostname))
    problems.push(`${project}:tls.names has ${hostname}, which ${project}:hostname is already; remove it`);
  return problems;
}

/** The second certificate has no key that a record of DANE could name, and only an ACME CA issues it. */
function alsoContradictions({ tls, dns }: Settings, project: string): string[] {
  const { alsoKeyType } = tls.acme;
  if (alsoKeyType === undefined) return [];
  const what = `${project}:tls.acme.alsoKeyType is ${alsoKeyType}`;
  return [
    ...(tls.provider === "letsencrypt"
      ? []
      : [
          `${what}, but ${project}:tls.provider ${tls.provider} has one certificate alone; ` +
            `remove alsoKeyType, or set the provider to letsencrypt`,
        ]),
    ...(dns.dane === "off"
      ? []
      : [
          `${what}, but the records of ${project}:dns.dane name the stack's key alone, and a sender that is served the ` +
            `RSA certificate would refuse to deliver; remove alsoKeyType, or set ${project}:dns.dane to off and wait for two TTLs`,
        ]),
  ];
}
