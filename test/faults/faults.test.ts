// Faults of the CA, storage, daemons and the host, one after the other on a site of their own (B15).
import { before, after, describe } from "node:test";
import { SmallVolumes } from "./breakage.ts";
import { siteFaultGroups } from "./groups.ts";
import { anyChosen, rehearsals } from "./suite.ts";
import { removeSites, Site } from "../support/site.ts";

let site: Site;
let volumes: SmallVolumes;

describe("faults", { skip: !anyChosen(siteFaultGroups) }, () => {
  before(async () => {
    site = await Site.prepare("faults");
    volumes = new SmallVolumes(site);
    await volumes.create();
    await site.up();
    await site.asExpected();
  });
  after(() => removeSites("faults"));

  rehearsals(siteFaultGroups, () => ({ site, volumes }));
});
