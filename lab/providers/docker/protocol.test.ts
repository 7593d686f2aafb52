// What the plugin says before it touches Docker: configuration, check, preview, secrets, unknown values. An engine that only
// answers a ping stands for Docker.
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { open, type Plugin } from "../protocol/client.ts";
import { UNKNOWN } from "../protocol/value.ts";
import { secretValue } from "../protocol/wire.ts";

const CONTAINER = "docker:index/container:Container";
const IMAGE = "docker:index/remoteImage:RemoteImage";
const VOLUME = "docker:index/volume:Volume";

let engine: Server;
let plugin: Plugin;

before(async () => {
  engine = createServer((_request, response) => response.end("OK"));
  await new Promise<void>((done) => engine.listen(0, "127.0.0.1", done));
  plugin = await open("docker", { host: `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}` });
  await plugin.configure();
});

after(() => {
  plugin?.close();
  engine?.close();
});

const program = { name: "mx", image: "debian", networksAdvanced: [{ name: "mail" }] };

describe("the provider", () => {
  test("has the version of the SDK package that it stands behind", async () => {
    const manifest = readFileSync(
      new URL("../../../node_modules/@pulumi/docker/package.json", import.meta.url),
      "utf8",
    );
    assert.equal(await plugin.version(), (JSON.parse(manifest) as { version: string }).version);
  });

  test("takes a host, and refuses all other configuration by name", async () => {
    assert.deepEqual(await plugin.checkConfig({ host: "unix:///var/run/docker.sock", version: "5.2.0" }), []);
    const failures = await plugin.checkConfig({ host: "ssh://root@mail", registryAuth: "[]" });
    assert.match(failures.join("\n"), /ssh:\/\/root@mail.*\n?.*docker:registryAuth/s);
  });

  test("says which engine it cannot reach", async () => {
    const lost = await open("docker", { host: "unix:///nonexistent/docker.sock" });
    try {
      await assert.rejects(lost.configure(), /cannot reach the Docker Engine at unix:\/\/\/nonexistent\/docker\.sock/);
    } finally {
      lost.close();
    }
  });

  test("refuses types and functions that it does not have, by name", async () => {
    await assert.rejects(plugin.check("docker:index/service:Service", "s", {}), /docker:index\/service:Service/);
    await assert.rejects(plugin.invoke("docker:index/getNetwork:getNetwork"), /docker:index\/getNetwork:getNetwork/);
  });
});

describe("a missing name", () => {
  test("is made from the resource's and kept", async () => {
    const first = await plugin.check(VOLUME, "spool", {});
    assert.match(String(JSON.stringify(first.inputs["name"])), /^"spool-[0-9a-f]{7}"$/);
    const again = await plugin.check(VOLUME, "spool", {}, { ...first.inputs, name: "spool-0000000" });
    assert.equal(again.inputs["name"], "spool-0000000");
  });

  test("lets the replacement be created first; a fixed name does not", async () => {
    const state = { name: "spool-0000000", driver: "local", labels: [] };
    const labels = [{ label: "a", value: "b" }];
    const olds = { name: "spool-0000000", __defaults: ["name"] };
    const made = await plugin.check(VOLUME, "spool", { labels }, olds);
    const old = { id: "spool-0000000", state, inputs: olds };
    assert.equal((await plugin.diff(VOLUME, "spool", old, made.inputs)).deleteBeforeReplace, false);
    const fixed = await plugin.check(VOLUME, "spool", { labels, name: "spool-0000000" }, olds);
    assert.equal((await plugin.diff(VOLUME, "spool", old, fixed.inputs)).deleteBeforeReplace, true);
  });
});

describe("a preview", () => {
  test("knows what is set and leaves open what the engine decides", async () => {
    const { inputs } = await plugin.check(CONTAINER, "mx", { ...program, image: UNKNOWN });
    const planned = await plugin.create(CONTAINER, "mx", inputs, true);
    assert.equal(planned.id, "");
    assert.equal(planned.state["name"], "mx");
    assert.equal(planned.state["image"], UNKNOWN);
    assert.equal(planned.state["networkDatas"], UNKNOWN);
  });

  test("an update keeps what is known, and shows no difference for it afterwards", async () => {
    const state = { name: "a:1", imageId: "sha256:1", repoDigest: "", keepLocally: true };
    const { inputs } = await plugin.check(IMAGE, "i", { name: "a:1", keepLocally: false });
    const old = { id: "sha256:1a:1", state, inputs: { name: "a:1", keepLocally: true } };
    const planned = await plugin.update(IMAGE, "i", old, inputs, true);
    assert.equal(planned.state["imageId"], "sha256:1");
    assert.equal((await plugin.diff(IMAGE, "i", { ...old, state: planned.state }, inputs)).changes, "NONE");
  });

  test("an unknown value where a change replaces shows the replacement", async () => {
    const { inputs } = await plugin.check(CONTAINER, "mx", program);
    const made = await plugin.create(CONTAINER, "mx", inputs, true);
    const news = { ...inputs, networksAdvanced: [{ name: UNKNOWN }] };
    const found = await plugin.diff(CONTAINER, "mx", { id: "1", state: made.state, inputs }, news);
    assert.deepEqual(found.replaces, ["networksAdvanced"]);
  });

  test("honours ignored changes", async () => {
    const { inputs } = await plugin.check(CONTAINER, "mx", program);
    const made = await plugin.create(CONTAINER, "mx", inputs, true);
    const news = { ...inputs, labels: [{ label: "a", value: "b" }] };
    const old = { id: "1", state: { ...made.state, labels: [] }, inputs };
    assert.equal((await plugin.diff(CONTAINER, "mx", old, news, ["labels"])).changes, "NONE");
  });
});

describe("a secret", () => {
  const secret = { ...program, envs: [secretValue("TOKEN=hunter2"), "A=1"], hostname: "mx" };

  test("stays secret through check and in the state, and hides the whole property", async () => {
    const checked = await plugin.check(CONTAINER, "mx", secret);
    assert.deepEqual([...checked.secret], ["envs"]);
    const made = await plugin.create(CONTAINER, "mx", checked.wire, true);
    assert.deepEqual([...made.secret], ["envs"]);
    assert.deepEqual(made.state["envs"], ["TOKEN=hunter2", "A=1"]);
  });

  test("makes no difference when only its secrecy changed", async () => {
    const checked = await plugin.check(CONTAINER, "mx", secret);
    const made = await plugin.create(CONTAINER, "mx", checked.wire, true);
    const open = await plugin.check(CONTAINER, "mx", { ...program, envs: ["TOKEN=hunter2", "A=1"], hostname: "mx" });
    const old = { id: "1", state: made.state, inputs: checked.wire };
    assert.equal((await plugin.diff(CONTAINER, "mx", old, open.wire)).changes, "NONE");
  });

  test("is not repeated by a failed check", async () => {
    const { failures } = await plugin.check(CONTAINER, "mx", {
      ...program,
      healthcheck: { tests: ["CMD", "true"], interval: secretValue("hunter2") },
      restart: secretValue("hunter2"),
    });
    assert.equal(failures.length, 2);
    assert.ok(!failures.join().includes("hunter2"), failures.join());
  });
});
