// images/traefik/choose-store: Traefik's certificate store follows the ACME directory, and comes back with it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

const script = join(import.meta.dirname, "..", "images", "traefik", "choose-store");
let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "traefik-store-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const store = (): string => (existsSync(at("acme.json")) ? readFileSync(at("acme.json"), "utf8") : "none");
function start(directory: string): string {
  writeFileSync(at("traefik.yml"), `certificatesResolvers:\n  acme:\n    acme:\n      caServer: ${directory}\n`);
  const env = { ...process.env, TRAEFIK_CONFIG: at("traefik.yml"), TRAEFIK_ACME: folder };
  return execFileSync("sh", [script], { env, encoding: "utf8" });
}

describe("Traefik's store", () => {
  it("stays as it is while the directory does, one from before this was so included", () => {
    writeFileSync(at("acme.json"), "staging");
    assert.equal(start("https://staging.test/dir"), "");
    assert.equal(start("https://staging.test/dir"), "");
    assert.equal(store(), "staging");
  });

  it("is parked when the directory changes, and is back when that is", () => {
    start("https://staging.test/dir");
    writeFileSync(at("acme.json"), "staging");
    assert.match(start("https://ca.test/dir"), /changed from https:\/\/staging\.test\/dir to https:\/\/ca\.test\/dir/);
    assert.equal(store(), "none");
    writeFileSync(at("acme.json"), "production");
    assert.match(start("https://staging.test/dir"), /are there from before/);
    assert.equal(store(), "staging");
    start("https://ca.test/dir");
    assert.equal(store(), "production");
  });

  it("is found again by a start that follows an interrupted one", () => {
    start("https://staging.test/dir");
    writeFileSync(at("acme.json"), "staging");
    start("https://ca.test/dir");
    writeFileSync(at("acme.json"), "production");
    start("https://staging.test/dir");
    // As if that start had ended before its last step: the wanted store is still parked.
    const parked = execFileSync(
      "sh",
      ["-c", 'printf %s "$1" | sha256sum | cut -c 1-16', "sh", "https://staging.test/dir"],
      {
        encoding: "utf8",
      },
    ).trim();
    execFileSync("mv", [at("acme.json"), at(`acme.json.${parked}`)]);
    start("https://staging.test/dir");
    assert.equal(store(), "staging");
  });

  it("is not brought back over one that was put aside by hand", () => {
    start("https://ca.test/dir");
    writeFileSync(at("acme.json"), "production");
    rmSync(at("acme.json"));
    start("https://ca.test/dir");
    assert.equal(store(), "none");
  });
});
