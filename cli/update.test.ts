// Commands that change something, with a pulumi that only writes down how it was called. What they do to a running stack is
// shown in test/cli.test.ts.
import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
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
// As the engine: the first signal has it end what it has begun, which here lasts until the test says so.
if (answer[1].startsWith("Slowly")) {
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => console.log("received " + signal));
  process.on("SIGUSR2", () => {
    console.error("error: update canceled");
    process.exit(255);
  });
  console.log("begun by " + process.pid);
  process.stdin.resume().on("end", () => process.exit(1));
}
`;

before(() => {
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin", "pulumi"), pulumi, { mode: 0o755 });
});
after(() => rmSync(folder, { recursive: true }));
beforeEach(() => writeFileSync(calls, ""));

interface Stack {
  readonly retained?: boolean;
  readonly data: "keep" | "delete";
  readonly says?: string;
}

/** The stack as the last update has left it, as the configuration wants it, and what the engine says to begin with. */
function given({ retained, data, says = "Destroying" }: Stack): void {
  const urn = "urn:pulumi:prod::vectis::docker:index/volume:Volume::dovecot-mailboxes";
  const volume = { urn, type: "docker:index/volume:Volume", retainOnDelete: retained };
  writeFileSync(
    answers,
    JSON.stringify({
      version: "3.259.0",
      "stack export": JSON.stringify({ deployment: retained === undefined ? {} : { resources: [volume] } }),
      "config --json": JSON.stringify({ "vectis:data": { value: data, secret: false } }),
      destroy: `${says} (prod)`,
      "stack history": "[]",
    }),
  );
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "cli/main.ts", ...args], {
    env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}` },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of processes of its own, as a shell makes one for what runs in the foreground.
    detached: true,
  });
}

/** @param follow is called with all of standard output whenever there is more */
function ended(child: ReturnType<typeof start>, follow: (stdout: string) => void = () => undefined): Promise<Outcome> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => follow((stdout += chunk)));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

const vectis = (...args: readonly string[]): Promise<Outcome> => ended(start(args));

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

  it("leaves Ctrl-C to the engine, waits for it, and ends with 130", async () => {
    given({ retained: true, data: "keep", says: "Slowly" });
    const child = start(["destroy", "-s", "prod", "--yes"]);
    const engine = (stdout: string): number => Number(/^begun by (\d+)$/m.exec(stdout)?.[1]);
    let step = 0;
    const { code, stdout, stderr } = await ended(child, (stdout) => {
      if (step === 0 && engine(stdout) > 0) {
        step = 1;
        process.kill(-(child.pid ?? 0), "SIGINT");
      } else if (step === 1 && stdout.includes("received SIGINT")) {
        step = 2;
        process.kill(engine(stdout), "SIGUSR2");
      }
    });
    assert.equal(code, 130, stderr);
    assert.deepEqual(stdout.match(/received \w+/g), ["received SIGINT"]);
    assert.match(stderr, /^error: cancelled; run it again/m);
    assert.equal(
      readFileSync(calls, "utf8").match(/^stack export/gm)?.length,
      1,
      "it does not look for what is in the way",
    );
  });
});
