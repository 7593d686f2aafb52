// What DANE depends on outside the stack: is the zone signed, which TLSA records does it hold. Asks; judges nothing.
import { createSocket } from "node:dgram";
import { getServers } from "node:dns";
import { isIPv6 } from "node:net";
import packet from "dns-packet";
import type { DaneFacts, PublishedTlsa } from "../checks/dane.ts";
import type { ZoneRecord } from "../checks/zone.ts";

export interface DaneQuestion {
  readonly mailHost: string;
  /** Resolvers that validate; the first one that answers is believed. */
  readonly resolvers: readonly string[];
}

/** Whether a validating resolver calls the mail host's name secure. Never rejects. */
export function zoneIsSecure(
  { mailHost, resolvers }: DaneQuestion,
  milliseconds: number,
): Promise<DaneFacts["secure"]> {
  return isSecure(mailHost, resolvers.length > 0 ? resolvers : getServers(), milliseconds);
}

/** The stack's TLSA records among those of a zone; `mark` begins their comments, the key's generation ends them. */
export function publishedTlsa(records: readonly ZoneRecord[], name: string, mark: string): PublishedTlsa[] {
  return records.flatMap((record) => {
    const comment = record.comment ?? "";
    if (record.type !== "TLSA" || record.name !== name || !comment.startsWith(mark)) return [];
    const certificate = (record.data?.certificate ?? record.content.split(" ").at(-1) ?? "").toUpperCase();
    const generation = Number(comment.slice(mark.length));
    return [{ generation, certificate, createdAt: Date.parse(record.createdOn ?? "") }];
  });
}

async function isSecure(name: string, servers: readonly string[], milliseconds: number): Promise<DaneFacts["secure"]> {
  const failures: string[] = [];
  for (const server of servers.slice(0, 3)) {
    try {
      return await authenticated(name, server, milliseconds);
    } catch (error) {
      failures.push(`${server}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { unanswered: failures.join(", ") || "none is configured" };
}

/** Whether a resolver sets the AD bit on its answer (RFC 4035 section 3.2.3); also an answer without records has one. */
function authenticated(name: string, server: string, milliseconds: number): Promise<boolean> {
  const [, bracketed, host = server, port = "53"] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? [];
  const address = bracketed ?? host;
  const id = Math.floor(Math.random() * 65_536);
  const query = packet.encode({
    type: "query",
    id,
    flags: packet.RECURSION_DESIRED | packet.AUTHENTIC_DATA,
    questions: [{ type: "SOA", class: "IN", name }],
  });
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      socket.close();
      act();
    };
    const timer = setTimeout(() => settle(() => reject(new Error("no answer"))), milliseconds);
    socket.once("error", (error) => settle(() => reject(error)));
    socket.on("message", (message) => {
      let answer;
      try {
        answer = packet.decode(message);
      } catch {
        return;
      }
      if (answer.id !== id) return;
      const { rcode, flag_ad: flag } = answer as typeof answer & { readonly rcode: string };
      settle(() => {
        // A bogus zone is SERVFAIL at a validating resolver: nobody may rely on it.
        if (rcode === "NOERROR" || rcode === "NXDOMAIN") resolve(flag);
        else reject(new Error(`it answers ${rcode}`));
      });
    });
    socket.send(query, Number(port), address);
  });
}
