import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { hostname } from "node:os";
import { describe, it } from "node:test";
import { isStale, locksIn, unrecordedIn } from "./interrupted.ts";

const said = `error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with \`pulumi cancel\`.
  file:///srv/mail%20host/.pulumi/locks/organization/vectis/prod/1f.json?no_tmp_dir=true: created by root@mx (pid 4711) at 2026-01-31T12:00:00Z
  file:///srv/mail%20host/.pulumi/locks/organization/vectis/prod/2a.json: created by Jo Doe@mx2 (pid 12) at 2026-01-31T12:00:01Z
`;

describe("a lock that an update meets", () => {
  it("is told by its file, host and process", () => {
    const folder = "/srv/mail host/.pulumi/locks/organization/vectis/prod";
    assert.deepEqual(locksIn(said), [
      { file: `${folder}/1f.json`, host: "mx", pid: 4711 },
      { file: `${folder}/2a.json`, host: "mx2", pid: 12 },
    ]);
  });

  it("is left alone where it is no file", () => {
    assert.deepEqual(locksIn(said.replaceAll("file:///srv", "s3://srv")), []);
  });

  const lock = { file: "/nowhere", host: hostname() };

  it("is stale once its process has ended", () => {
    const { pid } = spawnSync("true");
    assert.equal(isStale({ ...lock, pid }), true);
  });

  it("is not while its process runs, whoever's it is", () => {
    assert.equal(isStale({ ...lock, pid: process.pid }), false);
    assert.equal(isStale({ ...lock, pid: 1 }), false);
  });

  it("is not for all one knows if it is another machine's", () => {
    const { pid } = spawnSync("true");
    assert.equal(isStale({ ...lock, pid }, "another"), false);
  });
});

describe("what an interrupted update may have made", () => {
  const container = { type: "docker:index/container:Container", inputs: { name: "vectis-postfix" } };
  const network = { type: "docker:index/network:Network", inputs: { name: "vectis" } };
  const volume = { type: "docker:index/volume:Volume", inputs: { name: "mail-certs" } };
  const exported = (...pending: readonly { type: string; resource: typeof container }[]) => ({
    deployment: { resources: [], pending_operations: pending },
  });

  it("is what the engine was creating: containers and networks, not volumes", () => {
    const pending = [container, network, volume].map((resource) => ({ type: "creating", resource }));
    assert.deepEqual(unrecordedIn(exported(...pending)), {
      any: true,
      made: [
        { kind: "container", name: "vectis-postfix" },
        { kind: "network", name: "vectis" },
      ],
    });
  });

  it("is nothing while it was removing or changing something", () => {
    const pending = ["deleting", "updating"].map((type) => ({ type, resource: container }));
    assert.deepEqual(unrecordedIn(exported(...pending)), { any: false, made: [] });
  });

  it("is nothing after an update that came to its end", () => {
    assert.deepEqual(unrecordedIn({ deployment: { resources: [] } }), { any: false, made: [] });
  });
});
