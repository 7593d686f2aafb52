// A status for tests of what is made from it: a mail host on which everything is as it should be.
import type { CertificateStatus, PortStatus, Status } from "./status.ts";

/** The moment at which it is true. */
export const NOW = Date.UTC(2026, 10, 24, 12);
const DAY = 86_400_000;
export const at = (days: number): string => new Date(NOW + days * DAY).toISOString();

export function certificate(name: string, from = -10, to = 80): CertificateStatus {
  return {
    sha256: name.repeat(64).slice(0, 64),
    subject: "",
    issuer: "CN=CA",
    names: ["mail.example.com"],
    serial: `0${name}`,
    notBefore: at(from),
    notAfter: at(to),
  };
}

const mail = certificate("a");
export const port = (number: number, host: string, served: CertificateStatus | null = mail): PortStatus => ({
  host,
  port: number,
  agrees: served !== null,
  served,
  servedRsa: null,
  error: served === null ? "connect ECONNREFUSED" : null,
  checkedAt: at(0),
});

export const good: Status = {
  version: 1,
  state: "ok",
  at: at(0),
  names: ["mail.example.com"],
  source: "acme",
  published: { ...mail, generation: 7, source: "acme", keyType: "ec-256", publishedAt: at(-10) },
  publishedRsa: null,
  pinned: null,
  ports: [port(993, "dovecot"), port(25, "postfix")],
  https: port(443, "traefik", certificate("b", -20, 70)),
  order: {
    running: false,
    reason: null,
    last: { at: at(-10), ok: true, cause: "", advice: "" },
    failures: 0,
    nextAt: null,
    renewal: { at: at(50), basis: "lifetime", window: null, explanationUrl: null },
  },
  budget: null,
  ca: { directory: "https://ca.test/dir", answers: true, checkedAt: at(0) },
  lastError: null,
  failing: [],
};
