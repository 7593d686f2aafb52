// What the plugin does to the real Docker Engine beyond the recorded cases: half-made resources, imports, builds, uploads, removal.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { InitFailed, open, type Plugin } from "../protocol/client.ts";
import { BASE_IMAGE, testbed, type Testbed } from "./testbed.ts";
import type { Bag } from "../protocol/value.ts";
import { secretValue } from "../protocol/wire.ts";

const CONTAINER = "docker:index/container:Container";
const IMAGE = "docker:index/remoteImage:RemoteImage";
const NETWORK = "docker:index/network:Network";
const VOLUME = "docker:index/volume:Volume";

let bed: Testbed;
let plugin: Plugin;
let folder: string;

before(async () => {
  bed = await testbed();
  plugin = await open("docker");
  await plugin.configure();
  folder = mkdtempSync(join(tmpdir(), `${bed.run}-`));
});

after(async () => {
  plugin?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  await bed?.clean();
});

async function create(type: string, name: string, program: Bag) {
  const { wire, inputs, failures } = await plugin.check(type, name, program);
  assert.deepEqual(failures, []);
  return { ...(await plugin.create(type, name, wire)), inputs, wire };
}

const sleeper = (name: string): Bag => ({
  name: `${bed.run}-${name}`,
  image: bed.baseImageId,
  command: ["sleep", "1000"],
});

/** Runs a command in a new container of an image and answers what it printed. */
async function output(image: string, command: string[], volume = ""): Promise<string> {
  const container = await bed.docker.createContainer({
    name: `${bed.run}-output`,
    Image: image,
    Cmd: command,
    Tty: true,
    HostConfig: volume === "" ? {} : { Binds: [`${volume}:/v`] },
  });
  await container.start();
  await container.wait();
  const text = await container.logs({ stdout: true, stderr: true });
  await container.remove();
  return text.toString().replaceAll("\r", "").trim();
}

describe("a container that could not be made whole", () => {
  test("on a taken port is recorded, and replaced by the next update because of its start", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const address = server.address();
    const external = typeof address === "object" && address !== null ? address.port : 0;
    const { inputs } = await plugin.check(CONTAINER, "p", {
      ...sleeper("port"),
      ports: [{ internal: 25, external, ip: "127.0.0.1" }],
    });
    const failure = await plugin.create(CONTAINER, "p", inputs).catch((error: unknown) => error);
    server.close();
    assert.ok(failure instanceof InitFailed);
    assert.match(failure.message, /Unable to start container.*(address already in use|port is already allocated)/s);
    const found = await plugin.diff(CONTAINER, "p", { ...failure.made, inputs }, inputs);
    assert.ok(found.replaces.includes("start"), JSON.stringify(found));
    assert.equal(found.deleteBeforeReplace, true);
    const seen = await plugin.read(CONTAINER, "p", failure.made.id, { state: failure.made.state, inputs });
    assert.ok(seen);
    assert.ok(
      (await plugin.diff(CONTAINER, "p", { ...seen, inputs }, inputs)).replaces.includes("start"),
      "a refresh does not heal it",
    );
    await plugin.remove(CONTAINER, "p", failure.made);
  });

  test("on an unknown network names the network", async () => {
    const { inputs } = await plugin.check(CONTAINER, "n", {
      ...sleeper("net"),
      networksAdvanced: [{ name: `${bed.run}-none` }],
    });
    const failure = await plugin.create(CONTAINER, "n", inputs).catch((error: unknown) => error);
    assert.ok(failure instanceof InitFailed);
    assert.ok(failure.message.includes(`${bed.run}-none`));
    await plugin.remove(CONTAINER, "n", failure.made);
  });

  test("under a taken name is not recorded", async () => {
    const first = await create(CONTAINER, "t", sleeper("taken"));
    const failure = await plugin.create(CONTAINER, "t", first.inputs).catch((error: unknown) => error);
    assert.ok(failure instanceof Error && !(failure instanceof InitFailed));
    assert.match(failure.message, /already in use/);
    await plugin.remove(CONTAINER, "t", first);
    await plugin.remove(CONTAINER, "t", first);
  });

  test("whose run is cancelled while it waits is recorded at once", async () => {
    const own = await open("docker");
    try {
      await own.configure();
      const { inputs } = await own.check(CONTAINER, "w", {
        ...sleeper("wait"),
        healthcheck: { tests: ["CMD", "false"], interval: "1s" },
        wait: true,
        waitTimeout: 300,
      });
      const waiting = own.create(CONTAINER, "w", inputs).catch((error: unknown) => error);
      const running = async () =>
        (
          await bed.docker
            .getContainer(`${bed.run}-wait`)
            .inspect()
            .catch(() => undefined)
        )?.State.Running;
      while (!(await running())) await new Promise((resolve) => setTimeout(resolve, 50));
      await own.cancel();
      const failure = await waiting;
      assert.ok(failure instanceof InitFailed);
      assert.match(failure.message, /cancelled/);
      await plugin.remove(CONTAINER, "w", failure.made);
    } finally {
      own.close();
    }
  });
});

describe("an import", () => {
  test("finds a container by its name, and a program that says the same has nothing to do", async () => {
    const program = {
      ...sleeper("import"),
      envs: ["A=1"],
      labels: [{ label: "vectis.stack", value: "test" }],
      restart: "unless-stopped",
      memory: 64,
      memorySwap: 64,
      healthcheck: { tests: ["CMD", "true"], interval: "30s" },
    };
    const made = await create(CONTAINER, "m", program);
    const found = await plugin.read(CONTAINER, "m", `${bed.run}-import`);
    assert.ok(found);
    assert.equal(found.id, made.id);
    assert.equal(found.inputs["restart"], "unless-stopped");
    assert.deepEqual((await plugin.diff(CONTAINER, "m", found, made.inputs)).detailed, {});
    await plugin.remove(CONTAINER, "m", made);
  });

  test("finds networks, volumes and images by name", async () => {
    const network = await create(NETWORK, "n", { name: `${bed.run}-n`, internal: true });
    const volume = await create(VOLUME, "v", { name: `${bed.run}-v` });
    assert.equal((await plugin.read(NETWORK, "n", `${bed.run}-n`))?.id, network.id);
    assert.equal((await plugin.read(VOLUME, "v", `${bed.run}-v`))?.id, volume.id);
    assert.equal((await plugin.read(IMAGE, "i", BASE_IMAGE))?.state["imageId"], bed.baseImageId);
    await plugin.remove(NETWORK, "n", network);
    await plugin.remove(NETWORK, "n", network);
    await plugin.remove(VOLUME, "v", volume);
    await plugin.remove(VOLUME, "v", volume);
  });
});

describe("a refresh", () => {
  test("keeps the program's inputs and their secrets, and records what drifted", async () => {
    const made = await create(CONTAINER, "r", {
      ...sleeper("refresh"),
      envs: [secretValue("TOKEN=hunter2")],
      capabilities: { adds: ["NET_BIND_SERVICE"] },
    });
    assert.deepEqual([...made.secret], ["envs"]);
    await bed.docker.getContainer(made.id).update({ RestartPolicy: { Name: "always" } });
    const state: Bag = { ...made.state, envs: secretValue(made.state["envs"] ?? null) };
    const seen = await plugin.read(CONTAINER, "r", made.id, { state, inputs: { ...made.wire, restart: "no" } });
    assert.ok(seen);
    assert.deepEqual([...seen.secret], ["envs"]);
    assert.deepEqual([...seen.secretInputs], ["envs"]);
    assert.deepEqual(seen.inputs["envs"], ["TOKEN=hunter2"]);
    assert.equal(seen.inputs["restart"], "always");
    assert.deepEqual(seen.inputs["capabilities"], { adds: ["CAP_NET_BIND_SERVICE"] });
    assert.equal(seen.inputs["hostname"], undefined, "what the program never set stays unset");
    await plugin.remove(CONTAINER, "r", made);
  });
});

describe("uploads", () => {
  test("arrive with content, permissions and owner before the process starts", async () => {
    const made = await create(CONTAINER, "u", {
      ...sleeper("upload"),
      command: ["sh", "-c", "stat -c '%a %u %g' /etc/deep/er.conf; cat /etc/deep/er.conf"],
      mustRun: false,
      uploads: [{ file: "/etc/deep/er.conf", content: "später\n", permissions: "0640", owner: "7", group: "8" }],
    });
    const container = bed.docker.getContainer(made.id);
    await container.wait();
    const said = (await container.logs({ stdout: true })).toString();
    assert.match(said, /640 7 8/);
    assert.match(said, /später/);
    await plugin.remove(CONTAINER, "u", made);
  });

  test("without content fail and name the file", async () => {
    const { inputs } = await plugin.check(CONTAINER, "e", {
      ...sleeper("empty"),
      uploads: [{ file: "/etc/x", content: "" }],
    });
    const failure = await plugin.create(CONTAINER, "e", inputs).catch((error: unknown) => error);
    assert.ok(failure instanceof InitFailed);
    assert.match(failure.message, /\/etc\/x/);
    await plugin.remove(CONTAINER, "e", failure.made);
  });
});

describe("a build", () => {
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  };

  test("sends the folder without what .dockerignore excludes, reports its steps and tags the image", async () => {
    write(
      "Dockerfile.mail",
      `FROM ${BASE_IMAGE}\nARG WHO\nCOPY . /app\nRUN echo $WHO > /who\nCMD cat /who; find /app -type f | sort\n`,
    );
    write(".dockerignore", "secret\n");
    write("secret/key", "k");
    write("bin/run", "#!/bin/sh\n");
    const tags = [`${bed.run}:2`];
    const made = await create(IMAGE, "b", {
      name: `${bed.run}:1`,
      keepLocally: true,
      build: { context: folder, dockerfile: "Dockerfile.mail", buildArgs: { WHO: "mail" }, tags },
    });
    const said = await output(`${bed.run}:2`, ["sh", "-c", "cat /who; find /app -type f | sort"]);
    assert.deepEqual(said.split("\n"), ["mail", "/app/.dockerignore", "/app/Dockerfile.mail", "/app/bin/run"]);
    assert.ok(
      plugin.logs.some((line) => line.startsWith("Step 2/")),
      "steps are reported",
    );
    assert.equal(made.state["imageId"], (await bed.docker.getImage(`${bed.run}:1`).inspect()).Id);
    await plugin.remove(IMAGE, "b", made);
    assert.ok(await bed.docker.getImage(`${bed.run}:1`).inspect(), "keepLocally keeps it");
    await plugin.remove(IMAGE, "b", { ...made, state: { ...made.state, keepLocally: false } });
    await assert.rejects(bed.docker.getImage(`${bed.run}:1`).inspect());
  });

  test("that fails shows the failing step and what it printed", async () => {
    write("Dockerfile", `FROM ${BASE_IMAGE}\nRUN echo the reason; exit 3 # ${bed.run}\n`);
    const build = { context: folder, forceRemove: true };
    await assert.rejects(create(IMAGE, "f", { name: `${bed.run}:f`, build }), (error: Error) => {
      assert.match(error.message, /returned a non-zero code: 3/);
      assert.match(error.message, /Step 2\/2 : RUN echo the reason; exit 3/);
      assert.match(error.message, /^the reason$/m);
      assert.doesNotMatch(error.message, /Step 1/);
      return true;
    });
    const left = (await bed.docker.listContainers({ all: true })).filter(({ Command }) => Command.includes(bed.run));
    assert.deepEqual(
      left.map(({ Names }) => Names),
      [],
      "forceRemove leaves no container of the step",
    );
  });

  test("without a Dockerfile says where it looked", async () => {
    const build = { context: join(folder, "bin") };
    await assert.rejects(create(IMAGE, "g", { name: `${bed.run}:g`, build }), /no Dockerfile at .*\/bin\/Dockerfile/);
  });
});

describe("a volume in use", () => {
  test("is removed as soon as its container lets go", async () => {
    const volume = await create(VOLUME, "v", { name: `${bed.run}-used` });
    const made = await create(CONTAINER, "c", {
      ...sleeper("user"),
      volumes: [{ volumeName: `${bed.run}-used`, containerPath: "/v" }],
    });
    const removal = plugin.remove(VOLUME, "v", volume);
    await plugin.remove(CONTAINER, "c", made);
    await removal;
    await assert.rejects(bed.docker.getVolume(`${bed.run}-used`).inspect());
  });
});
