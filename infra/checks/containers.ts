// Whether the names of the stack's containers are taken by others on the Docker host: that would show only half-way through an
// update, and the volumes, which go by the same names, would be another mail host's.
import type { PortHolder } from "../facts/docker.ts";
import { error, type Finding } from "./finding.ts";

/**
 * @param names of the containers that the stack would make
 * @param owner value of vectis:name
 * @param stack name of the Pulumi stack
 */
export function containerFindings(
  names: readonly string[],
  found: readonly PortHolder[],
  owner: string,
  stack: string,
): Finding[] {
  const foreign = found.filter(
    (container) =>
      names.includes(container.name) &&
      // Containers of earlier versions do not say which stack they are of.
      (container.owner !== owner || (container.pulumiStack ?? stack) !== stack),
  );
  if (foreign.length === 0) return [];
  const stacks = [...new Set(foreign.flatMap(({ pulumiStack }) => pulumiStack ?? []))];
  const whose = stacks.length === 0 ? "that this stack did not make" : `of the stack ${stacks.join(", ")}`;
  const list = foreign.map(({ name }) => name).join(", ");
  return [
    error(
      "vectis:name",
      `${owner} is in use: the Docker host has ${list} ${whose}; choose another name, or remove what is there`,
    ),
  ];
}
