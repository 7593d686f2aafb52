// All faults, in the order of docs/faults.md.
import type { FaultGroup } from "./fault-table.ts";
import { caFaults } from "./ca.ts";
import { daemonFaults } from "./daemons.ts";
import { hostFaults } from "./host.ts";
import { storageFaults } from "./storage.ts";
import { updateFaults } from "./updates.ts";

/** Rehearsed on a site of their own. */
export const siteFaultGroups: readonly FaultGroup[] = [
  { title: "The CA and the way to it", faults: caFaults },
  { title: "Storage", faults: storageFaults },
  { title: "Daemons, followers and certd", faults: daemonFaults },
  { title: "The host", faults: hostFaults },
];

/** Rehearsed on a site like any other. */
export const updateFaultGroups: readonly FaultGroup[] = [{ title: "Updates", faults: updateFaults }];

export const faultGroups: readonly FaultGroup[] = [...siteFaultGroups, ...updateFaultGroups];
