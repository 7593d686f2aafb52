// docs/faults.md: one table for each group of faults, a row for each fault, in the order in which the suite lists them.
// Pure: rows that were not measured anew keep their text.
import type { Fault, Outcome } from "./rehearsal.ts";

export interface FaultGroup {
  readonly title: string;
  readonly faults: readonly Fault[];
}

const head = [
  ...["fault", "handshakes failed", "sessions lost", "health says", "alerts, if it lasts", "all well again"],
  "rehearsed by",
];

const introduction = `# Faults: what happens when something breaks

Each row is a rehearsal by \`test/faults/\` on running containers with a real ACME server. Throughout, clients make handshakes on
ports 25, 443, 465, 587, 993 and 995, and two IMAP sessions in IDLE, a POP3 session and two submission sessions are
held open and used at the end.

- *Handshakes failed* and *sessions lost* name the ports. There were none but on a port whose own daemon the fault stops:
  a process that does not run answers nobody, and that long is the unavoidable part.
- *Health says* is the answer of \`/api/v1/health\` and how long after the cause it came. The suite fails if that is later
  than one probe interval. Nothing where the fault is over before, or hurts nobody who asks.
- *Alerts, if it lasts* are all alerts of \`monitoring/alerts.yml\` that Prometheus would raise if the cause stayed for more
  than an hour; where nobody takes the cause away, those that were raised until all was well.
- *All well again* counts from the moment at which the cause went away or, where nobody takes it away, from its begin,
  until every port serves the published certificate and health knows no failure. Nobody helps in between.

Clocks are shifted by libfaketime in certd and in the followers; Postfix, Dovecot and Traefik, which do not look at their
certificates' dates, keep the host's. The wait after a failed order (1, 10, 100 minutes) is skipped by ageing the failure in
certd's memory. A certd that ends at any system call of a publication is \`certd/crash.test.ts\`; fifty kills at random
are in \`test/rotation.test.ts\`. A restart of the Docker daemon is \`test/faults/docker-daemon.test.ts\`: it ends every
connection of the host (unless the daemon runs with \`live-restore\`), all ports are back by themselves, and the CA is not needed.

The numbers of a row are those of its last run, on two processors; every run is held to the promises. \`make faults\` rehearses all of
them and writes this file; \`make test\` leaves out those that take long or resemble another.
`;

const seconds = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;

function failed({ failures, handshakes }: Outcome): string {
  if (failures.length === 0) return `0 of ${handshakes}`;
  const ports = [...new Set(failures.map(({ port }) => port))].sort((a, b) => a - b);
  const times = failures.map(({ at }) => at);
  const span = (Math.max(...times) - Math.min(...times)) / 1000;
  return `${failures.length} of ${handshakes}, on ${ports.join(", ")} within ${seconds(span)}`;
}

function cells(outcome: Outcome): string[] {
  const { title, sessions, lostSessions, shows, shownAfter, alerts, cause, recoveredAfter } = outcome;
  const recovery = seconds(Math.max(0, recoveredAfter));
  return [
    title,
    failed(outcome),
    lostSessions.length === 0
      ? `0 of ${sessions}`
      : `${lostSessions.length} of ${sessions}, on ${[...new Set(lostSessions)].join(", ")}`,
    shows === undefined || shownAfter === undefined ? "–" : `${shows}, after ${seconds(Math.max(0, shownAfter))}`,
    alerts.length === 0 ? "none" : alerts.join(", "),
    cause === "stays" ? `by itself, ${recovery}` : `${recovery} after the cause went away`,
  ];
}

const line = (row: readonly string[]): string => `| ${row.join(" | ")} |`;

export function faultRow(outcome: Outcome): string {
  return line(cells(outcome));
}

/** Rows of an existing document by their first cell, without who rehearses them. */
export function faultRows(document: string): Map<string, string> {
  const rows = document.matchAll(/^(\| (.*?) \|.*) `make \w+` \|$/gm);
  return new Map([...rows].map(([, row = "", title = ""]) => [title, row]));
}

/** The whole document. A fault without a row is left out, and a group without any. */
export function faultDocument(groups: readonly FaultGroup[], rows: ReadonlyMap<string, string>): string {
  const tables = groups.flatMap(({ title, faults }) => {
    const seen = faults
      .filter((fault) => rows.has(fault.title))
      .map((fault) => `${rows.get(fault.title)} \`make ${fault.long === true ? "faults" : "test"}\` |`);
    if (seen.length === 0) return [];
    const lines = [line(head), `|${head.map(() => "---").join("|")}|`, ...seen];
    return `\n## ${title}\n\n${lines.join("\n")}\n`;
  });
  return introduction + tables.join("");
}
