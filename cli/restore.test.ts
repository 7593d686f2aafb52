// `vectis restore` with a pulumi and a docker that keep what they are told in a folder, fail on request and kill the command
// that has called them: what is refused, what a failure leaves, and that the next try goes through. With the real ones:
// test/recovery.test.ts.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { projectRoot } from "./pulumi.ts";
import { labelsOf, restoringFrom } from "./restore-volumes.ts";
import { holdsResources, saysTheSame } from "./restore.ts";

const folder = mkdtempSync(join(tmpdir(), "vectis-restore-test-"));
const [bin, project, world] = ["bin", "project", "world"].map((name) => join(folder, name)) as [string, string, string];
const config = join(project, "Pulumi.prod.yaml");
const backup = join(folder, "vectis.backup");

const configuration =
  "encryptionsalt: v1:salt\nconfig:\n  docker:host: ssh://root@mx\n  vectis:hostname: mail.example.com\n";
const state = (...types: string[]): string =>
  JSON.stringify({ version: 3, deployment: { resources: types.map((type) => ({ type })) } });
const full = state("pulumi:pulumi:Stack", "docker:index/volume:Volume");
const volumes = ["mx-acme-home", "mx-mail-certs"];

/** Both fail before what FAIL_AT names, docker from GONE_AT on, and kill their caller after what KILL_AT names. */
const common = `
  cd ${world}
  call="$1 $2"
  printf '%s at %s: %s\\n' "$(basename "$0")" "$DOCKER_HOST" "$*" >>calls
  if [ "$call" = "$FAIL_AT" ]; then echo "error: it has failed" >&2; exit 255; fi
  [ "$call" != "$GONE_AT" ] || touch gone
  if [ "$(basename "$0")" = docker ] && [ -e gone ]; then echo "cannot connect to the Docker host" >&2; exit 1; fi
  trap 'if [ "$call" = "$KILL_AT" ]; then kill -9 "$PPID"; fi' EXIT`;

const programs = {
  pulumi: `
    case "$call" in
      "stack export") cat state || { echo "error: no stack named 'prod' found" >&2; exit 6; } ;;
      "stack init") [ ! -e lock ] || { cat lock >&2; exit 255; }; printf '{"version":3,"deployment":null}' >state ;;
      "stack import") if [ "$5" = --file ]; then cat "$6" >state; else cat >state; fi ;;
      "stack rm") rm state ;;
      *) exit 9 ;;
    esac`,
  docker: `
    case "$call" in
      "volume ls") ls volumes ;;
      "volume create") for name; do :; done; mkdir "volumes/$name" ;;
      "volume rm")
        shift 3
        for name; do
          if grep -qx "$name" containers/* 2>/dev/null; then echo "$name is in use" >&2; exit 1; fi
          rm -rf "volumes/$name"
        done ;;
      "image import") echo "$4" >"images/$6" ;;
      "image ls") ls images ;;
      "image inspect") sed 's/^LABEL /{"/; s/="/":"/g; s/" /","/g; s/$/}/' "images/$5" ;;
      "image rm") rm "images/$3" ;;
      "container create") echo "\${6%%:*}" >"containers/$4" ;;
      "container cp") tar -xf - -C "volumes/$(cat "containers/\${4%%:*}")" ;;
      "container rm") for name; do :; done; rm "containers/$name" ;;
      *) exit 9 ;;
    esac`,
};

before(() => {
  for (const made of [bin, project]) mkdirSync(made);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh${common}${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  writeFileSync(join(project, "Pulumi.yaml"), "name: vectis\n");
  const content = join(folder, "content");
  mkdirSync(content);
  const manifest = {
    version: 1,
    stack: "prod",
    hostname: "mail.example.com",
    at: "2026-01-31T12:00:00.000Z",
    volumes: volumes.map((name) => ({ name, labels: { a: "b" }, archive: `${name}.tar`, holds: `keys of ${name}` })),
  };
  writeFileSync(join(content, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(join(content, "stack.yaml"), configuration);
  writeFileSync(join(content, "state.json"), full);
  for (const name of volumes) {
    writeFileSync(join(folder, "key.pem"), name);
    execFileSync("tar", ["-cf", join(content, `${name}.tar`), "-C", folder, "key.pem"]);
  }
  execFileSync("tar", ["-czf", backup, "-C", content, "."]);
});
beforeEach(() => {
  rmSync(world, { recursive: true, force: true });
  rmSync(config, { force: true });
  for (const made of ["volumes", "images", "containers"]) mkdirSync(join(world, made), { recursive: true });
});
after(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function restore(options: readonly string[] = [], variables: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, DOCKER_HOST: "default", ...variables };
  const args = ["--disable-warning=ExperimentalWarning", join(projectRoot, "cli", "main.ts"), "restore", backup];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...args, ...options], {
      cwd: project,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined);
const calls = (): string => read(join(world, "calls")) ?? "";

/** All that there is: of the project, of the backend, and on the Docker host. */
function everything(): object {
  const key = (name: string): string | undefined => read(join(world, "volumes", name, "key.pem"));
  return {
    project: readdirSync(project),
    config: read(config),
    state: read(join(world, "state")),
    volumes: Object.fromEntries(readdirSync(join(world, "volumes")).map((name) => [name, key(name)])),
    others: ["images", "containers"].flatMap((kind) => readdirSync(join(world, kind))),
  };
}

const restored = {
  project: ["Pulumi.prod.yaml", "Pulumi.yaml"],
  config: configuration,
  state: full,
  volumes: Object.fromEntries(volumes.map((name) => [name, name])),
  others: [],
};

async function goesThrough(): Promise<Outcome> {
  const outcome = await restore();
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.deepEqual(everything(), restored);
  return outcome;
}

describe("a restore", () => {
  it("puts configuration, state and volumes back, at the Docker host that the configuration names", async () => {
    const { stdout } = await goesThrough();
    assert.match(stdout, /Pulumi\.prod\.yaml: .*\n.*state, with the keys.*\n.*volume mx-acme-home: keys of/);
    const lines = calls().split("\n");
    assert.ok(lines.filter((line) => line.startsWith("docker")).every((line) => line.includes("at ssh://root@mx:")));
    assert.ok(calls().indexOf("stack import") < calls().indexOf("volume create"), calls());
    assert.match(calls(), /volume create --label a=b mx-acme-home/);
  });

  const other = configuration.replace("mail.example.com", "mail.example.org").replace("root@mx", "root@mx2");

  it("is refused where another configuration is, before anything is looked at", async () => {
    writeFileSync(config, other);
    const found = everything();
    const { code, stderr } = await restore();
    assert.equal(code, 2);
    assert.match(
      stderr,
      /Pulumi\.prod\.yaml is there and .* \(mv Pulumi\.prod\.yaml Pulumi\.prod\.yaml\.old\).*--keep-config\n$/,
    );
    assert.doesNotMatch(stderr, /\n {4}at /, "no stack trace");
    assert.deepEqual(everything(), found);
    assert.equal(calls(), "");
  });

  it("goes on with that one if told so, at the Docker host that it names", async () => {
    writeFileSync(config, other);
    const { code, stdout, stderr } = await restore(["--keep-config"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\(Pulumi\.prod\.yaml is there, and was left as it is\)/);
    assert.deepEqual(everything(), { ...restored, config: other });
    assert.match(calls(), /docker at ssh:\/\/root@mx2: volume create/);
    assert.doesNotMatch(calls(), /root@mx:/);
  });

  it("goes on where the configuration says the same in other words", async () => {
    const same = `# ours\n${configuration}`;
    writeFileSync(config, same);
    const { code, stderr } = await restore();
    assert.equal(code, 0, stderr);
    assert.deepEqual(everything(), { ...restored, config: same });
  });

  it("replaces no volume, and changes nothing then", async () => {
    mkdirSync(join(world, "volumes", "mx-mail-certs"));
    const found = everything();
    const { code, stderr } = await restore();
    assert.equal(code, 2);
    assert.match(stderr, /the Docker host has mx-mail-certs already, and a restore replaces nothing/);
    assert.deepEqual(everything(), found);
  });

  it("leaves a state alone that holds something", async () => {
    const newer = state("docker:index/network:Network");
    writeFileSync(join(world, "state"), newer);
    const { code, stdout, stderr } = await restore();
    assert.equal(code, 0, stderr);
    assert.match(stdout, /the stack's state is there, and was left as it is/);
    assert.deepEqual(everything(), { ...restored, state: newer });
  });

  it("puts the state into a stack that holds nothing", async () => {
    writeFileSync(join(world, "state"), state("pulumi:pulumi:Stack"));
    await goesThrough();
    assert.doesNotMatch(calls(), /stack init/);
  });

  for (const at of ["stack init", "stack import", "image import", "container cp"]) {
    it(`that fails at \`${at}\` leaves nothing, and the next one goes through`, async () => {
      const found = everything();
      const { code, stderr } = await restore([], { FAIL_AT: at });
      assert.notEqual(code, 0);
      assert.match(stderr, /it has failed\n$/);
      assert.deepEqual(everything(), found);
      await goesThrough();
    });
  }

  it("that loses the Docker host, and cannot clear up there, is done by the next one", async () => {
    const { code, stderr } = await restore([], { GONE_AT: "container cp" });
    assert.notEqual(code, 0);
    assert.match(stderr, /docker volume rm: cannot connect/);
    assert.deepEqual(readdirSync(join(world, "volumes")), ["mx-acme-home"]);
    assert.equal(existsSync(join(world, "state")), false, "what is here is taken away again");
    rmSync(join(world, "gone"));
    await goesThrough();
  });

  it("that fails gives a stack that held nothing its own state back, and a configuration that is kept too", async () => {
    writeFileSync(join(world, "state"), state("pulumi:pulumi:Stack"));
    writeFileSync(config, configuration);
    const found = everything();
    assert.notEqual((await restore([], { FAIL_AT: "container cp" })).code, 0);
    assert.match(calls(), /stack import --stack prod --non-interactive/);
    assert.deepEqual(everything(), found);
  });

  for (const at of ["stack init", "stack import", "volume create", "container cp"]) {
    it(`that is killed at \`${at}\` is done by the next one, which removes what is left in clear`, async () => {
      assert.equal((await restore([], { KILL_AT: at })).signal, "SIGKILL");
      assert.equal(readdirSync(project).filter((name) => name.startsWith(".vectis-restore-")).length, 1);
      await goesThrough();
    });
  }

  it("goes past the lock of a process that is gone", async () => {
    const { pid } = spawnSync("true");
    const lock = join(world, "lock");
    const holder = `file://${lock}: created by root@${hostname()} (pid ${pid}) at 2026-01-31T12:00:00Z`;
    writeFileSync(lock, `error: the stack is currently locked by 1 lock(s). Either wait or delete it.\n  ${holder}\n`);
    await goesThrough();
  });

  it("keeps the volumes of one that was killed once somebody has gone on with the stack", async () => {
    await restore([], { KILL_AT: "container cp" });
    writeFileSync(join(world, "state"), state("docker:index/container:Container"));
    const { code, stderr } = await restore();
    assert.equal(code, 2);
    assert.match(stderr, /the Docker host has mx-acme-home already/);
    assert.deepEqual(readdirSync(join(world, "volumes")), ["mx-acme-home"]);
  });

  it("waits for another one that may still run, and touches none of other volumes", async () => {
    const running = { host: hostname(), pid: process.pid, states: ["", ""], volumes: [volumes[0] ?? ""] };
    const image = join(world, "images", "vectis-restore-1-a1b2c3d4");
    writeFileSync(image, labelsOf(running));
    const { code, stderr } = await restore();
    assert.equal(code, 2);
    assert.match(
      stderr,
      new RegExp(`has not ended \\(process ${process.pid} on .*docker volume rm --force mx-acme-home;`),
    );
    writeFileSync(image, labelsOf({ ...running, volumes: ["mx2-acme-home"] }));
    assert.equal((await restore()).code, 0);
    assert.equal(existsSync(image), true);
  });
});

describe("what a restore compares", () => {
  it("is what configurations say, not how", () => {
    assert.equal(saysTheSame("config: {a: 1, b: [x]}\n", "# mine\nconfig:\n  b:\n    - x\n  a: 1\n"), true);
    assert.equal(saysTheSame("config: {a: 1}\n", "config: {a: 2}\n"), false);
    assert.equal(saysTheSame("config: {a: 1}\n", "config: {a: 1\n"), false);
  });

  it("is whether a state names anything beside the stack and its providers", () => {
    assert.equal(holdsResources('{"version":3,"deployment":null}'), false);
    assert.equal(holdsResources('{"version":3,"deployment":{"manifest":{}}}'), false);
    assert.equal(holdsResources(state("pulumi:pulumi:Stack", "pulumi:providers:docker")), false);
    assert.equal(holdsResources(state("pulumi:pulumi:Stack", "tls:index/privateKey:PrivateKey")), true);
  });

  it("finds a restore that has not ended by its labels", () => {
    const restoring = { host: "mx", pid: 4711, states: ["ab12", "cd34"], volumes: ["a", "b"] };
    assert.equal(
      labelsOf(restoring),
      'LABEL vectis.restore.host="mx" vectis.restore.pid="4711" vectis.restore.states="ab12,cd34" vectis.restore.volumes="a,b"',
    );
    const [host, pid] = ["mx", "4711"];
    const labels = { "vectis.restore.host": host, "vectis.restore.pid": pid, "vectis.restore.states": "ab12,cd34" };
    assert.deepEqual(restoringFrom({ ...labels, "vectis.restore.volumes": "a,b" }), restoring);
    for (const none of [null, {}, labels]) assert.equal(restoringFrom(none), undefined);
  });
});
