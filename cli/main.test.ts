// The command from outside, with a pulumi and a docker that only write down how they were called: usage, exit codes, what
// reaches which program. What it does to a running stack is shown in test/cli.test.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "vectis-cli-"));
const calls = join(folder, "calls");
const nowhere = "127.0.0.1:1";
const outputs = {
  hostname: "mail.example.com",
  certificateNames: ["mail.example.com"],
  endpoints: Object.fromEntries(
    ["smtp", "http", "https", "submissions", "submission", "imaps", "pop3s"].map((key) => [key, nowhere]),
  ),
  containers: { traefik: "mx-traefik", postfix: "mx-postfix", dovecot: "mx-dovecot", acme: "mx-acme" },
  dnsRecords: [{ name: "example.com", type: "MX", ttl: 300, value: "10 mail.example.com." }],
  dnsZone: "example.com. 300 IN MX 10 mail.example.com.\n",
};

before(() => {
  program(
    "pulumi",
    `
    case "$*" in
      *"--stack missing"*) echo "error: no stack named 'missing' found" >&2; exit 6 ;;
      "stack output"*) cat "${folder}/outputs.json" ;;
      "config --json --stack local"*) echo '{}' ;;
      "config --json --stack context"*) echo '{"docker:context":{"value":"mx","secret":false}}' ;;
      "config --json"*) echo '{"docker:host":{"value":"ssh://root@mx.example.com","secret":false}}' ;;
      *) exit 9 ;;
    esac`,
  );
  program(
    "docker",
    `
    case "$*" in
      "context inspect"*" mx") echo "unix://${folder}/docker.sock"; exit ;;
    esac
    printf 'docker at %s: %s\\n' "$DOCKER_HOST" "$*" >>"${calls}"
    echo a line of the log`,
  );
  writeFileSync(join(folder, "outputs.json"), JSON.stringify(outputs));
});
after(() => rmSync(folder, { recursive: true }));

function program(name: string, script: string): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "bin", name), 0o755);
}

/** Refuses to load anything of Pulumi. */
const withoutPulumi = `data:text/javascript,${encodeURIComponent(
  `import { registerHooks } from "node:module";
   registerHooks({ resolve: (name, context, next) => {
     if (name.startsWith("@pulumi/")) throw new Error("loads " + name);
     return next(name, context);
   } });`,
)}`;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vectis(...args: readonly string[]): Promise<Outcome> {
  const options = ["--disable-warning=ExperimentalWarning", "--import", withoutPulumi];
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}`, VECTIS_CA: "" };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...options, "cli/main.ts", ...args], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

describe("vectis", () => {
  it("explains every command without loading Pulumi", async () => {
    const { code, stdout } = await vectis("--help");
    assert.equal(code, 0);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+)(?: \[| {2})/gm)].flatMap(([, name = ""]) =>
      name === "help" ? [] : [name],
    );
    assert.ok(commands.includes("verify") && commands.includes("up"), stdout);
    const helps = await Promise.all(commands.map((command) => vectis(command, "--help")));
    for (const [index, help] of helps.entries()) {
      assert.equal(help.code, 0, help.stderr);
      assert.match(help.stdout, new RegExp(`^Usage: vectis ${commands[index]}`));
    }
  });

  const wrong: readonly { readonly what: string; readonly args: readonly string[]; readonly says: RegExp }[] = [
    { what: "an unknown command", args: ["verfy"], says: /unknown command 'verfy'/ },
    { what: "an unknown option", args: ["verify", "--fast"], says: /unknown option '--fast'/ },
    {
      what: "a service that is none",
      args: ["logs", "nginx"],
      says: /Allowed choices are acme, traefik, postfix, dovecot/,
    },
    { what: "seconds that are none", args: ["verify", "--wait", "soon"], says: /It takes seconds, for example 120/ },
    {
      what: "a stack that does not exist",
      args: ["verify", "-s", "missing"],
      says: /there is no stack missing in .*stack init missing/,
    },
    {
      what: "a file that does not exist",
      args: ["config", "import", "no.yaml"],
      says: /no\.yaml cannot be read: ENOENT/,
    },
    {
      what: "roots that are none",
      args: ["verify", "-s", "local", "--ca", "package.json"],
      says: /package\.json, which holds no PEM certificate/,
    },
  ];
  for (const { what, args, says } of wrong) {
    it(`ends with 2 and a sentence for ${what}`, async () => {
      const { code, stdout, stderr } = await vectis(...args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /\n {4}at /, "no stack trace");
    });
  }

  for (const stack of ["local", "context"]) {
    it(`verify ends with 1 where nothing is as expected, and says so as JSON too, without loading Pulumi: ${stack}`, async () => {
      const { code, stdout } = await vectis("verify", "--json", "--stack", stack);
      assert.equal(code, 1);
      const { hostname, asExpected, rows } = JSON.parse(stdout) as {
        hostname: string;
        asExpected: boolean;
        rows: unknown[];
      };
      assert.deepEqual([hostname, asExpected, rows.length], ["mail.example.com", false, 7]);
    });
  }

  it("verify says in one line that it cannot look at the loopback of another machine", async () => {
    const { code, stdout, stderr } = await vectis("verify");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^error: the ports are published on 127\.0\.0\.1 of ssh:\/\/root@mx\.example\.com, .*\n$/);
  });

  it("dns show prints the stack's records as a table, as lines of a zone file and as JSON", async () => {
    assert.match((await vectis("dns", "show")).stdout, /^example\.com +300 {2}MX +10 mail\.example\.com\.$/m);
    assert.equal((await vectis("dns", "show", "--zone")).stdout, outputs.dnsZone);
    assert.deepEqual(JSON.parse((await vectis("dns", "show", "--json")).stdout), outputs.dnsRecords);
  });

  it("logs shows the log of the stack's container, from the stack's Docker host", async () => {
    const { code, stdout } = await vectis("logs", "acme", "-f", "--tail", "5");
    assert.deepEqual([code, stdout], [0, "a line of the log\n"]);
    assert.equal(readFileSync(calls, "utf8"), "docker at ssh://root@mx.example.com: logs --follow --tail 5 mx-acme\n");
  });
});
