// The pure parts, without Docker: validation, differences, the translations to and from the Docker API, archives, durations.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ignored, ignoreRules } from "./context.ts";
import { diff, without } from "../protocol/diff.ts";
import { parseHost, reason } from "./docker.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { plan } from "../protocol/plan.ts";
import { fields, refused } from "./resources/container-fields.ts";
import { attachments, createOptions, uploads } from "./resources/container-spec.ts";
import { failedStep, fields as imageFields, reference, repoDigest } from "./resources/image.ts";
import { check } from "../protocol/schema.ts";
import { tar } from "./tar.ts";
import { UNKNOWN, type Bag } from "../protocol/value.ts";

const problems = (inputs: Bag) =>
  check(fields, inputs, "mx", { about: "docker", refused }).problems.map(({ path, reason }) => `${path}: ${reason}`);
const minimal: Bag = { name: "mx", image: "debian" };

describe("check", () => {
  test("names the plural that was meant", () => {
    assert.deepEqual(problems({ ...minimal, env: ["A=1"], upload: [] }), [
      "mx.env: unknown input 'env'; is 'envs' meant?",
      "mx.upload: unknown input 'upload'; is 'uploads' meant?",
    ]);
  });

  test("tells an input of the official plugin from an unknown one", () => {
    const said = problems({ ...minimal, gpus: "all" });
    assert.match(said.join(), /^mx\.gpus: 'gpus' is not supported by this stand-in/);
  });

  test("finds everything wrong at once, deep inside too", () => {
    const said = problems({
      image: "debian",
      ports: [{ internal: "25" }],
      uploads: [{ file: "/a", content: "x", permissions: "640", mod: 1 }],
      healthcheck: { tests: ["CMD", "true"], interval: "5" },
      restart: "sometimes",
      memory: -1,
      networkDatas: [],
    });
    assert.deepEqual(
      said.map((line) => line.slice(0, line.indexOf(":"))),
      [
        "mx.ports[0].internal",
        "mx.uploads[0].permissions",
        "mx.uploads[0].mod",
        "mx.healthcheck.interval",
        "mx.restart",
        "mx.memory",
        "mx.networkDatas",
      ],
    );
  });

  test("lets a value pass that is not known yet", () => {
    assert.deepEqual(problems({ ...minimal, image: UNKNOWN, ports: [{ internal: UNKNOWN }], envs: UNKNOWN }), []);
  });

  test("refuses what an image is never built with", () => {
    const { problems: said } = check(imageFields, { name: "a:1", build: { context: ".", squash: true } }, "i", {
      about: "docker",
      refused: ["squash"],
    });
    assert.match(said[0]?.reason ?? "", /'squash' is not supported/);
  });
});

describe("diff", () => {
  const state = {
    ...plan(fields, { ...minimal, envs: ["A=1", "B=2"], labels: [{ label: "a", value: "b" }] }),
    hostname: "x",
  };
  const paths = (inputs: Bag, ignore: string[] = []) =>
    without(diff(fields, state, inputs), ignore).map(({ path }) => path);

  test("sees nothing in another order, and nothing in a computed input that is gone", () => {
    assert.deepEqual(paths({ ...minimal, envs: ["B=2", "A=1"] }), []);
  });

  test("an unknown value of an input that replaces is a replacement", () => {
    const [change] = diff(fields, state, { ...minimal, image: UNKNOWN });
    assert.deepEqual(change, { path: "image", property: "image", kind: "update", replaces: true });
  });

  test("ignored changes cover what lies below them", () => {
    const inputs = { ...minimal, user: "1000", labels: [{ label: "a", value: "c" }] };
    assert.deepEqual(paths(inputs), ["labels[0].value", "user"]);
    assert.deepEqual(paths(inputs, ["labels"]), ["user"]);
    assert.deepEqual(paths(inputs, ["labels[0].value", "user"]), []);
    assert.deepEqual(paths(inputs, ["label"]), ["labels[0].value", "user"]);
  });
});

describe("plan", () => {
  test("a preview knows what the program sets and nothing that the engine will choose", () => {
    const planned = plan(fields, { ...minimal, hostname: "mx", ports: [{ internal: 25, external: 25 }] });
    assert.equal(planned["hostname"], "mx");
    assert.equal(planned["networkDatas"], UNKNOWN);
    assert.equal(planned["shmSize"], UNKNOWN);
    assert.equal(planned["restart"], "no");
    assert.equal(planned["user"], null);
  });

  test("an update keeps what the engine chose, memorySwap too", () => {
    const planned = plan(fields, { ...minimal, memory: 64 }, { runtime: "runc", memorySwap: 128, memory: 32 });
    assert.deepEqual([planned["runtime"], planned["memory"], planned["memorySwap"]], ["runc", 64, 128]);
  });
});

describe("the Docker API's form of a container", () => {
  const options = createOptions({
    ...minimal,
    ports: [{ internal: 25, external: 10025, ip: "127.0.0.1", protocol: "tcp" }],
    capabilities: { adds: ["net_bind_service", "CAP_CHOWN"], drops: ["ALL"] },
    memory: 64,
    memorySwap: -1,
    cpus: "0.5",
    healthcheck: { tests: ["CMD", "true"], interval: "1m30s", timeout: "2s", retries: 3 },
    volumes: [
      { volumeName: "certs", containerPath: "/etc/ssl/mail", readOnly: true },
      { hostPath: "/srv", containerPath: "/srv" },
    ],
    hosts: [{ host: "six", ip: "fd00::1" }],
  });

  test("says ports, capabilities, limits and mounts as the engine wants them", () => {
    const { HostConfig: host } = options;
    assert.deepEqual(options.ExposedPorts, { "25/tcp": {} });
    assert.deepEqual(host?.PortBindings, { "25/tcp": [{ HostIp: "127.0.0.1", HostPort: "10025" }] });
    assert.deepEqual(host?.CapAdd, ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]);
    assert.deepEqual(host?.CapDrop, ["ALL"]);
    assert.deepEqual([host?.Memory, host?.MemorySwap, host?.NanoCpus], [64 * 1024 * 1024, -1, 5e8]);
    assert.deepEqual(host?.Binds, ["certs:/etc/ssl/mail:ro", "/srv:/srv:rw"]);
    assert.deepEqual(host?.ExtraHosts, ["six:fd00::1"]);
  });

  test("counts a healthcheck in nanoseconds and says nothing that old engines refuse", () => {
    assert.deepEqual(options.Healthcheck, {
      Test: ["CMD", "true"],
      Interval: 90e9,
      Timeout: 2e9,
      StartPeriod: 0,
      Retries: 3,
    });
  });

  test("leaves to the daemon what is not set", () => {
    assert.deepEqual(Object.keys(createOptions(minimal)).sort(), ["HostConfig", "Image", "name"]);
  });

  test("joins networks by alias and address", () => {
    const [first] = attachments({ networksAdvanced: [{ name: "mail", aliases: ["mx"], ipv4Address: "10.0.0.9" }] });
    assert.deepEqual(first, {
      network: "mail",
      endpoint: { Aliases: ["mx"], IPAMConfig: { IPv4Address: "10.0.0.9" } },
    });
  });

  test("an upload has exactly one content, and its permissions", () => {
    const read = () => Buffer.from("from a file");
    const now = new Date(0);
    const [script] = uploads({ uploads: [{ file: "/run.sh", contentBase64: "aGk=", executable: true }] }, now, read);
    assert.deepEqual(
      [script?.name, script?.mode, script?.content],
      ["run.sh", 0o744, { is: "file", data: Buffer.from("hi") }],
    );
    assert.throws(() => uploads({ uploads: [{ file: "/a", content: "" }] }, now, read), /upload of \/a: exactly one/);
    assert.throws(() => uploads({ uploads: [{ file: "/a", content: "x", source: "/y" }] }, now, read), /exactly one/);
  });
});

describe("an image's name", () => {
  test("splits into repository and tag, a port is no tag, a digest comes before a tag", () => {
    assert.deepEqual(reference("debian"), { repository: "debian", tag: "latest" });
    assert.deepEqual(reference("localhost:5000/mail/acme:3"), { repository: "localhost:5000/mail/acme", tag: "3" });
    assert.deepEqual(reference("a/b:1@sha256:00"), { repository: "a/b", tag: "sha256:00" });
  });

  test("finds its own repository's digest", () => {
    assert.equal(repoDigest("a/b:1", ["c@sha256:1", "a/b@sha256:2"]), "a/b@sha256:2");
    assert.equal(repoDigest("a/b:1", []), "");
  });
});

describe("a build", () => {
  test("a failure shows the output of the step that failed", () => {
    assert.equal(
      failedStep(["Step 1/2 : FROM x\n", " ---> 1\n", "Step 2/2 : RUN y\n", "y: not found\n"]),
      "Step 2/2 : RUN y\ny: not found",
    );
  });

  test(".dockerignore excludes, crosses folders and takes back", () => {
    const rules = ignoreRules("# tests\n*.md\n!README.md\n**/node_modules\n/dist\na?c\n");
    const left = ["README.md", "NOTES.md", "x/NOTES.md", "node_modules/a", "x/node_modules/b", "dist/c", "abc", "abbc"];
    assert.deepEqual(
      left.filter((path) => !ignored(rules, path)),
      ["README.md", "x/NOTES.md", "abbc"],
    );
  });
});

describe("an archive", () => {
  test("holds names beyond 100 bytes and refuses what the format cannot say", () => {
    const folder = "a".repeat(90);
    const entry = (name: string) =>
      ({ name, mode: 0o640, modified: 0, content: { is: "file", data: Buffer.from("x") } }) as const;
    const archive = tar([entry(`${folder}/${"b".repeat(90)}`)]);
    assert.equal(archive.length, 512 + 512 + 1024);
    assert.equal(archive.toString("latin1", 345, 435), folder);
    assert.throws(() => tar([entry("c".repeat(101))]), /too long/);
  });
});

describe("durations", () => {
  test("are read and written as Go does", () => {
    const written = {
      "0s": "0s",
      "90s": "1m30s",
      "60m": "1h0m0s",
      "1500ms": "1.5s",
      "2ms": "2ms",
      "1h0.5s": "1h0m0.5s",
    };
    for (const [given, expected] of Object.entries(written))
      assert.equal(formatDuration(parseDuration(given) ?? -1), expected);
    for (const wrong of ["5", "1 s", "s", "", "1d"]) assert.equal(parseDuration(wrong), undefined, wrong);
  });
});

describe("an engine's address", () => {
  test("is a socket or a TCP port, and anything else is refused with an example", () => {
    assert.deepEqual(parseHost("unix:///run/docker.sock"), { is: "socket", path: "/run/docker.sock" });
    assert.deepEqual(parseHost("tcp://127.0.0.1:2376"), { is: "tcp", host: "127.0.0.1", port: 2376 });
    assert.throws(
      () => parseHost("ssh://mail"),
      /docker host 'ssh:\/\/mail' is not supported.*unix:\/\/\/var\/run\/docker\.sock/,
    );
  });

  test("an engine's error is its own sentence", () => {
    assert.equal(
      reason(Object.assign(new Error("(HTTP code 404) x - y"), { json: { message: "No such container: a" } })),
      "No such container: a",
    );
    assert.equal(reason(new Error("(HTTP code 500) server error - no such host")), "no such host");
  });
});
