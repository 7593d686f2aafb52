// The health report in Prometheus' text format. Pure; docs/health.md lists the metrics.
import type { Health, HealthState } from "./health.ts";

const STATES: readonly HealthState[] = [
  "ok",
  "nothing-published",
  "placeholder",
  "expired",
  "not-served",
  "https-not-served",
  "renewal-overdue",
];
/** The topics of certd's journal; docs/health.md says what each is. */
export const TOPICS = [
  "account",
  "api",
  "ca",
  "candidate",
  "clock",
  "dns",
  "fault",
  "order",
  "publish",
  "route",
  "work",
] as const;

type Sample = readonly [labels: Readonly<Record<string, string | number>>, value: number];

/** One metric with its samples; without samples it is left out. */
function family(name: string, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const lines = samples.map(([labels, value]) => {
    // The format's own escapes: backslash, quote, newline.
    const escape = (text: string): string =>
      text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(String(text))}"`);
    return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join("")}`;
}

const seconds = (time: string): number => Date.parse(time) / 1000;
const at = (time: string | null | undefined): Sample[] => (time == null ? [] : [[{}, seconds(time)]]);

/** The text of `/metrics`. Times are seconds since the epoch; what is not known has no sample. */
export function metrics(health: Health): string {
  const { certificates, ports, pinned, order, renewal, budget, ca, failing } = health;
  const leaves = Object.entries(certificates).flatMap(([certificate, leaf]) =>
    leaf === null ? [] : [{ certificate, leaf }],
  );
  return [
    family(
      "vectis_state",
      "1 for the overall state, 0 for the others.",
      STATES.map((state): Sample => [{ state }, Number(state === health.state)]),
    ),
    family(
      "vectis_failing",
      "1 for what has gone wrong and not gone well since, 0 for the rest.",
      TOPICS.map((what): Sample => [{ what }, Number(failing.includes(what))]),
    ),
    family(
      "vectis_certificate_not_after_seconds",
      "End of validity of each certificate.",
      leaves.map(({ certificate, leaf }): Sample => [{ certificate }, seconds(leaf.notAfter)]),
    ),
    family(
      "vectis_certificate_not_before_seconds",
      "Begin of validity of each certificate.",
      leaves.map(({ certificate, leaf }): Sample => [{ certificate }, seconds(leaf.notBefore)]),
    ),
    family(
      "vectis_generation",
      "Number of the published generation.",
      certificates.mail === null ? [] : [[{ source: certificates.mail.source }, certificates.mail.generation]],
    ),
    family(
      "vectis_port_ok",
      "1 if the port serves what was published (443: a certificate that HTTPS may serve); no sample: not looked at yet.",
      ports.flatMap(({ port, service, ok, checkedAt }): Sample[] =>
        checkedAt === null ? [] : [[{ port, service }, Number(ok)]],
      ),
    ),
    family(
      "vectis_port_not_after_seconds",
      "End of validity of the certificate that the port serves.",
      ports.flatMap(({ port, service, notAfter }): Sample[] =>
        notAfter === null ? [] : [[{ port, service }, seconds(notAfter)]],
      ),
    ),
    family("vectis_order_failures", "Failed orders in a row.", [[{}, order.failures]]),
    family("vectis_order_running", "1 while an order is running.", [[{}, Number(order.running)]]),
    family("vectis_order_last_seconds", "End of the last order, whether it succeeded or not.", at(order.last?.at)),
    family("vectis_order_next_seconds", "When the next order may be placed, if one is wanted.", at(order.nextAt)),
    family(
      "vectis_published_seconds",
      "When the published generation was published.",
      at(certificates.mail?.publishedAt),
    ),
    family(
      "vectis_pinned_until_seconds",
      "When the pin of the published generation ends by itself; no sample: nothing is pinned.",
      at(pinned?.until),
    ),
    family("vectis_renewal_seconds", "Planned moment of the next renewal.", at(renewal?.at)),
    family(
      "vectis_duplicate_orders_remaining",
      "Orders for exactly these names that Let's Encrypt's limit leaves; no sample: it does not apply.",
      budget === null ? [] : [[{}, budget.remaining]],
    ),
    family(
      "vectis_ca_answers",
      "1 if the CA answered when it was last asked.",
      ca?.answers == null ? [] : [[{}, Number(ca.answers)]],
    ),
    family("vectis_ca_checked_seconds", "When the CA was last asked.", at(ca?.checkedAt)),
  ].join("");
}
