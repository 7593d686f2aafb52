// A hundred rotations under load: handshakes on every mail port, sessions in IDLE, submissions at any moment (B3).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { inspect } from "./support/docker.ts";
import { countsOf, MailLoad } from "./support/mail-load.ts";
import { FilesSite } from "./support/rotations.ts";
import { removeSites, roles } from "./support/site.ts";
import { until } from "./support/wait.ts";

/** Rotations, and handshakes for each of them: 50,000 in all. */
const rotations = Number(process.env["VECTIS_TEST_ROTATIONS"] ?? 100);
const handshakes = 500 * rotations;

describe("rotation under load", () => {
  let files: FilesSite;
  let load: MailLoad | undefined;

  before(async () => {
    files = await FilesSite.start("load");
  });
  after(async () => {
    load?.abandon();
    files.removeFiles();
    await removeSites("load");
  });

  it(`${rotations} times: no failed handshake of ${handshakes}, no lost session, every submission delivered, nothing restarted (B3)`, async (t) => {
    const lives = (): Promise<string[]> =>
      Promise.all(roles.map(async (role) => (await inspect(files.site.containers[role])).State.StartedAt));
    const before = await lives();
    const running = (load = await MailLoad.start(await files.site.target()));

    const done = await files.rotate(running, rotations);
    // The faster the rotations, the more of the handshakes are left for afterwards.
    await until(`${handshakes} handshakes`, () => Promise.resolve(running.handshakes >= handshakes), {
      deadline: 1200,
    });
    const report = await running.stop();

    assert.deepEqual(report.failures, []);
    assert.deepEqual(report.sessions.lost, []);
    assert.deepEqual(report.submissions.failures, []);
    const queue = await files.site.exec("postfix", "postqueue", "-p");
    assert.equal(report.submissions.arrived, report.submissions.accepted, queue);
    assert.ok(report.submissions.accepted >= 2 * rotations, `${report.submissions.accepted} submissions`);
    assert.deepEqual(await lives(), before);

    const counts = countsOf(report);
    const last = done
      .map(({ serial, publishedAt }) => Math.max(...counts.delays(serial, publishedAt).values()))
      .sort((a, b) => a - b);
    const seconds = (at: number): string => ((last.at(at) ?? NaN) / 1000).toFixed(2);
    t.diagnostic(
      `published to the last port: median ${seconds(Math.floor(last.length / 2))} s, worst ${seconds(-1)} s; ` +
        `${report.handshakes} handshakes, the slowest ${(report.slowest / 1000).toFixed(2)} s; ` +
        `${report.submissions.accepted} submissions`,
    );
  });
});
