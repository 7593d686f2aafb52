// The guide's commands, one after the other, as its reader types them.
import { before, describe, it } from "node:test";
import { inspect } from "./support/docker.ts";
import { addressed, guide, type Place } from "./support/guide.ts";
import { sharedSite } from "./support/shared.ts";
import type { Site } from "./support/site.ts";
import { rootFile, shell } from "./support/vectis.ts";

let site: Site;
let place: Place;

describe("the guide", () => {
  before(async () => {
    site = await sharedSite();
    const { NetworkSettings } = await inspect(site.containers.dovecot);
    const [address] = Object.values(NetworkSettings.Networks);
    place = { outputs: site.outputs, dovecot: address?.IPAddress ?? "" };
  });

  for (const { section, command, shows } of guide) {
    it(`${section}: ${command.split("\n")[0]} (S15, S16, S18)`, async () => {
      // openssl trusts the lab's root as it would trust the system's.
      shows(await shell(site, addressed(command, place), { SSL_CERT_FILE: await rootFile(site) }));
    });
  }

  it("ends with every port as expected", async () => {
    await site.asExpected();
  });
});
