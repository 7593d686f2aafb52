// Restarted and remade containers: the same certificates again on every port, nothing ordered anew, no state lost (S1, S4).
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { docker } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { roles, type Site } from "./support/site.ts";

let site: Site;
let atFirst: unknown;

/** Everything that a restart must not change. */
async function state(): Promise<unknown> {
  const { orders } = await site.lab.ledger();
  return {
    serials: await site.serials(),
    generation: await site.generation(),
    orders,
    acmeJson: await site.exec("traefik", "sha256sum", "/etc/traefik/acme/acme.json"),
    account: await site.exec("acme", "sh", "-c", "cat /acme.sh/ca/*/*/account.key | sha256sum"),
  };
}

describe("a restart", () => {
  before(async () => {
    site = await sharedSite();
    atFirst = await state();
  });

  const groups = [...roles.map((role) => [role] as const), [...roles]];
  for (const group of groups) {
    it(`of ${group.length === 1 ? group[0] : "all containers at once"} changes nothing that is served or stored`, async () => {
      const before = await state();
      await docker("restart", "--time", "30", ...group.map((role) => site.containers[role]));
      assert.deepEqual(await state(), before);
    });
  }

  it("of nothing: every container is removed, an update makes them anew, and nothing is ordered", async () => {
    const before = await state();
    await docker("rm", "--force", ...roles.map((role) => site.containers[role]));
    await site.up("--refresh");
    assert.deepEqual(await state(), before);
  });

  it("leaves every container healthy, nothing ordered, and nothing for the next up to do", async () => {
    await site.healthy();
    await site.up("--expect-no-changes");
    assert.deepEqual(await state(), atFirst);
  });
});
