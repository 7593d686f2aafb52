import assert from "node:assert/strict";
import { test } from "node:test";
import { dovecotAuthConf, dovecotConf, passwdFileText } from "./dovecot.ts";
import { tlsPolicies } from "./tls-policy.ts";

const conf = dovecotConf({ hostname: "mail.example.com", policy: tlsPolicies.intermediate });

test("the version settings come first, as Dovecot 2.4 demands", () => {
  for (const text of [conf, dovecotAuthConf()]) {
    assert.match(text, /^dovecot_config_version = \S+\ndovecot_storage_version = \S+\n/);
  }
});

test("S13: 993 and 995 with implicit TLS, 143 and 110 switched off", () => {
  for (const [protocol, port] of [
    ["imap", 993],
    ["pop3", 995],
  ] as const) {
    assert.match(conf, new RegExp(`inet_listener ${protocol} \\{\\s+port = 0\\s`));
    assert.match(conf, new RegExp(`inet_listener ${protocol}s \\{\\s+port = ${port}\\s+ssl = yes\\s`));
  }
  assert.match(conf, /^ssl = required$/m);
});

test("B3: a reload hangs up on nobody and meets no login process in the making", () => {
  assert.match(conf, /^shutdown_clients = no$/m);
  assert.equal(conf.match(/restart_request_count = unlimited/g)?.length, 2);
});

test("Postfix authenticates and delivers at an instance that has no certificate, and so is never reloaded", () => {
  const auth = dovecotAuthConf();
  assert.match(auth, /^protocols = lmtp$/m);
  assert.match(auth, /^service lmtp \{\s+inet_listener lmtp \{\s+port = 24\s/m);
  assert.doesNotMatch(conf, /lmtp/);
  assert.match(auth, /^ssl = no$/m);
  assert.doesNotMatch(auth, /ssl_server/);
  assert.doesNotMatch(conf, /sasl/);
});

test("a line of the passwd-file has uid and gid, and the order of the mailboxes does not matter", () => {
  const boxes = [
    { address: "b@example.com", passwordHash: "{SHA512-CRYPT}$6$b" },
    { address: "a@example.com", passwordHash: "{SHA512-CRYPT}$6$a" },
  ];
  assert.equal(passwdFileText(boxes), passwdFileText([...boxes].reverse()));
  assert.match(passwdFileText(boxes), /^a@example\.com:\{SHA512-CRYPT\}\$6\$a:5000:5000::::$/m);
});

test("B12: names the second certificate only where there is to be one", () => {
  assert.doesNotMatch(conf, /ssl_server_alt/);
  const both = dovecotConf({ hostname: "mail.example.com", policy: tlsPolicies.intermediate, alsoRsa: true });
  assert.match(both, /^ssl_server_alt_cert_file = \/run\/vectis\/certs\/fullchain-rsa\.pem$/m);
  assert.match(both, /^ssl_server_alt_key_file = \/run\/vectis\/certs\/privkey-rsa\.pem$/m);
  assert.equal(both.replace(/^ssl_server_alt_.*\n/gm, ""), conf);
});
