// The health report: what an operator and a monitor are told, made from certd's status and the time. Pure.
// docs/health.md documents every field; a field is added or version 2 is begun, but none changes its meaning.
import { overdueTime } from "./schedule.ts";
import type { CertificateStatus, OverallState, PortStatus, Status } from "./status.ts";

const DAY = 86_400_000;

/**
 * The first that applies, worst first. Beyond certd's own states: `https-not-served`: HTTPS lacks its certificate.
 * `renewal-overdue`: everything works, but a certificate should have been renewed a good while ago.
 */
export type HealthState = OverallState | "https-not-served" | "renewal-overdue";

export interface CertificateHealth extends CertificateStatus {
  /** Days until the end, two decimals; negative once it has expired. */
  readonly daysLeft: number;
}

export interface MailCertificateHealth extends CertificateHealth {
  /** `acme`, `custom`, `internal` or `placeholder`. */
  readonly source: string;
  readonly generation: number;
  readonly keyType: string;
  readonly publishedAt: string;
}

/** The certificate beside it, for clients that take no ECDSA. */
export interface RsaCertificateHealth extends CertificateHealth {
  readonly keyType: string;
}

export interface HttpsCertificateHealth extends CertificateHealth {
  /** `traefik`: a certificate of Traefik's own. `shared`: the mail certificate. */
  readonly source: "traefik" | "shared";
}

export interface PortHealth {
  readonly port: number;
  /** The service that answers on it. */
  readonly service: string;
  /** Whether it serves what was published (443: a certificate that HTTPS may serve). */
  readonly ok: boolean;
  /** Of the certificate that is served; `null` if none was seen. */
  readonly serial: string | null;
  readonly sha256: string | null;
  readonly notAfter: string | null;
  readonly daysLeft: number | null;
  /** Why nothing was seen at the last look. */
  readonly error: string | null;
  readonly checkedAt: string | null;
}

export interface Health {
  readonly version: 1;
  readonly state: HealthState;
  readonly ok: boolean;
  readonly at: string;
  readonly hostname: string;
  readonly certificates: {
    readonly mail: MailCertificateHealth | null;
    /** `null`: none is published. */
    readonly rsa: RsaCertificateHealth | null;
    readonly https: HttpsCertificateHealth | null;
  };
  readonly ports: readonly PortHealth[];
  readonly pinned: Status["pinned"];
  readonly order: Omit<Status["order"], "renewal">;
  readonly renewal: Status["order"]["renewal"];
  readonly budget: Status["budget"];
  readonly ca: Status["ca"];
  readonly lastError: Status["lastError"];
  readonly failing: Status["failing"];
}

function daysLeft(notAfter: string, now: number): number {
  return Math.round(((Date.parse(notAfter) - now) / DAY) * 100) / 100;
}

function portHealth(status: PortStatus, now: number): PortHealth {
  const { served } = status;
  return {
    port: status.port,
    service: status.host,
    ok: status.agrees,
    serial: served?.serial ?? null,
    sha256: served?.sha256 ?? null,
    notAfter: served?.notAfter ?? null,
    daysLeft: served === null ? null : daysLeft(served.notAfter, now),
    error: status.error,
    checkedAt: status.checkedAt,
  };
}

/** Whether a certificate should have been renewed a good while ago; one without a plan: with a twelfth of its life left. */
function overdue(leaf: CertificateStatus, renewAt: string | undefined, now: number): boolean {
  const [from, to] = [Date.parse(leaf.notBefore), Date.parse(leaf.notAfter)];
  return now >= (renewAt === undefined ? to - (to - from) / 12 : overdueTime(to, Date.parse(renewAt)));
}

function healthState({ state, https, published, publishedRsa, order }: Status, now: number): HealthState {
  if (state !== "ok") return state;
  if (https?.agrees === false) return "https-not-served";
  const late =
    [published, publishedRsa].some((leaf) => leaf !== null && overdue(leaf, order.renewal?.at, now)) ||
    (https?.served != null && https.served.sha256 !== published?.sha256 && overdue(https.served, undefined, now));
  return late ? "renewal-overdue" : "ok";
}

/** @param now milliseconds since the epoch */
export function health(status: Status, now: number): Health {
  const { published, publishedRsa, pinned, https, budget, ca, lastError, failing } = status;
  const { renewal, ...order } = status.order;
  const state = healthState(status, now);
  return {
    version: 1,
    state,
    ok: state === "ok",
    at: new Date(now).toISOString(),
    hostname: status.names[0] ?? "",
    certificates: {
      mail: published && { ...published, daysLeft: daysLeft(published.notAfter, now) },
      rsa: publishedRsa && { ...publishedRsa, daysLeft: daysLeft(publishedRsa.notAfter, now) },
      https:
        https?.served != null
          ? {
              ...https.served,
              daysLeft: daysLeft(https.served.notAfter, now),
              source: https.served.sha256 === published?.sha256 ? "shared" : "traefik",
            }
          : null,
    },
    ports: [...status.ports, ...(https === null ? [] : [https])]
      .map((port) => portHealth(port, now))
      .sort((a, b) => a.port - b.port),
    pinned,
    order,
    renewal,
    budget,
    ca,
    lastError,
    failing,
  };
}
