// Two ACME clients behind one port 80, ordering for the same hostname at the same time (S2).
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { get } from "../cli/probe.ts";
import { docker } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import type { Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

/** Rounds at least; in some of them one client is done before the other has begun. */
const rounds = Number(process.env["VECTIS_TEST_ROUNDS"] ?? 20);
/** Rounds in which both orders have to be open at the same time. */
const concurrent = Math.floor(rounds / 2) + 1;
const most = 3 * rounds;
const store = "/etc/traefik/acme/acme.json";

let site: Site;

/** Whether port 80 redirects to HTTPS. */
async function redirected(): Promise<boolean> {
  const { http } = site.outputs.endpoints;
  assert.ok(http);
  return [301, 308].includes((await get(http, site.outputs.hostname, "/")).status);
}

describe("port 80", () => {
  before(async () => {
    site = await sharedSite();
  });

  it(`serves both clients: ${rounds} rounds or more, ${concurrent} of them of concurrent orders, without a failed authorisation (S2)`, async (test) => {
    let [round, overlapping] = [0, 0];
    while (round < rounds || (overlapping < concurrent && round < most)) {
      round += 1;
      const [before, ledger] = [await site.serials(), await site.lab.ledger()];
      // Traefik orders soon after it starts with an empty store. It listens after some 0.2 s, and acme.sh takes over 1 s to its
      // challenge.
      await site.exec("traefik", "mv", store, `${store}.aside`);
      await docker("restart", "--time", "30", site.containers.traefik);
      await Promise.all([until("port 80 to answer", redirected, { interval: 20 }), site.forceRenewal()]);
      const after = await until(
        `both certificates replaced in round ${round}`,
        async () => {
          const serials = await site.serials();
          return serials[443] !== before[443] && serials[993] !== before[993] && serials;
        },
        { deadline: 90 },
      );
      assert.notEqual(after[443], after[993]);
      const { issued, failedAuthorisations } = await site.lab.ledger();
      assert.equal(failedAuthorisations, ledger.failedAuthorisations, `round ${round}`);
      const [https, mail] = [443, 993].map((port) => issued.find(({ serial }) => serial === after[port]));
      assert.ok(https !== undefined && mail !== undefined, `round ${round}`);
      if (https.orderedAt < mail.issuedAt && mail.orderedAt < https.issuedAt) overlapping += 1;
    }
    test.diagnostic(`both orders were open at the same time in ${overlapping} of ${round} rounds`);
    assert.ok(overlapping >= concurrent, `only ${overlapping} rounds were concurrent`);
  });

  it("answers a challenge that nobody knows with an error, and redirects everything else", async () => {
    const { http } = (await site.target()).endpoints;
    assert.ok(http);
    const unknown = await get(http, site.outputs.hostname, "/.well-known/acme-challenge/unknown");
    assert.ok(unknown.status >= 400, `answered with ${unknown.status}`);
    const foreign = await get(http, "other.test", "/.well-known/acme-challenge/unknown");
    assert.equal(foreign.status, 404);
    assert.ok(await redirected());
  });
});
