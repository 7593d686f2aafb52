// Makes tests of faults (B15): VECTIS_TEST_FAULTS=PATTERN takes all whose title matches instead of those of `make test`,
// VECTIS_WRITE_FAULTS=1 writes what was seen into docs/faults.md.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { projectRoot } from "../../cli/stack.ts";
import type { SmallVolumes } from "./breakage.ts";
import { faultDocument, faultRow, faultRows, type FaultGroup } from "./fault-table.ts";
import { faultGroups } from "./groups.ts";
import { rehearse, type Fault } from "./rehearsal.ts";
import type { Site } from "../support/site.ts";

const document = join(projectRoot, "docs", "faults.md");
const rows = faultRows(existsSync(document) ? readFileSync(document, "utf8") : "");
const pattern = process.env["VECTIS_TEST_FAULTS"];

const chosen = ({ title, long }: Fault): boolean =>
  pattern === undefined ? long !== true : new RegExp(pattern, "i").test(title);

/** Whether any fault of these is to be rehearsed in this run. */
export function anyChosen(groups: readonly FaultGroup[]): boolean {
  return groups.some(({ faults }) => faults.some(chosen));
}

/** Declares a test for each chosen fault of some groups; `scene` is called when it begins. */
export function rehearsals(
  groups: readonly FaultGroup[],
  scene: () => { readonly site: Site; readonly volumes: SmallVolumes },
): void {
  after(() => {
    if (process.env["VECTIS_WRITE_FAULTS"] === "1") writeFileSync(document, faultDocument(faultGroups, rows));
  });
  for (const { title, faults } of groups) {
    describe(title, () => {
      for (const fault of faults.filter(chosen)) {
        it(fault.title, async (test) => {
          const { site, volumes } = scene();
          const row = faultRow(await rehearse(site, volumes, fault));
          rows.set(fault.title, row);
          test.diagnostic(row);
        });
      }
    });
  }
}
