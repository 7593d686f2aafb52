// Whether something else holds a port of the Docker host that the stack would publish.
import type { PortFacts, SocketAddress } from "../facts/docker.ts";
import { error, type Finding } from "./finding.ts";

/** A port that the stack would publish. */
export interface WantedPort extends SocketAddress {
  /** Name of the endpoint, for example `smtp`. */
  readonly name: string;
}

/** Whether two sockets cannot both listen. One on `::` takes IPv4 too, by Linux's default. */
function clash(one: SocketAddress, other: SocketAddress): boolean {
  if (one.port !== other.port) return false;
  if (one.ip === other.ip || one.ip === "::" || other.ip === "::") return true;
  const family = (ip: string) => ip.includes(":");
  return family(one.ip) === family(other.ip) && (one.ip === "0.0.0.0" || other.ip === "0.0.0.0");
}

const shown = ({ ip, port }: SocketAddress): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

/**
 * @param owner the stack's name: what its own containers hold is given up before it is taken again
 * @param offset value of vectis:publish.portOffset
 */
export function portFindings(
  wanted: readonly WantedPort[],
  facts: PortFacts,
  owner: string,
  offset: number,
): Finding[] {
  const held = facts.containers.flatMap(({ ports }) => ports);
  return wanted.flatMap((port) => {
    const ours = `${offset} puts ${port.name} on ${shown(port)}`;
    const instead = "or choose another offset or vectis:publish.address";
    const holder = facts.containers.find(
      (container) => container.owner !== owner && container.ports.some((other) => clash(port, other)),
    );
    if (holder !== undefined) {
      const whose = holder.owner === undefined ? "" : ` of the stack with vectis:name ${holder.owner}`;
      return [
        error(
          "vectis:publish.portOffset",
          `${ours}, which the container ${holder.name}${whose} holds; stop it, ${instead}`,
        ),
      ];
    }
    // Docker's proxies listen on behalf of containers.
    const process = facts.listeners.find(
      (listener) => clash(port, listener) && !held.some((other) => clash(other, listener)),
    );
    if (process === undefined) return [];
    const find = `\`ss -ltnp 'sport = :${port.port}'\` names it`;
    return [
      error(
        "vectis:publish.portOffset",
        `${ours}, but a process of this machine listens on ${shown(process)}; stop it (${find}), ${instead}`,
      ),
    ];
  });
}
