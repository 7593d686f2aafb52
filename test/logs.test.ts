// What `docker logs vectis-acme` says when something is wrong: the cause, what still works, when the next try is, what to
// do; each fault made for real, in front of a real CA and acme.sh (S16). DNS-01's faults: dns-01.test.ts.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { docker, inspect, logs } from "./support/docker.ts";
import { withRefusal } from "./support/front.ts";
import { removeSites, Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;
/** Lines of the log that belong to earlier faults. */
let seen = 0;

async function lines(): Promise<string[]> {
  return (await logs(site.containers.acme)).split("\n");
}

/** A line that certd has written since the fault began. */
function said(what: RegExp): Promise<string> {
  return until(`the log to say ${what.source}`, async () =>
    (await lines()).slice(seen).find((line) => what.test(line)),
  );
}

/** Makes certd forget its failures, and with them the wait for the next order. */
async function tryAgain(): Promise<void> {
  seen = (await lines()).length - 1;
  const script =
    'const { readdirSync, readFileSync, writeFileSync } = require("fs"); for (const home of readdirSync("/acme.sh")) { const path = `/acme.sh/${home}/certd.json`;' +
    "try { writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path)), failures: 0, retryAt: 0 })) } catch {} }";
  await site.exec("acme", "node", "-e", script);
  await docker("kill", site.containers.acme);
  await docker("start", site.containers.acme);
}

/** The four parts of a failure's line. */
function actedOn(line: string, cause: RegExp, advice: RegExp): void {
  assert.match(line, cause);
  assert.match(
    line,
    /The published certificate stays in service until \d{4}-\d\d-\d\d \d\d:\d\d UTC\./,
    "what still works",
  );
  assert.match(line, /Next order in \S+ \S+, at \d{4}-\d\d-\d\d \d\d:\d\d UTC \(failure \d+ in a row\)\./, "when");
  assert.match(line.slice(line.indexOf("What to do:")), advice);
}

/** Another container answers for the mail host's name in the lab, as after a wrong DNS record. */
async function withImpostor(script: string, action: () => Promise<void>): Promise<void> {
  const container = `${site.name}-impostor`;
  const image = (await inspect(site.containers.acme)).Image;
  const place = ["--network", site.lab.name, "--network-alias", site.outputs.hostname];
  await docker(
    "run",
    "--detach",
    "--rm",
    "--init",
    "--name",
    container,
    ...place,
    "--entrypoint",
    "node",
    image,
    "-e",
    script,
  );
  try {
    await action();
  } finally {
    await docker("rm", "--force", container);
  }
}

describe("the log of the sidecar", () => {
  before(async () => {
    site = await Site.start("logs");
  });
  after(() => removeSites("logs"));

  it("says that the CA is gone and back, and what to look at (S16)", async () => {
    await docker("stop", "--time", "5", site.lab.ca);
    try {
      const line = await said(/The CA does not answer/);
      assert.match(
        line,
        /name cannot be resolved .*stays in service until .* tried again until it answers\. What to do: .*vectis:resolvers/,
      );
    } finally {
      await docker("start", site.lab.ca);
    }
    await said(/The CA answers again/);
    await said(/The order succeeded/);
    await site.asExpected();
  });

  describe("when a new certificate is wanted", () => {
    before(async () => {
      // Traefik leaves the lab's network: the CA meets whoever else has the mail host's name.
      await docker("network", "disconnect", site.lab.name, site.containers.traefik);
    });

    it("tells that the CA has forgotten the account, and that port 80 is not reached", async () => {
      await withImpostor("setInterval(() => {}, 1000)", async () => {
        seen = (await lines()).length - 1;
        await docker("restart", "--time", "5", site.lab.ca);
        await said(/The CA had forgotten our account and knows it again now/);
        await said(/A certificate is ordered for mail\.vectis\.test: the CA no longer knows/);
        actedOn(
          await said(/The order failed/),
          /the CA does not reach port 80 of mail\.vectis\.test \(.*connection refused\)/,
          /TCP port 80 .*vectis:tls\.challenge to dns-01/,
        );
      });
    });

    it("tells that somebody else answers on port 80", async () => {
      await withImpostor('require("http").createServer((_, r) => r.writeHead(404).end()).listen(80)', async () => {
        await tryAgain();
        actedOn(
          await said(/The order failed/),
          /for mail\.vectis\.test the CA got an answer that is not ours \(.*returned 404\)/,
          /A and AAAA records of mail\.vectis\.test lead to this host/,
        );
      });
    });

    it("tells that a CAA record forbids it", async () => {
      const detail = "CAA record for mail.vectis.test prevents issuance";
      await withImpostor("setInterval(() => {}, 1000)", () =>
        withRefusal(site, { type: "caa", detail, at: "challenge" }, async () => {
          await tryAgain();
          actedOn(
            await said(/The order failed/),
            /a CAA record forbids this CA to issue for mail\.vectis\.test/,
            /dig CAA/,
          );
        }),
      );
    });

    it("tells that a rate limit is reached, and waits for as long as the CA says", async () => {
      const detail = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";
      await withRefusal(site, { type: "rateLimited", detail, at: "order", retryAfter: 7_200 }, async () => {
        await tryAgain();
        const line = await said(/The order failed/);
        actedOn(line, /the CA's rate limit is reached \(too many certificates \(5\)/, /set to staging/);
        assert.match(line, /Next order in 2 hours/);
      });
    });

    it("tells that Traefik does not pass challenges on, and spends no order", async () => {
      const { orders } = await site.lab.ledger();
      await docker("stop", "--time", "10", site.containers.traefik);
      try {
        await tryAgain();
        const line = await said(/Challenges would not arrive/);
        assert.match(line, /traefik:80 .*stays in service until .* No order is placed .* What to do: .*docker logs/);
        assert.equal((await site.lab.ledger()).orders, orders);
      } finally {
        await docker("start", site.containers.traefik);
      }
    });

    it("says when it works again, one line for each step", async () => {
      await docker("network", "connect", "--alias", site.outputs.hostname, site.lab.name, site.containers.traefik);
      await tryAgain();
      await said(/A certificate is ordered for mail\.vectis\.test: /);
      await said(/The order succeeded after/);
      await said(/Generation \d+ is published: .*valid until/);
      await said(/Generation \d+ is served on every port/);
      await said(/The renewal is planned for .*: the CA suggests/);
      await site.asExpected();
    });
  });
});
