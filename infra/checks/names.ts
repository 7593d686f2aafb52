// Whether one ACME order can hold the names that tls.names adds to the mail host's.
import { covers } from "../../certd/validate.ts";
import { error, type Finding } from "./finding.ts";

const key = "vectis:tls.names";

/**
 * A CA refuses a name beside the wildcard that covers it, and proves wildcards by DNS-01 only (RFC 8555 section 8.4,
 * Let's Encrypt's challenge types). The host name itself may be covered: it is left out of the order then.
 */
export function nameFindings(names: readonly string[], challenge: "http-01" | "dns-01"): Finding[] {
  return names.flatMap((name, index) => {
    const findings: Finding[] = [];
    const wildcard = names.find((other) => other !== name && other.startsWith("*.") && covers([other], name));
    if (wildcard !== undefined) {
      findings.push(
        error(key, `has ${name}, which ${wildcard} covers: a CA refuses both in one order; remove ${name}`),
      );
    }
    if (names.indexOf(name) < index) findings.push(error(key, `has ${name} twice; remove one of them`));
    if (name.startsWith("*.") && challenge === "http-01") {
      const instead = "set vectis:tls.challenge to dns-01, or list the names one by one";
      findings.push(error(key, `has the wildcard ${name}, which http-01 cannot prove; ${instead}`));
    }
    return findings;
  });
}
