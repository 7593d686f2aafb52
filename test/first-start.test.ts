// The life of a stack around its CA: started without one, given one, losing it, and destroyed (S19, S21).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { docker, logs } from "./support/docker.ts";
import { inspect, mailServices } from "../cli/verdict.ts";
import { removeSites, Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;

describe("a stack and its CA", () => {
  before(async () => {
    site = await Site.prepare("first");
  });
  after(() => removeSites("first"));

  describe("a first start while the CA is down", () => {
    it("brings every service up on a recognisable placeholder (S19)", async () => {
      const root = await site.lab.root();
      await docker("stop", "--time", "10", site.lab.ca);
      await site.up();
      const { hostname, certificateNames: names, endpoints } = site.outputs;
      const facts = await until("a handshake on every mail port", async () => {
        const seen = await inspect({ hostname, names, endpoints, ca: root });
        return mailServices.every(({ key }) => seen.tls[key].ok) && seen;
      });
      for (const { key, port } of mailServices) {
        const seen = facts.tls[key];
        assert.ok(seen.ok);
        assert.ok(seen.value.leaf.selfIssued, `port ${port}`);
        assert.match(seen.value.distrust ?? "", /placeholder/i, `port ${port} names it`);
      }
      assert.match(await logs(site.containers.acme), /The CA does not answer: .* tried again/);
    });

    it("takes the real certificate everywhere when the CA is back, without help (S19)", async () => {
      await docker("start", site.lab.ca);
      await site.asExpected({ deadline: 240 });
      const { failedAuthorisations } = await site.lab.ledger();
      assert.equal(failedAuthorisations, 0, "no order was placed before its challenge could arrive");
    });
  });

  describe("a CA that has lost its accounts and its root", () => {
    it("is registered with again, and six ports come to serve its new root, without help (B11)", async () => {
      const old = await site.lab.root();
      await docker("restart", "--time", "10", site.lab.ca);
      const fresh = await until("the CA's new root", () => site.lab.root());
      assert.notEqual(fresh, old);
      await site.asExpected({ deadline: 300 });
      assert.equal((await site.lab.ledger()).failedAuthorisations, 0);
    });
  });

  describe("destroy", () => {
    it("leaves no container, network or volume of the stack (S21)", async () => {
      assert.notDeepEqual(await site.resources(), []);
      await site.stack.pulumi("destroy", "--yes", "--skip-preview");
      assert.deepEqual(await site.resources(), []);
    });
  });
});
