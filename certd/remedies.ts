// What to do about each finding on a pair of files, and at which of the two. Shared by certd and the checks at preview.
import type { FindingCode } from "./validate.ts";

export interface Remedy {
  readonly file: "certificate" | "key";
  /** A whole sentence. */
  readonly remedy: string;
}

export const remedies: Readonly<Record<FindingCode, Remedy>> = {
  "chain-unreadable": { file: "certificate", remedy: "Put a PEM file there: the leaf, then its intermediates." },
  "key-unreadable": { file: "key", remedy: "Put the certificate's key there as PEM." },
  "key-mismatch": { file: "key", remedy: "Put the key there that the certificate was ordered with." },
  "key-too-small": { file: "key", remedy: "Order a certificate for a new key, for example EC P-256." },
  "key-unsupported": { file: "key", remedy: "Order a certificate for a new key, for example EC P-256." },
  "name-not-covered": { file: "certificate", remedy: "Order a certificate with that name too." },
  "chain-order": { file: "certificate", remedy: "Put the certificates of the file in that order." },
  "chain-incomplete": {
    file: "certificate",
    remedy: "Append it to the file; the CA offers it beside the certificate.",
  },
  "chain-stranger": { file: "certificate", remedy: "Remove it from the file." },
  "not-a-ca": {
    file: "certificate",
    remedy: "Put the intermediates there that the CA offers for this certificate.",
  },
  "not-yet-valid": { file: "certificate", remedy: "Put a certificate there that is valid now." },
  expired: { file: "certificate", remedy: "Renew it and replace the file." },
  "no-server-auth": {
    file: "certificate",
    remedy: "Order a certificate with the extended key usage serverAuth.",
  },
  "self-signed": {
    file: "certificate",
    remedy: "Use a CA's certificate, or set vectis:tls.provider to internal.",
  },
};
