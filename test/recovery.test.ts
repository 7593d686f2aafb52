// Everything is lost but a backup: an empty Docker host, no Pulumi state, no configuration. The same accounts and
// certificates come back, and the CA hears nothing of it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { docker, removeAll } from "./support/docker.ts";
import type { Outcome } from "./support/pulumi.ts";
import { removeSites, Site } from "./support/site.ts";
import { shell } from "./support/vectis.ts";

let site: Site;
const file = (): string => join(site.stack.folder, "vectis.backup");
const config = (): string => join(site.stack.folder, "Pulumi.test.yaml");

async function succeeds(line: string): Promise<string> {
  const { code, stdout, stderr } = await shell(site, line);
  assert.equal(code, 0, `${line}:\n${stdout}\n${stderr}`);
  return stdout + stderr;
}

/** What must be the same afterwards: certificates by port, both ACME accounts, and what the CA was asked for. */
async function identity(): Promise<object> {
  const accounts = await Promise.all([
    site.exec("acme", "sh", "-c", "grep -rhs ^ACCOUNT_URL= /acme.sh"),
    site.exec("traefik", "grep", "-h", '"uri"', "/etc/traefik/acme/acme.json"),
  ]);
  const { orders, issued } = await site.lab.ledger();
  return { serials: await site.serials(), generation: await site.generation(), accounts, orders, issued };
}

/** Restores with a docker command that does something else once it has filled a volume. */
async function restoreWith(then: string): Promise<Outcome> {
  const program = join(site.stack.folder, ".bin", "docker");
  const real = (await succeeds("command -v docker")).trim();
  writeFileSync(program, `#!/bin/sh\n${real} "$@" || exit\ncase $* in "container cp"*) ${then} ;; esac\n`, {
    mode: 0o755,
  });
  const outcome = await shell(site, `vectis restore ${file()}`);
  rmSync(program);
  return outcome;
}

async function nothingIsBack(): Promise<void> {
  assert.deepEqual(await site.resources(), []);
  assert.deepEqual(await restoring(), []);
  assert.equal(existsSync(config()), false);
  assert.equal(await succeeds("find .state -path '*/stacks/*' -name test.json"), "");
}

/** Containers and images of restores that have not come to their end. */
async function restoring(): Promise<(readonly [kind: string, id: string])[]> {
  const kinds = [["container", "--all"], ["image"]] as const;
  const found = kinds.map(async ([kind, ...all]) => {
    const ids = await docker(kind, "ls", ...all, "--quiet", "--filter", "label=vectis.restore.volumes");
    return ids.split("\n").flatMap((id) => (id === "" ? [] : [[kind, id] as const]));
  });
  return (await Promise.all(found)).flat();
}

describe("a backup", () => {
  let lost: object;

  before(async () => {
    site = await Site.start("recovery");
    lost = await identity();
  });
  after(async () => {
    for (const [kind, id] of await restoring()) await docker(kind, "rm", "--force", id);
    await removeSites("recovery");
  });

  it("is one file for its owner alone, and says what it holds and that its keys are in clear", async () => {
    const said = await succeeds(`vectis backup ${file()}`);
    assert.equal(statSync(file()).mode & 0o777, 0o600);
    assert.match(said, /NOT ENCRYPTED.*age -p/);
    assert.match(said, /Not in it either: mailboxes, the queue/);
    assert.match(said, /volume \S+-traefik-acme: Traefik's ACME account/);
    const names = execFileSync("tar", ["-tzf", file()], { encoding: "utf8" }).trim().split("\n").sort();
    assert.deepEqual(
      names.map((name) => name.replace(`./${site.name}-`, "")),
      ["./", "./manifest.json", "./stack.yaml", "./state.json", "acme-home.tar", "mail-certs.tar", "traefik-acme.tar"],
    );
  });

  it("removes what one that was killed has left, not what one that runs is writing", async () => {
    const draft = (pid: number | undefined): string => join(site.stack.folder, `.vectis-backup-${pid}-x1y2z3`);
    const [left, written] = [draft(spawnSync("true").pid), draft(process.pid)];
    for (const folder of [left, written]) mkdirSync(folder);
    await succeeds(`vectis backup ${file()}`);
    assert.equal(existsSync(left), false);
    assert.equal(existsSync(written), true);
    rmSync(written, { recursive: true });
  });

  it("has the stack's own secrets encrypted, and goes through a pipe too", async () => {
    const state = execFileSync("tar", ["-xOzf", file(), "./state.json"], { encoding: "utf8" });
    assert.match(state, /"ciphertext"/);
    assert.doesNotMatch(state, /PRIVATE KEY/);
    assert.doesNotMatch(state, new RegExp(site.lab.cloudflare.deploymentToken));
    assert.match(await succeeds("vectis backup - 2>/dev/null | tar -tzf -"), /acme-home\.tar/);
  });

  it("is not put over what is still there", async () => {
    const { code, stderr } = await shell(site, `vectis restore ${file()}`);
    assert.equal(code, 2);
    assert.match(stderr, /the Docker host has \S+-acme-home, .* already, and a restore replaces nothing/);
  });

  it("is refused where another configuration is than its own: the next update would deploy that one", async () => {
    const original = readFileSync(config(), "utf8");
    site.stack.configure({ "vectis:data": "keep" });
    const { code, stderr } = await shell(site, `vectis restore ${file()}`);
    writeFileSync(config(), original);
    assert.equal(code, 2);
    assert.match(stderr, /Pulumi\.test\.yaml is there and says something else than the backup's, .*--keep-config/);
  });

  it("comes to nothing with a wrong passphrase, once all is lost", async () => {
    await removeAll(site.name);
    rmSync(join(site.stack.folder, ".state"), { recursive: true });
    rmSync(config());
    mkdirSync(join(site.stack.folder, ".state"));
    assert.deepEqual(await site.resources(), []);

    const { code, stderr } = await shell(site, `vectis restore ${file()}`, { PULUMI_CONFIG_PASSPHRASE: "another" });
    assert.notEqual(code, 0);
    assert.match(stderr, /incorrect passphrase/);
    await nothingIsBack();
  });

  it("comes to nothing when Docker fails, with configuration and state back already", async () => {
    const { code, stderr } = await restoreWith("echo no space left >&2; exit 1");
    assert.equal(code, 1);
    assert.match(stderr, /^error: docker container cp: no space left$/m);
    await nothingIsBack();
  });

  it("is back in part when the command was killed", async () => {
    assert.notEqual((await restoreWith('kill -9 "$PPID"')).code, 0);
    assert.deepEqual(await site.resources(), [`${site.name}-acme-home`]);
    assert.equal((await restoring()).length, 2);
  });

  it("brings the same accounts and certificates back to an empty host, without an order at the CA", async () => {
    // What the killed one has put back counts, and what it has left on the way is no hindrance.
    const said = await succeeds(`vectis restore ${file()}`);
    assert.match(said, /state is there, and was left[^]*mail-certs: the published[^]*vectis up --refresh/);
    assert.deepEqual(await restoring(), []);
    assert.deepEqual(
      readdirSync(site.stack.folder).filter((name) => name.startsWith(".vectis-")),
      [],
    );
    await succeeds("vectis up --refresh --wait 120");
    assert.deepEqual(await identity(), lost);
    await site.policy();
    await site.healthy();
    assert.deepEqual(await identity(), lost);
  });

  it("leaves nothing to be changed after that, and a stack that renews", async () => {
    await site.up("--expect-no-changes");
    await succeeds("vectis certs renew");
    await site.asExpected();
  });
});
