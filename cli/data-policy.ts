// What `vectis destroy` does with data. The engine does not run the program then: it goes by what the last update has
// recorded, which the configuration may say otherwise by now.
import { holdsData, type DataPolicy } from "../components/data-policy.ts";
import { UserError } from "./errors.ts";
import { stackConfig } from "./pulumi.ts";
import { exportedStack, type ExportedStack } from "./state.ts";

/** Undefined: no volume with data is recorded. `both`: an update that changed it did not come to its end. */
export type RecordedPolicy = DataPolicy | "both" | undefined;

export function recordedPolicy({ deployment }: ExportedStack): RecordedPolicy {
  const fates = (deployment.resources ?? [])
    .filter(({ type, urn }) => type === "docker:index/volume:Volume" && holdsData(urn.slice(urn.lastIndexOf("::") + 2)))
    .map(({ retainOnDelete }) => (retainOnDelete === true ? "keep" : "delete"));
  return new Set(fates).size > 1 ? "both" : fates[0];
}

const consequences = {
  keep: "the last update has set keep, and destroy goes by that: the volumes with data would stay",
  delete: "the last update has set delete, and destroy goes by that: the volumes with data would be deleted",
  both: "an update that changed it did not come to its end: some volumes with data would be deleted, others stay",
} as const;

/**
 * What becomes of the data when the stack is destroyed.
 * @param configured what `vectis:data` says
 * @throws UserError if what is recorded is something else
 */
export function agreed(recorded: RecordedPolicy, configured: string): DataPolicy | undefined {
  if (recorded === undefined || (recorded !== "both" && recorded === configured)) return recorded;
  const back = recorded === "both" ? "" : `, or set vectis:data back to ${recorded}`;
  throw new UserError(`vectis:data is ${configured}, but ${consequences[recorded]}. Run \`vectis up\` first${back}`);
}

/** As `agreed`, of a stack. */
export async function dataPolicy(stack: string): Promise<DataPolicy | undefined> {
  const [state, config] = await Promise.all([exportedStack(stack), stackConfig(stack)]);
  return agreed(recordedPolicy(state), config("vectis:data") || "keep");
}

/** What destroy is about to do, for whoever has to confirm it. */
export function announcement(stack: string, policy: DataPolicy | undefined): string {
  const removed = `This removes the containers and networks of ${stack}`;
  switch (policy) {
    case "keep":
      return `${removed}; its volumes with mail, certificates and ACME accounts stay.`;
    case "delete":
      return `${removed}, and its volumes with all mail, certificates and ACME accounts.`;
    case undefined:
      return `${removed}.`;
  }
}
