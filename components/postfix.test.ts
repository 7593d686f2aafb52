import assert from "node:assert/strict";
import { test } from "node:test";
import { mailboxTable, mainCf, masterCf } from "./postfix.ts";
import { tlsPolicies } from "./tls-policy.ts";

const config = {
  hostname: "mail.example.com",
  domains: ["example.com", "example.org"],
  mailboxes: ["b@example.com", "a@example.com"],
  lmtp: "dovecot:24",
  policy: tlsPolicies.intermediate,
};

/** The lines of one service of master.cf: its own and its options. */
function service(name: string): string {
  const lines = masterCf().split("\n");
  const start = lines.findIndex((line) => line.startsWith(`${name} `));
  assert.notEqual(start, -1);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith(" "));
  return lines.slice(start, end).join("\n");
}

test("the same configuration gives the same text, each parameter once", () => {
  assert.equal(mainCf(config), mainCf({ ...config }));
  const keys = mainCf(config)
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" =")[0]);
  assert.equal(new Set(keys).size, keys.length);
});

test("S10: port 25 takes mail in clear, AUTH only over TLS, and relays for nobody", () => {
  const text = mainCf(config);
  assert.match(text, /^smtpd_tls_security_level = may$/m);
  assert.match(text, /^smtpd_tls_auth_only = yes$/m);
  assert.match(text, /^smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination$/m);
  assert.match(text, /^mynetworks = 127\.0\.0\.0\/8$/m);
  assert.doesNotMatch(service("smtp"), /-o/);
});

test("S11: submission demands TLS and a login, 465 from the first byte", () => {
  for (const name of ["submission", "submissions"]) {
    assert.match(service(name), /-o smtpd_tls_security_level=encrypt/);
    assert.match(service(name), /-o smtpd_relay_restrictions=permit_sasl_authenticated,reject/);
  }
  assert.match(service("submissions"), /-o smtpd_tls_wrappermode=yes/);
  assert.doesNotMatch(service("submission"), /wrappermode/);
});

test("only three services listen on the network, and none is chrooted", () => {
  const services = masterCf()
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith(" "))
    .map((line) => line.split(" "));
  assert.deepEqual(
    services.filter(([, type]) => type === "inet").map(([name]) => name),
    ["smtp", "submissions", "submission"],
  );
  assert.ok(services.every((fields) => fields[4] === "n"));
});

test("the mailbox table does not depend on the order of the mailboxes", () => {
  assert.equal(mailboxTable(config.mailboxes), mailboxTable([...config.mailboxes].reverse()));
  assert.match(mailboxTable(config.mailboxes), /^a@example\.com a@example\.com$/m);
});

test("postlogd outlives a master that is stopped: its watchdog waits for a day", () => {
  assert.match(mainCf(config), /^postlogd_watchdog_timeout = 1d$/m);
});
