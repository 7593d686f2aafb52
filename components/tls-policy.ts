// The TLS policies that a stack can have, as data, and their renderers for Traefik, Postfix and Dovecot.
// Whoever changes a cipher, group or version changes it here, for every port at once.

/** A TLS 1.2 cipher suite under both of its names. TLS 1.3 has no weak suites, so it is not listed. */
interface CipherSuite {
  readonly openssl: string;
  readonly iana: string;
}

type TlsVersion = "1.2" | "1.3";

export interface TlsPolicy {
  /** Lowest version where people connect: HTTPS, submission, IMAP, POP3 (RFC 8996 forbids 1.0 and 1.1). */
  readonly minVersion: TlsVersion;
  /** Suites for TLS 1.2, on port 25 too. */
  readonly cipherSuites: readonly CipherSuite[];
  /** Key-exchange groups in order of preference, under OpenSSL's names. */
  readonly groups: readonly string[];
  /** Signature algorithms of handshakes, under OpenSSL's names. Without this list Postfix accepts SHA-1. */
  readonly signatureAlgorithms: readonly string[];
}

/**
 * Lowest version between mail servers, under every policy: one that cannot do the version asked for delivers in clear, or
 * not at all (RFC 7435), and neither is better than TLS 1.2.
 */
export const relayMinVersion: TlsVersion = "1.2";

const aead = (auth: "ECDSA" | "RSA"): CipherSuite[] => [
  { openssl: `ECDHE-${auth}-AES128-GCM-SHA256`, iana: `TLS_ECDHE_${auth}_WITH_AES_128_GCM_SHA256` },
  { openssl: `ECDHE-${auth}-AES256-GCM-SHA384`, iana: `TLS_ECDHE_${auth}_WITH_AES_256_GCM_SHA384` },
  { openssl: `ECDHE-${auth}-CHACHA20-POLY1305`, iana: `TLS_ECDHE_${auth}_WITH_CHACHA20_POLY1305_SHA256` },
];

/** CBC suites with forward secrecy that OpenSSL and Go both have. */
const cbc = (auth: "ECDSA" | "RSA"): CipherSuite[] => [
  { openssl: `ECDHE-${auth}-AES128-SHA`, iana: `TLS_ECDHE_${auth}_WITH_AES_128_CBC_SHA` },
  { openssl: `ECDHE-${auth}-AES256-SHA`, iana: `TLS_ECDHE_${auth}_WITH_AES_256_CBC_SHA` },
];

/**
 * Mozilla's "intermediate" 6.0 (six ECDHE AEAD suites, no DHE), which also passes Internet.nl's mail test without a
 * warning; X25519MLKEM768 first, as OpenSSL 3.5 and Go 1.24 offer it.
 */
const intermediate: TlsPolicy = {
  minVersion: "1.2",
  cipherSuites: [...aead("ECDSA"), ...aead("RSA")],
  groups: ["X25519MLKEM768", "X25519", "prime256v1", "secp384r1"],
  signatureAlgorithms: [
    "ECDSA+SHA256",
    "ECDSA+SHA384",
    "ECDSA+SHA512",
    "ed25519",
    "ed448",
    "rsa_pss_pss_sha256",
    "rsa_pss_pss_sha384",
    "rsa_pss_pss_sha512",
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "RSA+SHA256",
    "RSA+SHA384",
    "RSA+SHA512",
  ],
};

/** From strict to lax; every policy takes all that the ones before it take. */
export const tlsPolicies = {
  /** Mozilla's "modern": TLS 1.3 wherever people connect. Mail servers still get TLS 1.2. */
  modern: { ...intermediate, minVersion: "1.3" },
  intermediate,
  /** For mail programs of before 2015: TLS 1.2 with CBC suites as well. Nothing without forward secrecy, nothing of SHA-1 signatures. */
  compat: { ...intermediate, cipherSuites: [...intermediate.cipherSuites, ...cbc("ECDSA"), ...cbc("RSA")] },
} as const satisfies Readonly<Record<string, TlsPolicy>>;

export type TlsPolicyName = keyof typeof tlsPolicies;

/** Go's names of the groups that OpenSSL names otherwise. */
const goGroups: Readonly<Record<string, string>> = { prime256v1: "CurveP256", secp384r1: "CurveP384" };

const opensslCiphers = (policy: TlsPolicy) => policy.cipherSuites.map((suite) => suite.openssl).join(":");

/**
 * `tls.options.default` of Traefik's dynamic configuration. `sniStrict` stays off: with it 443 would refuse every
 * client until the first certificate is there.
 */
export function traefikTlsOptions(policy: TlsPolicy) {
  return {
    minVersion: `VersionTLS${policy.minVersion.replace(".", "")}`,
    cipherSuites: policy.cipherSuites.map((suite) => suite.iana),
    curvePreferences: policy.groups.map((group) => goGroups[group] ?? group),
  };
}

/** Where both daemons read their certificate: the checked copy that the follower makes of the published generation. */
const certificateFolder = "/run/vectis/certs";

/** Path of the OpenSSL file in the containers of Postfix and Dovecot. */
export const opensslPath = { postfix: "/etc/postfix/openssl.cnf", dovecot: "/run/vectis/openssl.cnf" } as const;

/**
 * The OpenSSL configuration that both daemons load: the only knob that removes SHA-1 and SHA-224 from Postfix's
 * handshakes. The floor in it is the lower one; what people connect to has its own. Dovecot enters by `openssl_conf`, Postfix by the name `postfix` (tls_config_name).
 */
export function opensslConf(policy: TlsPolicy): string {
  return `openssl_conf = application
postfix = application

[application]
ssl_conf = ssl

[ssl]
system_default = policy

[policy]
MinProtocol = TLSv${relayMinVersion}
SignatureAlgorithms = ${policy.signatureAlgorithms.join(":")}
`;
}

/** main.cf parameters of Postfix, in the order in which they are written. */
export function postfixTls(policy: TlsPolicy): [string, string][] {
  const [floor, relayFloor] = [`>=TLSv${policy.minVersion}`, `>=TLSv${relayMinVersion}`];
  return [
    // One file: key, leaf, chain, and then perhaps those of RSA. More files are a race that Postfix's TLS_README warns of.
    ["smtpd_tls_chain_files", `${certificateFolder}/keychain.pem`],
    ["smtpd_tls_security_level", "may"],
    ["smtpd_tls_auth_only", "yes"],
    // Where TLS is optional: port 25. Submission requires it and takes the next one.
    ["smtpd_tls_protocols", relayFloor],
    ["smtpd_tls_mandatory_protocols", floor],
    ["smtpd_tls_ciphers", "medium"],
    ["smtpd_tls_mandatory_ciphers", "medium"],
    ["tls_medium_cipherlist", opensslCiphers(policy)],
    ["tls_preempt_cipherlist", "no"],
    ["tls_eecdh_auto_curves", policy.groups.join(" ")],
    ["tls_ffdhe_auto_groups", ""],
    ["tls_config_file", opensslPath.postfix],
    ["tls_config_name", "postfix"],
    ["tls_ssl_options", "NO_RENEGOTIATION"],
    ["smtpd_tls_loglevel", "1"],
    ["smtpd_tls_received_header", "yes"],
    // Outbound: opportunistic, and with the laxer list, since a peer that fails the handshake gets its mail in clear.
    ["smtp_tls_security_level", "may"],
    ["smtp_tls_protocols", relayFloor],
    ["smtp_tls_mandatory_protocols", relayFloor],
    ["smtp_tls_ciphers", "high"],
    ["smtp_tls_CAfile", "/etc/ssl/certs/ca-certificates.crt"],
    ["smtp_tls_loglevel", "1"],
  ];
}

/**
 * Settings of Dovecot 2.4, in the order in which they are written.
 * @param alsoRsa whether there is a second certificate; the follower's copy has its files even before it is there
 */
export function dovecotTls(policy: TlsPolicy, alsoRsa = false): [string, string][] {
  const second: [string, string][] = [
    ["ssl_server_alt_cert_file", `${certificateFolder}/fullchain-rsa.pem`],
    ["ssl_server_alt_key_file", `${certificateFolder}/privkey-rsa.pem`],
  ];
  return [
    ["ssl", "required"],
    ["ssl_min_protocol", `TLSv${policy.minVersion}`],
    ["ssl_cipher_list", opensslCiphers(policy)],
    ["ssl_curve_list", policy.groups.join(":")],
    ["ssl_server_prefer_ciphers", "client"],
    ["ssl_server_cert_file", `${certificateFolder}/fullchain.pem`],
    ["ssl_server_key_file", `${certificateFolder}/privkey.pem`],
    ...(alsoRsa ? second : []),
  ];
}
