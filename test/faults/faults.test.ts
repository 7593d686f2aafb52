// Every fault that test/faults/ lists, one after the other on one site (B15): VECTIS_TEST_FAULTS=PATTERN takes those whose
// title matches, VECTIS_WRITE_FAULTS=1 writes what was seen into docs/faults.md.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { projectRoot } from "../../cli/stack.ts";
import { SmallVolumes } from "./breakage.ts";
import { faultDocument, faultRow, faultRows } from "./fault-table.ts";
import { rehearse, type Fault } from "./rehearsal.ts";
import { removeSites, Site } from "../support/site.ts";
import { drafts, faultGroups } from "./groups.ts";

const document = join(projectRoot, "docs", "faults.md");
const pattern = process.env["VECTIS_TEST_FAULTS"];
const chosen = ({ title }: Fault): boolean =>
  pattern === undefined ? !drafts.has(title) : new RegExp(pattern, "i").test(title);
const rows = faultRows(existsSync(document) ? readFileSync(document, "utf8") : "");

let site: Site;
let volumes: SmallVolumes;

describe("faults", () => {
  before(async () => {
    site = await Site.prepare("faults");
    volumes = new SmallVolumes(site);
    await volumes.create();
    await site.up();
    await site.asExpected();
  });
  after(() => removeSites("faults"));
  after(() => {
    if (process.env["VECTIS_WRITE_FAULTS"] === "1") writeFileSync(document, faultDocument(faultGroups, rows, drafts));
  });

  for (const { title, faults } of faultGroups) {
    describe(title, () => {
      for (const fault of faults.filter(chosen)) {
        it(fault.title, async (test) => {
          const row = faultRow(await rehearse(site, volumes, fault));
          rows.set(fault.title, row);
          test.diagnostic(row);
        });
      }
    });
  }
});
