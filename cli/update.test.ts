// Commands that change something, with a pulumi that only writes down how it was called. What they do to a running stack is
// shown in test/cli.test.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "vectis-update-"));
const calls = join(folder, "calls");
const answers = join(folder, "answers.json");

const pulumi = `#!${process.execPath}
const { appendFileSync, readFileSync } = require("node:fs");
const words = process.argv.slice(2).join(" ");
appendFileSync(${JSON.stringify(calls)}, words + "\\n");
const said = JSON.parse(readFileSync(${JSON.stringify(answers)}, "utf8"));
const answer = Object.entries(said).find(([begin]) => words.startsWith(begin));
if (answer === undefined) process.exit(9);
console.log(answer[1]);
`;

before(() => {
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin", "pulumi"), pulumi, { mode: 0o755 });
});
after(() => rmSync(folder, { recursive: true }));
beforeEach(() => writeFileSync(calls, ""));

/** The stack as the last update has left it, and as the configuration wants it. */
function given({ retained, data }: { readonly retained?: boolean; readonly data: "keep" | "delete" }): void {
  const urn = "urn:pulumi:prod::vectis::docker:index/volume:Volume::dovecot-mailboxes";
  const volume = { urn, type: "docker:index/volume:Volume", retainOnDelete: retained };
  writeFileSync(
    answers,
    JSON.stringify({
      version: "3.259.0",
      "stack export": JSON.stringify({ deployment: retained === undefined ? {} : { resources: [volume] } }),
      "config --json": JSON.stringify({ "vectis:data": { value: data, secret: false } }),
      destroy: "Destroying (prod)",
      "stack history": "[]",
    }),
  );
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vectis(...args: readonly string[]): Promise<Outcome> {
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}` };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "cli/main.ts", ...args], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

const wasDestroyed = (): boolean => /^destroy /m.test(readFileSync(calls, "utf8"));

describe("vectis destroy", () => {
  it("removes nothing while the last update has set another vectis:data than the configuration", async () => {
    given({ retained: false, data: "keep" });
    const { code, stdout, stderr } = await vectis("destroy", "-s", "prod", "--yes");
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^error: vectis:data is keep, but the last update has set delete.*`vectis up` first/);
    assert.equal(wasDestroyed(), false);
  });

  it("goes on where both are the same, and says what stays", async () => {
    given({ retained: true, data: "keep" });
    const { code, stdout, stderr } = await vectis("destroy", "-s", "prod", "--yes");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^prod is destroyed; its volumes with data stay$/m);
    assert.equal(wasDestroyed(), true);
  });

  it("goes on where nothing was made yet, whatever the configuration says", async () => {
    given({ data: "delete" });
    const { code, stdout, stderr } = await vectis("destroy", "-s", "prod", "--yes");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^prod is destroyed$/m);
  });
});
