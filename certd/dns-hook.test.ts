// The shell hook images/acme/dnsapi/dns_vectis.sh under a small dns_cf and a curl that only notes how it was called.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

const TOKEN = "a-token-for-curl-alone";
const ZONE = "3f2a7c1e9b8d4065a1c2d3e4f5061728";
const NAME = "_acme-challenge.mail.vectis.test";
const HOOK = join(import.meta.dirname, "../images/acme/dnsapi/dns_vectis.sh");

/** What matters of the real one: how it keeps settings, exports headers, calls curl and judges the answer. */
const dnsCf = `
CF_Api="https://api.cloudflare.com/client/v4"
dns_cf_add() { _savedomainconf CF_Token "$CF_Token"; _cf add "zones/$CF_Zone_ID/dns_records"; }
dns_cf_rm() { _cf rm "zones/$CF_Zone_ID/dns_records/1"; }
_cf() {
  export _H2="Authorization: Bearer $CF_Token"
  _CURL="curl --silent --dump-header $TOP/header -L --trace-ascii $TOP/trace --cacert /acme/ca.pem -g "
  response="$($_CURL --user-agent "a b" -X "$1" -H "Content-Type: application/json" -H "$_H2" -H "" "$CF_Api/$2")" || return 1
  echo "$response" | grep '"success":true' >/dev/null || { echo "invalid domain" >&2; return 1; }
}`;

let top = "";
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "certd-hook-"));
  for (const folder of ["bin", "work", "script/dnsapi", "replies"]) mkdirSync(join(top, folder), { recursive: true });
  writeFileSync(join(top, "token"), `${TOKEN}\n`);
  writeFileSync(join(top, "script/dnsapi/dns_cf.sh"), dnsCf);
  // The n-th call gets the n-th reply: status, Retry-After, body; without one, success. Status 000 is no connection.
  command(
    "curl",
    `
n=$(($(cat "$TOP/calls" 2>/dev/null || echo 0) + 1)); echo $n >"$TOP/calls"
{ printf '%s\\n' "call $n" "$@"; env; tr '\\0' '\\n' </proc/$PPID/environ; tr '\\0' '\\n' </proc/$PPID/cmdline; } >>"$TOP/seen"
printf '%s\\n' "$*" >>"$TOP/lines"
ls "$TOP/notes" >>"$TOP/notes-then" 2>/dev/null
status=200 after='' body='{"success":true,"errors":[]}'
[ ! -e "$TOP/replies/$n" ] || { read -r status after; read -r body; } <"$TOP/replies/$n"
echo "$status|\${after#-}|$([ "$status" != 000 ] || echo refused)" >"$DNS_WORK/answer"
printf '%s' "$body"
[ "$status" != 000 ]`,
  );
  command("node", 'printf "%s\\n" "$*" >>"$TOP/awaited"; exit "${AWAITED:-0}"');
  command("sleep", 'echo "$1" >>"$TOP/slept"');
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function command(name: string, body: string): void {
  writeFileSync(join(top, "bin", name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

function reply(n: number, status: string, after: string, error?: readonly [number, string]): void {
  const body = error ? `{"success":false,"errors":[{"code":${error[0]},"message":"${error[1]}"}]}` : "{}";
  writeFileSync(join(top, "replies", String(n)), `${status} ${after || "-"}\n${body}\n`);
}

const file = (name: string): string => (existsSync(join(top, name)) ? readFileSync(join(top, name), "utf8") : "");
const lines = (name: string): string[] => file(name).split("\n").filter(Boolean);

/** Calls the hook as acme.sh does: sourced in a subshell. */
function hook(call: string, env: Readonly<Record<string, string>> = {}): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const options = {
      env: {
        PATH: `${join(top, "bin")}:/usr/bin:/bin`,
        TOP: top,
        _SCRIPT_HOME: join(top, "script"),
        DNS_TOKEN: join(top, "token"),
        DNS_ZONES: `vectis.test=${ZONE} other.test=ffffffffffffffffffffffffffffffff`,
        DNS_ROOTS: "/roots.pem",
        DNS_NOTES: join(top, "notes"),
        DNS_WORK: join(top, "work"),
        DNS_CERTD: "certd.mjs",
        ...env,
      },
    };
    execFile("sh", ["-c", `umask 077; ( . "${HOOK}"; ${call} )`], options, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: stdout + stderr }),
    );
  });
}

describe("dns_vectis", () => {
  it("lets dns_cf add the record, then waits for the name servers", async () => {
    assert.deepEqual(await hook(`dns_vectis_add ${NAME} value`), { ok: true, output: "" });
    assert.match(lines("lines").join(), new RegExp(`-X add .*https://api\\.cloudflare\\.com/client/v4/zones/${ZONE}/`));
    assert.deepEqual(lines("awaited"), [`certd.mjs await-txt ${NAME} value`]);
  });

  it("shows the token to nobody but curl, which reads it from the file", async () => {
    await hook(`dns_vectis_add ${NAME} value; dns_vectis_rm ${NAME} value`);
    assert.match(file("lines"), /--variable token@\S+token --expand-header Authorization: Bearer \{\{token:trim\}\}/);
    assert.doesNotMatch(file("lines"), /--trace-ascii|--cacert \/acme|Bearer kept|X-Auth/);
    assert.match(file("lines"), /-H Content-Type: application\/json/);
    assert.doesNotMatch(file("seen"), new RegExp(TOKEN));
    for (const left of readdirSync(top, { recursive: true, encoding: "utf8" })) {
      if (left === "token" || statSync(join(top, left)).isDirectory()) continue;
      assert.doesNotMatch(file(left), new RegExp(TOKEN), left);
    }
  });

  it("leaves calls to anybody else alone", async () => {
    await hook("curl --silent -H 'Authorization: x' https://ca.test/dir");
    assert.deepEqual(lines("lines"), ["--silent -H Authorization: x https://ca.test/dir"]);
  });

  it("notes the record before it makes it, for itself alone, and keeps the note after the removal", async () => {
    await hook(`dns_vectis_add ${NAME} -value; dns_vectis_rm ${NAME} -value`);
    assert.deepEqual(lines("notes-then"), ["-value.txt", "-value.txt"]);
    assert.equal(file("notes/-value.txt"), `${ZONE} ${NAME} -value\n`);
    assert.equal(statSync(join(top, "notes/-value.txt")).mode & 0o777, 0o600);
  });

  it("sits out an API that is overloaded or not there, and removes what a lost answer may have left", async () => {
    reply(1, "429", "7");
    reply(2, "000", "");
    const { ok, output } = await hook(`dns_vectis_add ${NAME} value`);
    assert.equal(ok, true);
    assert.match(output, /^dns_vectis: Cloudflare answers 429; it is asked again in 8 s$/m);
    assert.match(output, /^dns_vectis: Cloudflare does not answer \(refused\); it is asked again in 4 s$/m);
    assert.deepEqual(lines("slept"), ["8", "4"]);
    const methods = lines("lines").map((line) => /-X (\w+)/.exec(line)?.[1]);
    assert.deepEqual(methods, ["add", "rm", "rm", "add"]);
  });

  it("does not wait longer than an order may take", async () => {
    reply(1, "429", "900", [10100, "slow down"]);
    const { ok, output } = await hook(`dns_vectis_add ${NAME} value`);
    assert.equal(ok, false);
    assert.match(
      output,
      /gave up: Cloudflare answers 429 \(10100: slow down\), and wants to be left alone for 900 s$/m,
    );
    assert.deepEqual(lines("slept"), []);
  });

  it("gives up at once where asking again is useless, with the API's own words", async () => {
    reply(1, "403", "", [9109, "Invalid access token"]);
    const { ok, output } = await hook(`dns_vectis_add ${NAME} value`);
    assert.equal(ok, false);
    assert.match(output, /^dns_vectis: gave up: Cloudflare answers 403 \(9109: Invalid access token\)$/m);
    assert.equal(lines("lines").length, 1);
  });

  it("removes the record itself when it never becomes visible: acme.sh would not", async () => {
    assert.equal((await hook(`dns_vectis_add ${NAME} value`, { AWAITED: "1" })).ok, false);
    assert.match(lines("lines").at(-1) ?? "", /-X rm /);
  });

  for (const [zones, name, zone] of [
    [`vectis.test=outer mail.vectis.test=inner`, NAME, "inner"],
    [`vectis.test=outer mail.vectis.test=inner`, "_acme-challenge.imap.vectis.test", "outer"],
    [`.=all`, NAME, "all"],
  ] as const) {
    it(`finds the zone of ${name} in ${zones}`, async () => {
      await hook(`dns_vectis_add ${name} value`, { DNS_ZONES: zones });
      assert.match(file("lines"), new RegExp(`/zones/${zone}/`));
    });
  }

  it("names what is missing: a zone, a token", async () => {
    const zone = await hook(`dns_vectis_add _acme-challenge.myvectis.test value`);
    assert.match(zone.output, /gave up: no zone is configured for _acme-challenge\.myvectis\.test/);
    writeFileSync(join(top, "token"), "");
    assert.match((await hook(`dns_vectis_add ${NAME} value`)).output, /gave up: there is no API token in/);
    assert.equal(existsSync(join(top, "lines")), false);
  });
});
