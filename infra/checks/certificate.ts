// Judges the files of tls.provider custom, with the same code that certd runs before it publishes.
import { remedies } from "../../certd/remedies.ts";
import { covers, leafFacts, validatePair, type Pair } from "../../certd/validate.ts";
import type { CustomFacts, FileFact } from "../facts/files.ts";
import { error, warning, type Finding } from "./finding.ts";

export interface CustomFiles {
  readonly certPath: string;
  readonly keyPath: string;
  /** Names that the certificate must cover. */
  readonly names: readonly string[];
  /** Hosts at which the stack announces an MTA-STS policy; HTTPS serves the same certificate there. */
  readonly policyHosts: readonly string[];
  /** PEM roots whose directly issued leaves need no intermediate; default none. */
  readonly trustedRoots?: string;
}

const certKey = "vectis:tls.certPath";
const keyKey = "vectis:tls.keyPath";
const day = 86_400_000;
/** A longer-lived certificate is not worth a word before so many days are left. */
const soonDays = 14;

/** Everything that is wrong with the files; an empty list means that certd will publish them. `now` in milliseconds. */
export function certificateFindings(files: CustomFiles, facts: CustomFacts, now: number): Finding[] {
  const pair: Pair = { fullchain: textOf(facts.certificate), privkey: textOf(facts.key) };
  const wanted = {
    names: files.names,
    now,
    ...(files.trustedRoots === undefined ? {} : { trustedRoots: files.trustedRoots }),
  };
  const [certRead, keyRead] = [facts.certificate.is === "text", facts.key.is === "text"];
  const judged = validatePair(pair, wanted)
    // What could not be read has been said already; without the key nothing can be said about it.
    .filter(({ code }) => (certRead || code !== "chain-unreadable") && (keyRead || code !== "key-unreadable"))
    .map(({ code, message }) => {
      const { file, remedy } = remedies[code];
      const [key, path] = file === "certificate" ? [certKey, files.certPath] : [keyKey, files.keyPath];
      return error(key, `(${path}): ${message} ${remedy}`);
    });
  return [
    ...fileFindings(certKey, files.certPath, facts.certificate, "the certificate chain"),
    ...fileFindings(keyKey, files.keyPath, facts.key, "the private key"),
    ...modeFindings(files.keyPath, facts.key),
    ...judged,
    ...expiryFindings(files.certPath, pair.fullchain, now),
    ...policyFindings(files, pair.fullchain),
  ];
}

const textOf = (fact: FileFact): string => (fact.is === "text" ? fact.text : "");

function fileFindings(key: string, path: string, fact: FileFact, what: string): Finding[] {
  switch (fact.is) {
    case "text":
      return [];
    case "absent":
      return [error(key, `names ${path}, which does not exist on this host; put ${what} there or correct the path`)];
    case "denied":
      return [
        warning(key, `names ${path}, which you may not read: the sidecar checks it before it publishes anything`),
      ];
    case "unreadable":
      return [error(key, `names ${path}, which cannot be read (${fact.why}); put ${what} there as a PEM file`)];
  }
}

function modeFindings(path: string, fact: FileFact): Finding[] {
  if (fact.is !== "text" || (fact.mode & 0o004) === 0) return [];
  const mode = fact.mode.toString(8).padStart(4, "0");
  return [
    warning(keyKey, `names ${path}, which everybody on the host may read (mode ${mode}); run chmod 0600 ${path}`),
  ];
}

/** A warning below a third of the lifetime, at most a fortnight. Expiry itself is an error of validatePair. */
function expiryFindings(path: string, fullchain: string, now: number): Finding[] {
  const leaf = leafFacts(fullchain);
  if (leaf === undefined || now >= leaf.notAfter || now < leaf.notBefore) return [];
  const left = leaf.notAfter - now;
  if (left >= Math.min((leaf.notAfter - leaf.notBefore) / 3, soonDays * day)) return [];
  const days = Math.floor(left / day);
  const when = `${new Date(leaf.notAfter).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const name = leaf.names[0] ?? leaf.subject;
  const span = days === 1 ? "1 day" : `${days} days`;
  return [warning(certKey, `(${path}): The certificate of ${name} expires in ${span} (${when}). Replace the file.`)];
}

/** A sender that cannot fetch a policy over verified HTTPS has none (RFC 8461 section 3.3). */
function policyFindings({ certPath, policyHosts }: CustomFiles, fullchain: string): Finding[] {
  const names = leafFacts(fullchain)?.names;
  if (names === undefined) return [];
  return policyHosts
    .filter((host) => !covers(names, host))
    .map((host) =>
      warning(
        "vectis:dns.mtaSts",
        `announces a policy at ${host}, which the certificate in ${certPath} does not cover: no sender can fetch it; ` +
          "order a certificate with that name too, or set the key to off",
      ),
    );
}
