// What a person asks of a running certd, with a source of files: pins, their refusal, and their end.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Certd } from "./certd.ts";
import { CommandError, listing, pin, renew, spendingProblem, unpin, type CommandArgs } from "./commands.ts";
import type { Settings } from "./settings.ts";
import { TestPki, until, type Issued } from "./test-pki.ts";

const HOST = "mail.vectis.test";
const DAY = 86_400_000;
const pki = new TestPki();
const root = pki.issue({ subject: "/CN=Root", ca: true });
const leaf = (days: number): Issued => pki.issue({ subject: "/", names: [HOST], by: root, usage: "serverAuth", days });

const top = mkdtempSync(join(tmpdir(), "commands-"));
const at = (...parts: string[]): string => join(top, ...parts);
const settings: Settings = {
  names: [HOST],
  source: { kind: "custom", fullchain: at("files/fullchain.pem"), privkey: at("files/privkey.pem") },
  probes: [],
  keepGenerations: 5,
};
let skew = 60_000;
const clock = (): number => Date.now() + skew;
const log: string[] = [];
let said: string[] = [];
const args: CommandArgs = {
  settings,
  paths: { certificates: at("certs"), runtime: at("run") },
  clock,
  print: (line) => said.push(line),
};
const paths = {
  ...args.paths,
  traefik: at("traefik"),
  secrets: at("secrets"),
  volume: at("acme"),
  command: "false",
  token: at("token"),
};
let running: { certd: Certd; ended: Promise<void> } | undefined;
function start(): void {
  const certd = new Certd({ settings, paths, clock, uptime, log: (line) => log.push(line), passInterval: 20 });
  running = { certd, ended: certd.run() };
}
async function stop(): Promise<void> {
  running?.certd.stop();
  await running?.ended;
}
function offer(next: Issued): void {
  writeFileSync(at("files/privkey.pem"), next.key);
  writeFileSync(at("files/.new"), next.pem + root.pem);
  renameSync(at("files/.new"), at("files/fullchain.pem"));
}
const current = (): string => readlinkSync(at("certs/current")).slice(-2);

describe("a person's commands", () => {
  const [short, long, newer] = [leaf(3), leaf(90), leaf(90)];
  before(async () => {
    for (const folder of ["certs", "traefik", "files"]) mkdirSync(at(folder));
    start();
    // Generation 0 is the placeholder.
    for (const [index, next] of [short, long, newer].entries()) {
      await until("what was before", () => current() === `0${index}`);
      offer(next);
    }
    await until("the last", () => current() === "03");
  });
  after(async () => {
    await stop();
    pki.remove();
    rmSync(top, { recursive: true });
  });

  it("lists the generations, the latest first, with what keeps one from being served", () => {
    const { generations, current: now, pinned } = listing(args);
    assert.deepEqual([now, pinned, generations.map(({ generation }) => generation)], [3, null, [3, 2, 1, 0]]);
    assert.deepEqual(
      generations.map(({ problems }) => problems.length > 0),
      [false, false, false, true],
    );
    assert.equal(generations[0]?.chain.at(-1), "CN=Root");
  });

  const refused: readonly (readonly [word: string, says: RegExp])[] = [
    ["", /a generation is a number, for example 42, not nothing/],
    ["latest", /not latest/],
    ["7", /there is no whole generation 000007; `vectis certs list` shows/],
    ["0", /generation 000000 must not be served: .*self-signed/],
  ];
  for (const [word, says] of refused) {
    it(`refuses to pin generation "${word}", and changes nothing`, async () => {
      await assert.rejects(pin(word, args), (error) => error instanceof CommandError && says.test(error.message));
      assert.equal(current(), "03");
    });
  }

  it("pins a generation: it is published at once, and stays over a restart and newer files", async () => {
    await pin("2", args);
    assert.equal(current(), "02");
    assert.match(
      said.join(),
      /Generation 000002 \(serial \w+\) is published and pinned, until `vectis certs unpin` or/,
    );
    await stop();
    start();
    offer(leaf(90));
    const offered = clock();
    const reported = (): { at: string } => JSON.parse(readFileSync(at("run/status.json"), "utf8")) as { at: string };
    await until("a report after passes that saw them", () => Date.parse(reported().at) > offered + 500);
    assert.equal(running?.certd.status().pinned?.generation, 2);
    assert.equal(current(), "02");
  });

  it("ends the pin: what the source has is published", async () => {
    await unpin(args);
    await until("the latest files", () => current() === "04");
    said = [];
    await unpin(args);
    assert.deepEqual(said, ["Nothing is pinned."]);
  });

  it("switches forth to a generation that is there already, without making another", async () => {
    await pin("3", args);
    await unpin(args);
    await until("the latest", () => current() === "04");
    assert.equal(listing(args).generations[0]?.generation, 4);
  });

  it("does not keep a pinned generation beyond half of the time that it had left", async () => {
    await pin("1", args);
    assert.equal(current(), "01");
    skew += 1.4 * DAY;
    await until("another look", () => Date.parse(running?.certd.status().at ?? "") > Date.now() + 1.4 * DAY);
    assert.equal(current(), "01");
    skew += 0.3 * DAY;
    await until("the latest", () => current() === "04");
    assert.ok(log.some((line) => /Generation 000001 is no longer pinned: it expires on/.test(line)));
    assert.throws(() => readFileSync(at("certs/pin.json")), /ENOENT/);
  });

  it("refuses to pin what has expired", async () => {
    skew += 3 * DAY;
    await assert.rejects(pin("1", args), /generation 000001 must not be served: .*expired/);
  });

  it("asks before it spends the last orders that Let's Encrypt's limit leaves", () => {
    const left = (remaining: number) => ({ names: [HOST], limit: 5, remaining, nextAt: "soon", heldUntil: null });
    assert.match(spendingProblem(left(2)) ?? "", /leaves 2 of 5 orders for exactly mail\.vectis\.test .* --yes/);
    assert.equal(spendingProblem(left(3)), undefined);
    assert.match(spendingProblem(left(3), 2) ?? "", /leaves 3 of 5 .* this one is for 2 certificates, /);
    assert.equal(spendingProblem(left(4), 2), undefined);
    assert.equal(spendingProblem(null), undefined);
  });

  it("orders nothing where certificates come as files", async () => {
    await assert.rejects(renew(args, false), /come from custom: nothing can be ordered, only replaced/);
  });
});
