// What certd is told: the type of CERTD_CONFIG, shared with the stack program, and its strict parser.
// Pure: reads no environment and no file. The stack writes the value, certd parses it; nothing in it is secret.
import * as v from "valibot";

/** Key types that a certificate can be ordered with. */
export const KEY_TYPES = ["ec-256", "ec-384"] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** Key types of the certificate that is ordered beside it, for clients that take no ECDSA. */
export const RSA_KEY_TYPES = ["rsa-2048", "rsa-3072", "rsa-4096"] as const;
export type RsaKeyType = (typeof RSA_KEY_TYPES)[number];

/** Name of a certificate profile: it travels through a shell file and a JSON text, so plain characters only. */
export const PROFILE = /^[A-Za-z0-9._-]{1,64}$/;

/** How a probe reaches TLS: at once, or after STARTTLS in SMTP (RFC 3207). */
export const PROBE_MODES = ["implicit", "starttls-smtp"] as const;
export type ProbeMode = (typeof PROBE_MODES)[number];

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

const text = (good: string) => {
  const message = `must be a text, for example ${good}`;
  return v.pipe(v.string(message), v.nonEmpty(message));
};
const whole = (low: number, high: number) => {
  const message = `must be a whole number from ${low} to ${high}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(low, message), v.maxValue(high, message));
};
const port = whole(1, 65535);

/** Reports a problem of one element of a list, with its index in the path. */
type Complain = (index: number, message: string) => void;
function eachOf<T>(judge: (list: readonly T[], complain: Complain) => void) {
  return v.rawCheck<T[]>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const list = dataset.value;
    judge(list, (key, message) =>
      addIssue({ message, path: [{ type: "array", origin: "value", input: list, key, value: list[key] }] }),
    );
  });
}

const names = v.pipe(
  v.array(
    v.string("must be a host name, for example mail.example.com"),
    'must be a list with the hostname first, for example ["mail.example.com"]',
  ),
  v.minLength(1, 'must be a list with the hostname first, for example ["mail.example.com"]'),
  eachOf<string>((list, complain) =>
    list.forEach((name, index) => {
      const what = index === 0 ? "a lower-case host name" : "a lower-case host name or wildcard";
      if (!isDnsName(name, index > 0)) complain(index, `must be ${what}, for example mail.example.com`);
      else if (list.indexOf(name) < index) complain(index, `repeats ${name}`);
    }),
  ),
);

const goodDirectory = "https://acme-v02.api.letsencrypt.org/directory";

/** A TCP endpoint inside the container network. */
const endpoint = v.strictObject(
  { host: text("traefik"), port },
  'must be an object such as {"host": "traefik", "port": 443}',
);

// The value travels through a shell file.
const cloudflareId = v.pipe(
  text("3f2a7c1e9b8d4065a1c2d3e4f5061728"),
  v.regex(/^[0-9a-f]{32}$/, "must be 32 hexadecimal digits in lower case"),
);

const absolutePath = v.pipe(
  text("/etc/vectis/certs/fullchain.pem"),
  v.startsWith("/", "must be an absolute path, for example /etc/vectis/certs/fullchain.pem"),
);

/** Certificates from an ACME CA, ordered by acme.sh. */
const acmeSource = v.strictObject({
  kind: v.literal("acme"),
  /** The CA's directory URL (RFC 8555 section 7.1.1), https only. */
  directory: v.pipe(
    text(goodDirectory),
    // The value travels through a shell file and a command line: plain URL characters only.
    v.check(
      (url) => URL.canParse(url) && new URL(url).protocol === "https:" && /^[A-Za-z0-9:/?&=._~%@+-]+$/.test(url),
      `must be an https URL, for example ${goodDirectory}`,
    ),
  ),
  /** PEM roots that replace the system's for the CA's HTTPS endpoint; for a private CA only. */
  caBundle: v.exactOptional(
    v.pipe(
      text("a PEM certificate"),
      v.includes("-----BEGIN CERTIFICATE-----", "must hold PEM certificates (-----BEGIN CERTIFICATE-----)"),
    ),
  ),
  /** Account contact; optional, Let's Encrypt does not store it. */
  email: v.exactOptional(
    v.pipe(
      text("admin@example.com"),
      v.regex(/^[^\s@'"\\]+@[^\s@'"\\]+$/, "must be a mail address, for example admin@example.com"),
    ),
  ),
  challenge: v.picklist(["http-01", "dns-01"], "must be http-01 or dns-01"),
  /** Port on which HTTP-01 is answered inside the container; the proxy on port 80 forwards to it. Default 8080. */
  httpPort: v.optional(port, 8080),
  keyType: v.picklist(KEY_TYPES, `must be one of ${KEY_TYPES.join(", ")}`),
  /** Key type of a second certificate for the same names, whose key acme.sh makes and keeps. Default: there is none. */
  rsaKeyType: v.exactOptional(v.picklist(RSA_KEY_TYPES, `must be one of ${RSA_KEY_TYPES.join(", ")}`)),
  /** Name of the CA's certificate profile; default: none is named, and the CA chooses. */
  profile: v.exactOptional(
    v.pipe(text("shortlived"), v.regex(PROFILE, "must be a profile's name, for example shortlived")),
  ),
  /** Path of the PEM key to order with inside the container. Default: acme.sh makes one and keeps it. */
  keyFile: v.exactOptional(absolutePath),
  /** The proxy that owns port 80. If given, the way through it back to certd is tried before every HTTP-01 order. */
  challengeRoute: v.exactOptional(endpoint),
  /** For DNS-01 at Cloudflare: the id of the zone, or ids by zone name, of which the longest suffix of a name counts. */
  dns: v.exactOptional(
    v.strictObject({
      zoneId: v.exactOptional(cloudflareId),
      zones: v.exactOptional(
        v.record(
          v.pipe(
            v.string(),
            v.check((name) => isDnsName(name, false), "must be a zone's name"),
          ),
          cloudflareId,
        ),
      ),
      /** The account that owns the token; default: a user does. */
      accountId: v.exactOptional(cloudflareId),
      /** Name of the zone that holds the challenges of all names, which are aliases into it; `zoneId` is its id then. */
      challengeZone: v.exactOptional(
        v.pipe(
          v.string(),
          v.check((name) => isDnsName(name, false), "must be a zone's name"),
        ),
      ),
    }),
  ),
});

/** Certificates that someone else puts into files: the operator (`custom`) or the stack's own CA (`internal`). */
const filesSource = v.strictObject({
  kind: v.picklist(["custom", "internal"], "must be custom or internal"),
  /** Path of the PEM chain inside the container, leaf first. */
  fullchain: absolutePath,
  /** Path of the PEM key inside the container. */
  privkey: absolutePath,
  /** Folder of the Docker host that holds both, for what is said about them; absent: nobody finds them there. */
  hostFolder: v.exactOptional(absolutePath),
});

const probeTarget = v.strictObject(
  { host: text("dovecot"), port, mode: v.picklist(PROBE_MODES, `must be one of ${PROBE_MODES.join(", ")}`) },
  'must be an object such as {"port": 993, "host": "dovecot", "mode": "implicit"}',
);

const settings = v.strictObject(
  {
    /** Names of the mail certificate, lower case, the hostname first; at least one, no duplicates. */
    names,
    source: v.variant("kind", [acmeSource, filesSource], "must be an object whose kind is acme, custom or internal"),
    /** Ports that must serve what is published. */
    probes: v.pipe(
      v.array(probeTarget, "must be a list of ports to compare with what is published"),
      eachOf<v.InferOutput<typeof probeTarget>>((list, complain) => {
        const at = list.map(({ host, port }) => `${host}:${port}`);
        at.forEach((name, index) => {
          if (at.indexOf(name) < index) complain(index, `repeats ${name}`);
        });
      }),
    ),
    /** The HTTPS endpoint, watched so that it comes to have its certificate. */
    https: v.exactOptional(endpoint),
    /** How many generations stay in the volume, the newest and in any case the current one; 2 to 20; default 3. */
    keepGenerations: v.optional(whole(2, 20), 3),
    /** MTA-STS (RFC 8461): what the API serves, and by which routes it is reached. */
    mtaSts: v.exactOptional(
      v.strictObject({
        /** Text of the policy, the same for every host. */
        policy: text("version: STSv1"),
        /** Traefik's dynamic configuration by policy host; each is used once its host has an address. */
        routes: v.record(v.string(), text("http: {}")),
      }),
    ),
    /** What Traefik's watched folder is to hold. */
    traefik: v.exactOptional(
      v.strictObject({
        /** Text of its `vectis.yml`. */
        routes: text("http: {}"),
        /** Whether HTTPS has a certificate of its own or serves the published one. */
        certificate: v.picklist(["own", "shared"], "must be own or shared"),
      }),
    ),
    /** Where certd's HTTP API listens inside the network. */
    api: v.exactOptional(v.strictObject({ port })),
  },
  "it must be one JSON object",
);

export type Settings = v.InferOutput<typeof settings>;
export type Source = Settings["source"];
export type AcmeSource = v.InferOutput<typeof acmeSource>;
export type FilesSource = v.InferOutput<typeof filesSource>;
export type Endpoint = v.InferOutput<typeof endpoint>;
/** One port that must serve the published generation. */
export type ProbeTarget = v.InferOutput<typeof probeTarget>;

/** `source.directory`, `probes[0].port`: where an issue is. */
function place(issue: v.BaseIssue<unknown>): string {
  return (issue.path ?? [])
    .map(({ type, key }) => (type === "array" ? `[${String(key)}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
}

function problem(issue: v.BaseIssue<unknown>): string {
  const where = place(issue);
  if (where === "") return issue.message;
  if (issue.type === "strict_object" && issue.expected === "never") return `${where} is not a setting`;
  return issue.type === "strict_object" && issue.received === "undefined"
    ? `${where} is missing`
    : `${where} ${issue.message}`;
}

/**
 * Parses the text of CERTD_CONFIG.
 * @throws SettingsError with every problem found, not only the first.
 */
export function parseSettings(config: string | undefined): Settings {
  let value: unknown;
  try {
    value = JSON.parse(config ?? "");
  } catch (error) {
    throw new SettingsError([`it must be one JSON object: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const result = v.safeParse(settings, value);
  if (!result.success) throw new SettingsError(result.issues.map(problem));
  return result.output;
}
