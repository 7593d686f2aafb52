// Faults around an update (B15).
import { before, describe } from "node:test";
import { SmallVolumes } from "./breakage.ts";
import { updateFaultGroups } from "./groups.ts";
import { anyChosen, rehearsals } from "./suite.ts";
import { sharedSite } from "../support/shared.ts";
import type { Site } from "../support/site.ts";

let site: Site;

describe("faults of updates", { skip: !anyChosen(updateFaultGroups) }, () => {
  before(async () => {
    site = await sharedSite();
  });

  rehearsals(updateFaultGroups, () => ({ site, volumes: new SmallVolumes(site) }));
});
