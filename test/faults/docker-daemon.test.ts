// The Docker daemon restarts, and with it everything on the host: what is served afterwards is what was served before (B15).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { projectRoot } from "../../cli/stack.ts";
import { inspect, judge } from "../../cli/verdict.ts";
import { docker } from "../support/docker.ts";
import { sharedSite } from "../support/shared.ts";
import { roles, type Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

const pidFile = "/var/run/docker.pid";

/** Why the daemon of this machine must be left alone; undefined if it need not. */
async function reason(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "only root may restart the Docker daemon";
  if (process.env["DOCKER_HOST"] !== undefined || !existsSync(pidFile))
    return "the Docker daemon is not this machine's";
  const running = (await docker("ps", "--format", "{{.Names}}")).split("\n");
  const others = running.filter((name) => name !== "" && !name.startsWith(`vt${process.pid}-`));
  return others.length === 0 ? undefined : `other containers run on this machine: ${others.join(", ")}`;
}

async function restartDaemon(): Promise<void> {
  if (existsSync("/run/systemd/system")) return void execFileSync("systemctl", ["restart", "docker"]);
  process.kill(Number(readFileSync(pidFile, "utf8")), "SIGTERM");
  await until("the Docker daemon's end", async () => Promise.resolve(!existsSync(pidFile)), { deadline: 60 });
  execFileSync(join(projectRoot, "tools", "bootstrap"), ["docker"], { stdio: "pipe" });
}

describe("a restart of the Docker daemon", () => {
  let site: Site;
  before(async () => {
    site = await sharedSite();
  });

  it("brings every container back with the same certificates; the CA is not needed for it", async (test) => {
    const why = await reason();
    if (why !== undefined) return test.skip(why);
    const target = await site.target();
    const before = await site.serials();
    const ran = (await docker("ps", "--format", "{{.Names}}")).split("\n");
    const began = Date.now();
    await restartDaemon();
    const { rows } = await until("every port as before", async () => {
      const verdict = judge(target, await inspect(target));
      return verdict.asExpected && verdict;
    });
    test.diagnostic(
      `every port after ${((Date.now() - began) / 1000).toFixed(1)} s, the daemon's own stop and start included`,
    );
    assert.deepEqual(Object.fromEntries(rows.map(({ port, serial }) => [port, serial])), before);
    for (const role of roles) {
      const state = await docker("inspect", "--format", "{{.State.Running}}", site.containers[role]);
      assert.equal(state, "true", role);
    }
    // The lab's containers are started by hand; its CA has lost its memory, which the stack finds out by itself.
    await docker("start", ...ran);
    await site.asExpected();
    await site.policy();
    await site.healthy();
  });
});
