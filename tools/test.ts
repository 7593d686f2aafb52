// Runs the project's checks and tests and sums them up: `tools/node tools/test.ts [check|unit|e2e]... [PART OF A PATH]...`.
// Without a group: all three, in this order. Parts of paths narrow the tests to matching files.
// The last line is `N passed, N failed` and the exit code says the same; a check counts as one test. Before it stands every
// failure again, in short: who has only the end of a long log still learns what failed.
import { execFile, execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { inspect } from "node:util";

const root = join(import.meta.dirname, "..");
process.chdir(root);

const groups = ["check", "unit", "e2e"] as const;
type Group = (typeof groups)[number];

interface Sum {
  readonly passed: number;
  readonly failed: number;
}

/** What failed, in short, in the order in which it did. */
const failed: string[] = [];
/** Tests that something around them kept from running. */
let neverRan = 0;

/** The first lines of an error that say something: for a comparison that is the first differences. */
function brief(error: string): string {
  const lines = error.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
  return lines
    .slice(0, 8)
    .map((line) => `    ${line.slice(0, 160)}`)
    .join("\n");
}

const [green, red, off] = process.stdout.isTTY ? ["\x1b[32m", "\x1b[31m", "\x1b[0m"] : ["", "", ""];

function report(good: boolean, what: string, milliseconds: number): void {
  const mark = good ? `${green}✔${off}` : `${red}✖${off}`;
  console.log(`  ${mark} ${what} (${(milliseconds / 1000).toFixed(1)} s)`);
}

/** Every shell script that git knows or would take: by its extension or its first line. */
function shellScripts(): string[] {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    encoding: "utf8",
  });
  return files.split("\0").filter((file) => {
    if (file.endsWith(".sh")) return true;
    if (file === "" || /\.\w+$/.test(file)) return false;
    try {
      return /^#!.*\b(?:ba|da)?sh\b/.test(readFileSync(file, "utf8").slice(0, 80));
    } catch {
      return false; // deleted, not yet committed
    }
  });
}

/** Runs a checker; its output matters only when it finds something. */
function check(name: string, command: string, args: readonly string[]): Promise<boolean> {
  const start = performance.now();
  return new Promise((resolve) => {
    execFile(command, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      report(error === null, name, performance.now() - start);
      if (error !== null) {
        const output = `${stdout}${stderr}`.trimEnd() || error.message;
        console.log(output);
        failed.push(`${red}✖${off} ${name}\n${brief(output)}`);
      }
      resolve(error === null);
    });
  });
}

async function checks(): Promise<Sum> {
  const node = process.execPath;
  const shell = shellScripts();
  // Two at a time: the two that load the whole program beside the two that do not.
  const results = await Promise.all([
    (async () => [
      await check("types", node, ["node_modules/typescript/bin/tsc", "--noEmit", "--project", "."]),
      await check("format", node, ["node_modules/prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."]),
    ])(),
    (async () => [
      await check("lint", node, ["node_modules/eslint/bin/eslint.js", "--max-warnings=0", "."]),
      await check(`shell scripts (${shell.length})`, "shellcheck", ["-x", ...shell]),
    ])(),
  ]);
  const good = results.flat();
  return { passed: good.filter((is) => is).length, failed: good.filter((is) => !is).length };
}

/**
 * Files apart run in a process each, two at a time, and show as one line per file. Together they run in one process, one
 * after the other, share the running stack that test/support/site.ts makes for them, and show every test as it ends.
 */
type Manner = "apart" | "together";

const minute = 60_000;

function tests(files: string[], manner: Manner): Promise<Sum> {
  const failures: string[] = [];
  const outputs = new Map<string, string>();
  const failedFiles = new Set<string>();
  let sum: Sum = { passed: 0, failed: 0 };
  let heading = "";
  const shown = (file: string | undefined) => relative(root, file ?? "");
  const entry = (test: { readonly name: string; readonly file?: string }, good: boolean, milliseconds: number) => {
    if (manner === "apart" && good) return;
    if (heading !== shown(test.file)) console.log((heading = shown(test.file)));
    report(good, test.name, milliseconds);
  };
  const stream =
    manner === "apart"
      ? run({ files, concurrency: 2, timeout: 5 * minute })
      : run({ files: ["tools/test-files.ts"], argv: files, concurrency: 1, timeout: 80 * minute });
  stream
    .on("test:pass", (test) => {
      if (test.details.type !== "suite" && test.skip === undefined) entry(test, true, test.details.duration_ms);
    })
    .on("test:fail", (test) => {
      entry(test, false, test.details.duration_ms);
      const { error } = test.details;
      const type = "failureType" in error ? String(error.failureType) : "";
      if (type === "subtestsFailed") return; // because of its children, which have said it
      const where = `${red}✖${off} ${shown(test.file)}: ${test.name}`;
      if (type === "cancelledByParent") {
        neverRan += 1; // which says what was in the way
        return;
      }
      const cause = "cause" in error && error.cause !== undefined ? error.cause : error;
      // In full at the end; here, what somebody who watches needs to decide whether to go on.
      console.log(`    ${String(cause).split("\n", 1)[0]}`);
      failures.push(`${where}\n${inspect(cause, { colors: off !== "" })}`);
      failed.push(`${where}\n${brief(String(cause))}`);
    })
    .on("test:diagnostic", ({ message, file }) => {
      // What a test measured; the rest of the diagnostics are the counts, which are summed up below.
      if (file !== undefined && !/^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(message))
        console.log(`    ${message}`);
    })
    .on("test:summary", ({ file, counts, success, duration_ms }) => {
      const failed = Math.max(counts.tests - counts.passed - counts.skipped - counts.todo, success ? 0 : 1);
      if (file === undefined) {
        sum = { passed: counts.passed, failed };
        return;
      }
      if (manner === "apart") report(success, `${shown(file)}: ${counts.passed} of ${counts.tests}`, duration_ms);
      if (!success) failedFiles.add(shown(file));
    });
  const keep = ({ file, message }: { file: string; message: string }) =>
    outputs.set(shown(file), (outputs.get(shown(file)) ?? "") + message);
  stream.on("test:stdout", keep).on("test:stderr", keep);
  return new Promise((resolve) => {
    stream.resume().on("end", () => {
      for (const [file, output] of outputs) {
        if (failedFiles.has(file)) failures.push(`output of ${file}:\n${output.trimEnd()}`);
      }
      for (const failure of failures) console.log(`\n${failure}`);
      resolve(sum);
    });
  });
}

function testFiles(group: "unit" | "e2e", parts: readonly string[]): string[] {
  const all = globSync("**/*.test.ts", { exclude: ["node_modules", ".vectis", ".git"] }).sort();
  return all
    .filter((file) => file.startsWith("test/") === (group === "e2e"))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
}

const isGroup = (word: string): word is Group => (groups as readonly string[]).includes(word);
const words = process.argv.slice(2);
const parts = words.filter((word) => !isGroup(word));
const chosen = words.some(isGroup) ? groups.filter((group) => words.includes(group)) : groups;

let total: Sum = { passed: 0, failed: 0 };
for (const group of chosen) {
  if (group === "check" && parts.length > 0) continue;
  const files = group === "check" ? [] : testFiles(group, parts);
  if (group !== "check" && files.length === 0) continue;
  console.log({ check: "Checks", unit: "Unit tests", e2e: "End-to-end tests, one file after the other" }[group]);
  const sum = group === "check" ? await checks() : await tests(files, group === "unit" ? "apart" : "together");
  total = { passed: total.passed + sum.passed, failed: total.failed + sum.failed };
  console.log("");
}
for (const failure of failed.slice(0, 20)) console.log(failure);
if (failed.length > 20) console.log(`and ${failed.length - 20} more`);
if (neverRan > 0) console.log(`${neverRan} tests never ran to their end`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
