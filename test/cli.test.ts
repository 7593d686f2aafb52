// The `vectis` command on running containers: from nothing to as expected, and back to nothing.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { docker } from "./support/docker.ts";
import type { Outcome } from "./support/pulumi.ts";
import { removeSites, Site } from "./support/site.ts";
import { shell } from "./support/vectis.ts";

let site: Site;
const vectis = (words: string): Promise<Outcome> => shell(site, `vectis ${words}`);
const stackFile = (): string => join(site.stack.folder, "Pulumi.test.yaml");

async function succeeds(words: string): Promise<string> {
  const { code, stdout, stderr } = await vectis(words);
  assert.equal(code, 0, `vectis ${words}:\n${stdout}\n${stderr}`);
  return stdout;
}

describe("the vectis command", () => {
  before(async () => {
    site = await Site.prepare("cli");
  });
  after(() => removeSites("cli"));

  it("verify says that a stack has to be brought up first", async () => {
    const { code, stderr } = await vectis("verify");
    assert.equal(code, 2);
    assert.match(stderr, /^error: the stack has no output \w+: bring it up first, with `vectis up`$/m);
  });

  it("up brings the stack up from nothing and ends when every port is as expected (S21)", async () => {
    const shown = await succeeds("up --wait 120");
    for (const port of [25, 443, 465, 587, 993, 995])
      assert.match(shown, new RegExp(`^ *${port} .* verified +yes$`, "m"));
    await site.up("--expect-no-changes");
  });

  it("config apply changes nothing where nothing has changed, and verifies again (S8)", async () => {
    const verdict = JSON.parse(await succeeds("config apply --expect-no-changes --json")) as { asExpected: boolean };
    assert.equal(verdict.asExpected, true);
  });

  it("preview lists what would change, as JSON too, and fails on request if anything does (B1)", async () => {
    const unchanged = JSON.parse(await succeeds("preview --json --expect-no-changes")) as { steps: unknown[] };
    assert.deepEqual(unchanged.steps, []);
    const original = readFileSync(stackFile(), "utf8");
    writeFileSync(stackFile(), original.replace("admin@vectis.test", "hostmaster@vectis.test"));
    try {
      const { steps } = JSON.parse(await succeeds("preview --json")) as { steps: { op: string; type: string }[] };
      assert.ok(steps.some(({ op, type }) => op === "replace" && type === "docker:index/container:Container"));
      assert.equal((await vectis("preview --expect-no-changes")).code, 1);
    } finally {
      writeFileSync(stackFile(), original);
    }
  });

  it("a refused configuration ends with 2, every problem named, without a stack trace (B8)", async () => {
    const original = readFileSync(stackFile(), "utf8");
    writeFileSync(stackFile(), original.replace("mail.vectis.test", "Mail_Host").replace("http-01", "http-02"));
    try {
      const { code, stdout, stderr } = await vectis("up");
      assert.equal(code, 2);
      const said = stdout + stderr;
      assert.match(said, /vectis:hostname must be .* for example/);
      assert.match(said, /vectis:tls\.challenge must be/);
      assert.doesNotMatch(said, /\n +at /);
    } finally {
      writeFileSync(stackFile(), original);
    }
  });

  it("verify ends with 1 and names the port when a service is down", async () => {
    await docker("stop", site.containers.dovecot);
    try {
      const { code, stdout } = await vectis("verify");
      assert.equal(code, 1);
      assert.match(stdout, /^ *993 .*NO: nothing listens$/m);
    } finally {
      await docker("start", site.containers.dovecot);
    }
    await succeeds("verify --wait 60");
  });

  it("logs acme shows what the sidecar has done (S16)", async () => {
    assert.match(await succeeds("logs acme"), /published/i);
    assert.equal((await succeeds("logs acme --tail 2")).trim().split("\n").length, 2);
  });

  it("config import takes the guide's files over, the secret encrypted, and leaves no trace of a refused file", async () => {
    const write = (name: string, text: string): void => writeFileSync(join(site.stack.folder, name), text);
    const original = readFileSync(stackFile(), "utf8");
    write("bad.yaml", "tls: { email: nobody, provider: letsencrypt }\n");
    assert.equal((await vectis("config import bad.yaml")).code, 2);
    assert.equal(readFileSync(stackFile(), "utf8"), original);

    write("config.yaml", "tls:\n  provider: letsencrypt\n  email: hostmaster@vectis.test\n");
    write("secrets.yaml", 'cloudflare:\n  api_token: "token-of-a-test"\n');
    const shown = await succeeds("config import config.yaml secrets.yaml");
    const text = readFileSync(stackFile(), "utf8");
    const { config } = parse(text) as { config: Record<string, { email?: string; secure?: string }> };
    assert.equal(config["vectis:tls"]?.email, "hostmaster@vectis.test");
    assert.match(config["cloudflare:apiToken"]?.secure ?? "", /^v1:/);
    assert.doesNotMatch(text + shown, /token-of-a-test/);
    assert.equal((await site.stack.pulumi("config", "get", "cloudflare:apiToken")).trim(), "token-of-a-test");
    writeFileSync(stackFile(), original);
  });

  it("destroy removes nothing while vectis:data is not what the last update has set", async () => {
    const before = await site.resources();
    for (const [configured, recorded] of [
      ["keep", "delete"],
      ["delete", "keep"],
    ] as const) {
      site.stack.configure({ "vectis:data": configured });
      const { code, stderr } = await vectis("destroy --yes");
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`^error: vectis:data is ${configured}, but the last update has set ${recorded}`));
      assert.deepEqual(await site.resources(), before);
      await succeeds("up --no-verify");
    }
  });

  it("destroy asks first, then leaves nothing (S21)", async () => {
    const { code, stderr } = await vectis("destroy");
    assert.equal(code, 2);
    assert.match(stderr, /confirm with --yes/);
    await succeeds("destroy --yes");
    assert.deepEqual(await site.resources(), []);
  });
});
