// The configuration of TLS: where certificates come from, and what every port takes. Part of infra/config.ts.
import { readFileSync } from "node:fs";
import { basename, dirname, normalize } from "node:path";
import * as v from "valibot";
import { isDnsName, PROFILE, RSA_KEY_TYPES } from "../certd/settings.ts";
import { domain, email, text, wholeNumber } from "./config-fields.ts";

/** Let's Encrypt's directories by the name that `tls.acme.directory` accepts for them. */
const letsEncrypt = {
  production: "https://acme-v02.api.letsencrypt.org/directory",
  staging: "https://acme-staging-v02.api.letsencrypt.org/directory",
} as const;

const directory = v.pipe(
  text("production"),
  v.check(
    (value) => value in letsEncrypt || (URL.canParse(value) && new URL(value).protocol === "https:"),
    "must be production, staging or the https address of an ACME directory, for example https://ca.example.com/acme/directory",
  ),
  v.transform((value) => letsEncrypt[value as keyof typeof letsEncrypt] ?? value),
);

/** PEM text, or the path of a PEM file from the project's folder; only the certificate text goes on. */
const caBundle = v.pipe(
  text("certs/ca.pem"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const given = dataset.value;
    let pem = given;
    if (!given.includes("-----BEGIN")) {
      try {
        pem = readFileSync(given, "utf8");
      } catch {
        addIssue({ message: `names the file ${given}, which cannot be read; give PEM text or the path of a PEM file` });
        return NEVER;
      }
    }
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
      addIssue({
        message: "holds no certificate; give PEM text (-----BEGIN CERTIFICATE-----) or the path of a PEM file",
      });
      return NEVER;
    }
    return pem;
  }),
);

const accountUri = v.pipe(
  text("https://ca.example.com/acct/1"),
  // It travels in a CAA record, where a semicolon or a space would end it (RFC 8659 section 4.2).
  v.regex(
    /^https:\/\/[\x21-\x3a\x3c-\x7e]+$/,
    "must be the https URL of an ACME account, for example https://ca.example.com/acct/1",
  ),
);

const lifetimeProblem = "must be a number of days from 0.05 to 398, for example 45";
const lifetimeDays = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d+(\.\d+)?$/), v.transform(Number))], lifetimeProblem),
  v.minValue(0.05, lifetimeProblem),
  v.maxValue(398, lifetimeProblem),
);

/** Lifetimes in days of Let's Encrypt's profiles (letsencrypt.org/docs/profiles). */
const profileDays: Readonly<Record<string, number>> = { classic: 90, tlsserver: 45, shortlived: 6.67 };

const acme = v.pipe(
  v.strictObject({
    /** The ACME directory. Default: Let's Encrypt's production directory. */
    directory: v.optional(directory, "production"),
    /** Roots that the CA's own HTTPS certificate chains to, for a private CA. Default: the system's roots. */
    caBundle: v.optional(caBundle),
    /** Key of the certificates. Default: ec-256. */
    keyType: v.optional(v.picklist(["ec-256", "ec-384"], "must be ec-256 or ec-384"), "ec-256"),
    /**
     * Key of a second certificate of the mail ports, for clients that take no ECDSA; ordered and renewed beside the other
     * one. Needs the provider letsencrypt, and no DANE. Default: there is none.
     */
    alsoKeyType: v.optional(v.picklist(RSA_KEY_TYPES, "must be rsa-2048, rsa-3072 or rsa-4096")),
    /**
     * Certificate profile of the CA (draft-ietf-acme-profiles), for example Let's Encrypt's tlsserver or shortlived. Default:
     * none is named, and the CA chooses.
     */
    profile: v.optional(
      v.pipe(text("shortlived"), v.regex(PROFILE, "must be the name of a profile of the CA, for example shortlived")),
    ),
    /**
     * Lifetime in days of the certificates that the CA issues, 0.05 to 398; fractions count (Let's Encrypt's shortlived
     * profile: 6.67). Traefik, which has no ARI, plans its renewals by it; certd reads the certificate. Default: that of
     * the profile where Let's Encrypt has one of that name, else 90.
     */
    lifetimeDays: v.optional(lifetimeDays),
    /** Name of the CA in CAA records (RFC 8659 section 4.2). Default: Let's Encrypt's for its own directories, else none. */
    caaIdentity: v.optional(domain("ca.example.com")),
    /** Accounts that CAA records shall admit alone (RFC 8657 section 3): Traefik's and the sidecar's. Default: any. */
    accountUris: v.optional(
      v.array(accountUri, "must be a list of account URLs, for example [https://ca.example.com/acct/1]"),
      [],
    ),
  }),
  v.transform((value) => ({ ...value, lifetimeDays: value.lifetimeDays ?? profileDays[value.profile ?? ""] ?? 90 })),
);

const certificateName = v.pipe(
  v.string("must be a name, for example imap.example.com or *.example.com"),
  v.check(
    (value) => isDnsName(value, true),
    "must be a lower-case name or wildcard, for example imap.example.com or *.example.com",
  ),
);

/** A file in a folder of the Docker host; a colon would end a path where Docker mounts it. */
const hostFile = (good: string) => {
  const problem = `must be the path of a file in a folder of the Docker host, for example ${good}`;
  return v.pipe(
    v.string(problem),
    v.check((path) => /^\/[^:\0]+\/[^/:\0]+$/.test(path) && normalize(path) === path, problem),
  );
};
const goodCertPath = "/etc/vectis/certs/fullchain.pem";
const goodKeyPath = "/etc/vectis/certs/privkey.pem";

/** Whoever issues. What only `letsencrypt` uses may stand beside the others, so that a switch changes `provider` alone. */
const flat = v.strictObject(
  {
    /** `letsencrypt`: any ACME CA, see `acme`. `custom`: two files of the operator's. `internal`: a CA of the stack's own. */
    provider: v.picklist(
      ["letsencrypt", "custom", "internal"],
      "must be letsencrypt (any ACME CA, see tls.acme), custom or internal",
    ),
    /** custom: PEM chain on the Docker host, the leaf first. */
    certPath: v.optional(hostFile(goodCertPath)),
    /** custom: its PEM key, in the same folder. */
    keyPath: v.optional(hostFile(goodKeyPath)),
    /** internal: lifetime of the certificate in days, 1 to 825; an update in its last third renews it. Default: 397. */
    lifetimeDays: v.optional(wholeNumber(1, 825, 397)),
    /** Address of the ACME account. Let's Encrypt no longer stores it; other CAs want it. */
    email: v.optional(email),
    /** How the CA is shown that the names are ours. dns-01 needs dns.provider cloudflare. Default: http-01. */
    challenge: v.optional(v.picklist(["http-01", "dns-01"], "must be http-01 or dns-01"), "http-01"),
    /** Further names of the mail certificate; wildcards (`*.example.com`) not with http-01. Default: none. */
    names: v.optional(v.array(certificateName, "must be a list of names, for example [imap.example.com]"), []),
    acme: v.optional(acme, {}),
    /** What every port takes of TLS; see components/tls-policy.ts. Default: intermediate. */
    policy: v.optional(
      v.picklist(["modern", "intermediate", "compat"], "must be modern, intermediate or compat"),
      "intermediate",
    ),
  },
  "must be an object, for example { provider: letsencrypt, email: admin@example.com }",
);

type Flat = v.InferOutput<typeof flat>;
type Common = Omit<Flat, "provider" | "certPath" | "keyPath" | "lifetimeDays">;

/** Where certificates come from, with what that kind of source needs. */
export type Tls = Common &
  (
    | { readonly provider: "letsencrypt" }
    | {
        readonly provider: "custom";
        /** Folder of the Docker host that holds both files. */
        readonly folder: string;
        readonly certFile: string;
        readonly keyFile: string;
      }
    | { readonly provider: "internal"; readonly lifetimeDays: number }
  );

export const tls = v.pipe(
  flat,
  v.rawTransform<Flat, Tls>(({ dataset: { value }, addIssue, NEVER }) => {
    const { provider, certPath, keyPath, lifetimeDays, ...common } = value;
    const problems: [key: keyof Flat, message: string][] = [];
    const foreign = (key: "certPath" | "keyPath" | "lifetimeDays", owner: string): void => {
      if (value[key] !== undefined) problems.push([key, `belongs to the provider ${owner}; remove it, or set that`]);
    };
    const settled = (): Tls | undefined => {
      switch (provider) {
        case "letsencrypt":
          foreign("certPath", "custom");
          foreign("keyPath", "custom");
          foreign("lifetimeDays", "internal");
          return { ...common, provider };
        case "internal":
          foreign("certPath", "custom");
          foreign("keyPath", "custom");
          return { ...common, provider, lifetimeDays: lifetimeDays ?? 397 };
        case "custom": {
          foreign("lifetimeDays", "internal");
          if (certPath === undefined) problems.push(["certPath", `is missing; for example ${goodCertPath}`]);
          if (keyPath === undefined) problems.push(["keyPath", `is missing; for example ${goodKeyPath}`]);
          if (certPath === undefined || keyPath === undefined) return undefined;
          const folder = dirname(certPath);
          if (dirname(keyPath) !== folder)
            problems.push(["keyPath", `must be in the folder of certPath, for example ${folder}/privkey.pem`]);
          if (keyPath === certPath)
            problems.push(["keyPath", `must be another file than certPath, for example ${folder}/privkey.pem`]);
          return { ...common, provider, folder, certFile: basename(certPath), keyFile: basename(keyPath) };
        }
      }
    };
    const result = settled();
    for (const [key, message] of problems) {
      addIssue({ message, path: [{ type: "object", origin: "value", input: { ...value }, key, value: value[key] }] });
    }
    return result === undefined || problems.length > 0 ? NEVER : result;
  }),
);
