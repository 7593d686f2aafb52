// What certd is told: the type of CERTD_CONFIG, shared with the stack program, and its strict parser.
// Pure: reads no environment and no file. The stack writes the value, certd parses it; nothing in it is secret.

/** Key types that a certificate can be ordered with. */
export const KEY_TYPES = ["ec-256", "ec-384"] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** How a probe reaches TLS: at once, or after STARTTLS in SMTP (RFC 3207). */
export const PROBE_MODES = ["implicit", "starttls-smtp"] as const;
export type ProbeMode = (typeof PROBE_MODES)[number];

/** A TCP endpoint inside the container network. */
export interface Endpoint {
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** One port that must serve the published generation. */
export interface ProbeTarget extends Endpoint {
  readonly mode: ProbeMode;
}

/** Certificates from an ACME CA, ordered by acme.sh over HTTP-01. */
export interface AcmeSource {
  readonly kind: "acme";
  /** The CA's directory URL (RFC 8555 section 7.1.1), https only. */
  readonly directory: string;
  /** PEM roots that replace the system's for the CA's HTTPS endpoint; for a private CA only. */
  readonly caBundle?: string;
  /** Account contact; optional, Let's Encrypt does not store it. */
  readonly email?: string;
  readonly challenge: "http-01";
  /** Port on which the challenge is answered inside the container; the proxy on port 80 forwards to it. */
  readonly httpPort: number;
  readonly keyType: KeyType;
  /** The proxy that owns port 80. If given, the way through it back to certd is tried before every order. */
  readonly challengeRoute?: Endpoint;
}

/** Everything that produces certificates. New kinds are added here; the rest of certd sees candidates only. */
export type Source = AcmeSource;

export interface Settings {
  /** Names of the mail certificate, lower case, the hostname first; at least one, no duplicates. */
  readonly names: readonly string[];
  readonly source: Source;
  /** Ports that must serve what is published. */
  readonly probes: readonly ProbeTarget[];
  /** The HTTPS endpoint with a certificate of its own, watched so that it comes to have one. */
  readonly https?: Endpoint;
  /** Generations kept in the volume besides the current one's own, 2 to 20; default 3. */
  readonly keepGenerations: number;
}

/** All problems of a configuration in one message. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `CERTD_CONFIG has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n- ${problems.join("\n- ")}`,
    );
    this.name = "SettingsError";
    this.problems = problems;
  }
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether a text is a lower-case host name of at least two labels; a leading `*.` only where wildcards are allowed. */
export function isDnsName(text: string, wildcard: boolean): boolean {
  const name = wildcard && text.startsWith("*.") ? text.slice(2) : text;
  const labels = name.split(".");
  return name.length <= 253 && labels.length >= 2 && labels.every((label) => LABEL.test(label));
}

type Fields = Readonly<Record<string, unknown>>;

/** Walks one JSON object, noting every problem with the path of the field. */
class Reader {
  readonly problems: string[];
  private readonly fields: Fields;
  private readonly path: string;

  constructor(problems: string[], path: string, fields: Fields, known: readonly string[]) {
    this.problems = problems;
    this.path = path;
    this.fields = fields;
    for (const key of Object.keys(fields)) {
      if (!known.includes(key)) problems.push(`${this.at(key)} is not a setting; known here: ${known.join(", ")}`);
    }
  }

  at(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }

  get(key: string): unknown {
    return this.fields[key];
  }

  complain(key: string, what: string): undefined {
    this.problems.push(`${this.at(key)} ${what}`);
    return undefined;
  }

  text(key: string, good: string): string {
    const value = this.fields[key];
    if (typeof value === "string" && value !== "") return value;
    this.complain(key, `must be a text, for example ${good}`);
    return "";
  }

  optionalText(key: string, good: string): string | undefined {
    return this.fields[key] === undefined ? undefined : this.text(key, good);
  }

  integer(key: string, low: number, high: number, fallback?: number): number {
    const value = this.fields[key];
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= low && value <= high) return value;
    this.complain(key, `must be a whole number from ${low} to ${high}`);
    return low;
  }

  oneOf<T extends string>(key: string, allowed: readonly [T, ...T[]]): T {
    const value = this.fields[key];
    const found = allowed.find((choice) => choice === value);
    if (found !== undefined) return found;
    this.complain(key, `must be one of ${allowed.join(", ")}`);
    return allowed[0];
  }

  object(key: string, known: readonly string[]): Reader | undefined {
    const value = this.fields[key];
    return isFields(value)
      ? new Reader(this.problems, this.at(key), value, known)
      : this.complain(key, "must be an object");
  }

  endpoint(key: string): Endpoint | undefined {
    if (this.fields[key] === undefined) return undefined;
    const reader = this.object(key, ["host", "port"]);
    return reader && { host: reader.text("host", "traefik"), port: reader.integer("port", 1, 65535) };
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readNames(reader: Reader): string[] {
  const value = reader.get("names");
  if (!Array.isArray(value) || value.length === 0) {
    reader.complain("names", 'must be a list with the hostname first, for example ["mail.example.com"]');
    return [];
  }
  const names: string[] = [];
  value.forEach((name: unknown, index) => {
    if (typeof name !== "string" || !isDnsName(name, index > 0)) {
      const what = index === 0 ? "a lower-case host name" : "a lower-case host name or wildcard";
      reader.complain(`names[${index}]`, `must be ${what}, for example mail.example.com`);
    } else if (names.includes(name)) {
      reader.complain(`names[${index}]`, `repeats ${name}`);
    } else {
      names.push(name);
    }
  });
  return names;
}

function readDirectory(reader: Reader): string {
  const good = "https://acme-v02.api.letsencrypt.org/directory";
  const text = reader.text("directory", good);
  if (text === "") return "";
  // The value travels through a shell file and a command line: plain URL characters only.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" || !/^[A-Za-z0-9:/?&=._~%@+-]+$/.test(text)) {
    reader.complain("directory", `must be an https URL, for example ${good}`);
  }
  return text;
}

function readSource(reader: Reader): Source | undefined {
  const known = ["kind", "directory", "caBundle", "email", "challenge", "httpPort", "keyType", "challengeRoute"];
  const source = reader.object("source", known);
  if (source === undefined) return undefined;
  const caBundle = source.optionalText("caBundle", "a PEM certificate");
  if (caBundle !== undefined && !caBundle.includes("-----BEGIN CERTIFICATE-----")) {
    source.complain("caBundle", "must hold PEM certificates (-----BEGIN CERTIFICATE-----)");
  }
  const email = source.optionalText("email", "admin@example.com");
  if (email !== undefined && !/^[^\s@'"\\]+@[^\s@'"\\]+$/.test(email)) {
    source.complain("email", "must be a mail address, for example admin@example.com");
  }
  const challengeRoute = source.endpoint("challengeRoute");
  return {
    kind: source.oneOf("kind", ["acme"]),
    directory: readDirectory(source),
    ...(caBundle === undefined ? {} : { caBundle }),
    ...(email === undefined ? {} : { email }),
    challenge: source.oneOf("challenge", ["http-01"]),
    httpPort: source.integer("httpPort", 1, 65535, 8080),
    keyType: source.oneOf("keyType", KEY_TYPES),
    ...(challengeRoute === undefined ? {} : { challengeRoute }),
  };
}

function readProbes(reader: Reader): ProbeTarget[] {
  const value = reader.get("probes");
  if (!Array.isArray(value)) {
    reader.complain("probes", "must be a list of ports to compare with what is published");
    return [];
  }
  const seen = new Set<string>();
  return value.flatMap((item: unknown, index): ProbeTarget[] => {
    const at = `probes[${index}]`;
    if (!isFields(item)) {
      reader.complain(at, 'must be an object such as {"port": 993, "host": "dovecot", "mode": "implicit"}');
      return [];
    }
    const probe = new Reader(reader.problems, reader.at(at), item, ["port", "host", "mode"]);
    const target = {
      port: probe.integer("port", 1, 65535),
      host: probe.text("host", "dovecot"),
      mode: probe.oneOf("mode", PROBE_MODES),
    };
    const name = `${target.host}:${target.port}`;
    if (seen.has(name)) reader.complain(at, `repeats ${name}`);
    seen.add(name);
    return [target];
  });
}

/**
 * Parses the text of CERTD_CONFIG.
 * @throws SettingsError with every problem found, not only the first.
 */
export function parseSettings(text: string | undefined): Settings {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch (error) {
    throw new SettingsError([`it must be one JSON object: ${error instanceof Error ? error.message : String(error)}`]);
  }
  if (!isFields(value)) throw new SettingsError(["it must be one JSON object"]);
  const problems: string[] = [];
  const reader = new Reader(problems, "", value, ["names", "source", "probes", "https", "keepGenerations"]);
  const names = readNames(reader);
  const source = readSource(reader);
  const probes = readProbes(reader);
  const https = reader.endpoint("https");
  const keepGenerations = reader.integer("keepGenerations", 2, 20, 3);
  if (problems.length > 0 || source === undefined) throw new SettingsError(problems);
  return { names, source, probes, ...(https === undefined ? {} : { https }), keepGenerations };
}
