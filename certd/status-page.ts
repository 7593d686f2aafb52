// The health report as a page for people. Pure; no script runs in it, and nothing is loaded for it.
import { createHash } from "node:crypto";
import type { CertificateHealth, Health, HealthState, MailCertificateHealth } from "./health.ts";
import { capital, day } from "./journal.ts";

/** Markup, as opposed to text that is yet to be escaped. */
class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }
}

type Content = string | number | Html | readonly Html[];

function markup(content: Content): string {
  if (content instanceof Html) return content.markup;
  if (typeof content === "object") return content.map((one) => one.markup).join("");
  return String(content).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Markup with values in it, which are escaped unless they are markup themselves. */
function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(String.raw({ raw: parts }, ...values.map(markup)));
}

const WORDS: Readonly<Record<HealthState, string>> = {
  ok: "All is well",
  "nothing-published": "No certificate is published",
  placeholder: "There is no certificate yet: services run on the placeholder",
  expired: "The published certificate has expired",
  "not-served": "A mail port does not serve what is published",
  "https-not-served": "HTTPS has no certificate for the host name",
  "renewal-overdue": "All is served, but a certificate should have been renewed",
};

const STYLE = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1, .state { margin: 0; }
.state { font-size: 1.5rem; }
.state::before { content: "\\2714  "; color: #2a8a3c; }
.bad::before { content: "\\2718  "; color: #c8322b; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8885; padding: 0.25rem 1rem 0.25rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
`;

// The element whole, since the policy names the hash of all that is between its tags.
const style = new Html(`<style>${STYLE}</style>`);

/** What a browser may do with the page: apply its style (CSP Level 3 section 2.3.1), and nothing else. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const time = (iso: string | null): Html =>
  iso === null ? html`–` : html`<time datetime="${iso}">${day(Date.parse(iso))}</time>`;

const days = (left: number | null): string => (left === null ? "–" : left.toFixed(left < 10 ? 1 : 0));

function table(caption: string, columns: readonly string[], rows: readonly (readonly Content[])[]): Html {
  return html`<section>
    <h2>${caption}</h2>
    <table>
      ${
        columns.length === 0
          ? ""
          : html`<thead>
              <tr>
                ${columns.map((column) => html`<th scope="col">${column}</th>`)}
              </tr>
            </thead>`
      }
      <tbody>
        ${rows.map(
          ([first = "", ...rest]) =>
            html`<tr>
              <th scope="row">${first}</th>
              ${rest.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </section> `;
}

function certificates({ certificates: { mail, rsa, https } }: Health): Html {
  const cells = (found: CertificateHealth, origin: string): Content[] => {
    return [found.names.join(", "), found.issuer, found.serial, time(found.notAfter), days(found.daysLeft), origin];
  };
  const origin = ({ source, generation, keyType }: MailCertificateHealth): string =>
    `${source}, generation ${generation}, ${keyType}`;
  return table(
    "Certificates",
    ["certificate", "names", "issuer", "serial", "ends", "days left", "origin"],
    [
      ...(mail === null ? [] : [["mail", ...cells(mail, origin(mail))]]),
      ...(rsa === null ? [] : [["mail, RSA", ...cells(rsa, rsa.keyType)]]),
      ...(https === null ? [] : [["HTTPS", ...cells(https, https.source)]]),
    ],
  );
}

function ports({ ports }: Health): Html {
  return table(
    "Ports",
    ["port", "service", "serves what it should", "serial", "ends", "days left", "looked at"],
    ports.map(({ port, service, ok, error, serial, notAfter, daysLeft, checkedAt }) => [
      port,
      service,
      ok ? "yes" : `no${error === null ? "" : `: ${error}`}`,
      serial ?? "–",
      time(notAfter),
      days(daysLeft),
      time(checkedAt),
    ]),
  );
}

/** A row on what may not be there. */
function row<T>(name: string, value: T | null, content: (value: T) => Content): (readonly Content[])[] {
  return value === null ? [] : [[name, content(value)]];
}

function renewal({ renewal, order, budget, ca, pinned }: Health): Html {
  return table(
    "Renewal",
    [],
    [
      ...row("next renewal", renewal, ({ at, basis }) => {
        const why = basis === "ari" ? "the CA suggests it" : "a fraction of the lifetime is left then";
        return html`${time(at)}: ${why}`;
      }),
      ...row("pinned", pinned, ({ generation, since, until }) => {
        return html`generation ${generation} since ${time(since)}, until ${time(until)}`;
      }),
      ...row(order.running ? "order running" : "order wanted", order.reason, (reason) => {
        return html`${reason}; ${order.failures} failed in a row, the next not before ${time(order.nextAt)}`;
      }),
      ...row("last order", order.last, ({ at, ok, cause, advice }) => {
        return html`${time(at)}: ${ok ? "succeeded" : `failed: ${cause}. ${capital(advice)}.`}`;
      }),
      ...row("the CA’s limit", budget, ({ remaining, limit, nextAt, heldUntil }) => {
        const held = heldUntil === null ? "" : html`; an order that can wait is held back until ${time(heldUntil)}`;
        return html`${remaining} of ${limit} orders in seven days are left, the next comes back ${time(nextAt)}${held}`;
      }),
      ...row("CA", ca, ({ directory, answers, checkedAt }) => {
        const now = answers === null ? "not asked yet" : answers ? "answers" : "does not answer";
        return html`${directory}: ${now} (${time(checkedAt)})`;
      }),
    ],
  );
}

function trouble({ lastError, failing }: Health): Html {
  if (lastError === null) return html``;
  const { at, cause, advice } = lastError;
  return html`<section>
    <h2>What went wrong</h2>
    <p>${time(at)}: ${capital(cause)}. ${advice === null ? "" : `What to do: ${advice}.`}</p>
    <p>Not well yet: ${failing.join(", ")}.</p>
  </section> `;
}

/** The page; a browser loads it anew every 30 seconds. */
export function statusPage(health: Health): string {
  const { hostname, state, ok, at } = health;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="refresh" content="30" />
        <title>${ok ? "✔" : "✘"} ${hostname}</title>
        ${style}
      </head>
      <body>
        <main>
          <h1>${hostname}</h1>
          <p class="state${ok ? "" : " bad"}" role="status">${WORDS[state]}</p>
          <p>As of ${time(at)}.</p>
          ${[trouble(health), certificates(health), ports(health), renewal(health)]}
        </main>
      </body>
    </html> `.markup;
}
