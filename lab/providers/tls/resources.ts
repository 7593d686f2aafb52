// The four resource types of the tls package. They live in the state alone: a read repeats it, a delete forgets it.
import { isIP } from "node:net";
import type { ResourceType } from "../protocol/resource.ts";
import { atLeast, flag, int, object, oneOf, text, textList, type Field, type Fields } from "../protocol/schema.ts";
import { int as intOf, text as textOf, UNKNOWN, type Bag, type Plain } from "../protocol/value.ts";
import { ALGORITHMS, algorithmOf, CURVES, describe, generate, hash, parsePrivateKey } from "./keys.ts";
import { EXTENDED_USES, KEY_USES } from "./uses.ts";

type Type = ResourceType<object>;

const required = true;
const replaces = true;
const computed = true;
const output = true;
const keeps = true;
const secret = true;

/** Each element of a list keeps a rule. */
const each =
  (rule: (value: Plain) => string | undefined) =>
  (value: Plain): string | undefined =>
    (Array.isArray(value) ? value : [])
      .filter((item) => item !== UNKNOWN)
      .map(rule)
      .find((problem) => problem !== undefined);

const isAddress = (value: Plain): string | undefined =>
  typeof value === "string" && isIP(value) === 0 ? `has '${value}', which is no IP address` : undefined;

const hours = (options: Partial<Field>): Field => int({ rule: atLeast(0), ...options });

const subject = object(
  {
    commonName: text(),
    organization: text(),
    organizationalUnit: text(),
    streetAddresses: textList(),
    locality: text(),
    province: text(),
    country: text(),
    postalCode: text(),
    serialNumber: text(),
    emailAddress: text(),
  },
  { replaces },
);

const nameFields: Fields = {
  subject,
  dnsNames: textList({ replaces }),
  ipAddresses: textList({ replaces, rule: each(isAddress) }),
  uris: textList({ replaces }),
};

const certificateFields: Fields = {
  validityPeriodHours: hours({ required, replaces }),
  allowedUses: textList({
    required,
    replaces,
    rule: each(oneOf(...Object.keys(KEY_USES), ...Object.keys(EXTENDED_USES))),
  }),
  earlyRenewalHours: hours({ default: 0 }),
  isCaCertificate: flag({ default: false, replaces }),
  maxPathLength: int({ computed, keeps, replaces, rule: atLeast(-1) }),
  setSubjectKeyId: flag({ default: false, replaces }),
  certPem: text({ output, keeps }),
  readyForRenewal: flag({ output }),
  validityStartTime: text({ output, keeps }),
  validityEndTime: text({ output, keeps }),
};

const WRITE_ONLY = ["privateKeyPemWo", "privateKeyPemWoVersion", "caPrivateKeyPemWo", "caPrivateKeyPemWoVersion"];
const NAME_CONSTRAINTS = [
  "nameConstraintPermittedDnsNames",
  "nameConstraintPermittedDnsNamesCritical",
  "nameConstraintExcludedDnsNames",
];

/** Whether the time of the next certificate has come. */
function isDue(state: Bag, earlyRenewalHours: number): boolean {
  const end = Date.parse(textOf(state, "validityEndTime"));
  return !Number.isNaN(end) && end - earlyRenewalHours * 3_600_000 <= Date.now();
}

/** A certificate is ready for renewal when its window is as long as its life, and replaced once the window is open. */
function adjustRenewal(planned: Bag, before: Bag | undefined): string[] {
  const [early, validity] = [planned["earlyRenewalHours"], planned["validityPeriodHours"]];
  if (typeof early !== "number" || typeof validity !== "number") {
    planned["readyForRenewal"] = UNKNOWN;
    return [];
  }
  planned["readyForRenewal"] = early >= validity;
  if (before === undefined || !isDue(before, early)) return [];
  planned["readyForRenewal"] = UNKNOWN;
  return ["readyForRenewal"];
}

/** What all types have in common. */
function local(
  name: string,
  stateVersion: number,
  fields: Fields,
  more: Pick<Type, "create"> & Partial<Pick<Type, "adjust">>,
): Type {
  const token = `tls:index/${name}:${name[0]?.toUpperCase()}${name.slice(1)}`;
  return {
    token,
    stateVersion,
    fields,
    refused: [...WRITE_ONLY, ...NAME_CONSTRAINTS],
    ...more,

    read(_context, id, prior) {
      if (prior === undefined) throw new Error(`${token} cannot be imported: nothing outside the state knows it`);
      const due = "readyForRenewal" in fields && isDue(prior, intOf(prior, "earlyRenewalHours"));
      return Promise.resolve({ id, state: due ? { ...prior, readyForRenewal: true } : prior });
    },

    update: (_context, _id, { before, planned }) => Promise.resolve(filled(planned, before)),

    remove: () => Promise.resolve(),
  };
}

/** A planned state with what has become known; the rest stays absent. */
function filled(planned: Bag, known: Bag): Bag {
  return Object.fromEntries(
    Object.entries(planned).map(([key, value]) => [key, value === UNKNOWN ? (known[key] ?? null) : value]),
  );
}

const privateKey = local(
  "privateKey",
  1,
  {
    id: text({ output }),
    algorithm: text({ required, replaces, rule: oneOf(...ALGORITHMS) }),
    rsaBits: int({ default: 2048, replaces, rule: atLeast(1024) }),
    ecdsaCurve: text({ default: "P224", replaces, rule: oneOf(...Object.keys(CURVES)) }),
    privateKeyPem: text({ output, secret }),
    privateKeyPemPkcs8: text({ output, secret }),
    privateKeyOpenssh: text({ output, secret }),
    publicKeyPem: text({ output }),
    publicKeyOpenssh: text({ output }),
    publicKeyFingerprintMd5: text({ output }),
    publicKeyFingerprintSha256: text({ output }),
  },
  {
    async create(_context, _inputs, planned) {
      const key = await generate(
        textOf(planned, "algorithm"),
        intOf(planned, "rsaBits"),
        textOf(planned, "ecdsaCurve"),
      );
      const told = describe(key);
      return { id: hash("sha1", told["publicKeyPem"] ?? "", "hex"), state: filled(planned, told) };
    },
  },
);

const certRequest = local(
  "certRequest",
  0,
  {
    ...nameFields,
    privateKeyPem: text({ required, replaces, secret }),
    certRequestPem: text({ output, keeps }),
    keyAlgorithm: text({ output, keeps }),
  },
  {
    async create(_context, _inputs, planned) {
      const key = parsePrivateKey(textOf(planned, "privateKeyPem"));
      const { requestPem } = await import("./x509.ts");
      const certRequestPem = requestPem(planned, key);
      const state = filled(planned, { certRequestPem, keyAlgorithm: algorithmOf(key) });
      return { id: hash("sha1", certRequestPem, "hex"), state };
    },
  },
);

const selfSignedCert = local(
  "selfSignedCert",
  0,
  {
    ...nameFields,
    ...certificateFields,
    privateKeyPem: text({ required, replaces, secret }),
    setAuthorityKeyId: flag({ default: false, replaces }),
    keyAlgorithm: text({ output, keeps }),
  },
  {
    adjust: adjustRenewal,

    async create(_context, _inputs, planned) {
      const key = parsePrivateKey(textOf(planned, "privateKeyPem"));
      const { issue, requested } = await import("./x509.ts");
      const known = filled(planned, {});
      const issued = issue(known, requested(known, key), { key });
      return { id: issued.id, state: filled(planned, { ...told(issued), keyAlgorithm: algorithmOf(key) }) };
    },
  },
);

const locallySignedCert = local(
  "locallySignedCert",
  0,
  {
    ...certificateFields,
    caCertPem: text({ required, replaces }),
    caPrivateKeyPem: text({ required, replaces, secret }),
    certRequestPem: text({ required, replaces }),
    caKeyAlgorithm: text({ output, keeps }),
  },
  {
    adjust: adjustRenewal,

    async create(_context, _inputs, planned) {
      const key = parsePrivateKey(textOf(planned, "caPrivateKeyPem"));
      const { issue, parseRequest } = await import("./x509.ts");
      const request = parseRequest(textOf(planned, "certRequestPem"));
      const issued = issue(filled(planned, {}), request, { key, certificatePem: textOf(planned, "caCertPem") });
      return { id: issued.id, state: filled(planned, { ...told(issued), caKeyAlgorithm: algorithmOf(key) }) };
    },
  },
);

function told({ pem, notBefore, notAfter }: { pem: string; notBefore: Date; notAfter: Date }): Bag {
  return { certPem: pem, validityStartTime: notBefore.toISOString(), validityEndTime: notAfter.toISOString() };
}

export const types = [privateKey, certRequest, selfSignedCert, locallySignedCert];
