import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isThisMachine } from "./docker-host.ts";
import { UserError } from "./errors.ts";
import { parseOutputs } from "./stack.ts";

const keys = ["smtp", "http", "https", "submissions", "submission", "imaps", "pop3s"];
const remote = "ssh://root@mx1.example.net";

/** Where port 25 is looked for, of a stack that publishes its ports on `address`. */
function reached(address: string, docker: string | undefined, dnsRecords: unknown = []) {
  const outputs = {
    hostname: "mail.example.com",
    certificateNames: ["mail.example.com"],
    endpoints: Object.fromEntries(keys.map((key) => [key, `${address}:25`])),
    containers: { traefik: "traefik", postfix: "postfix", dovecot: "dovecot", acme: "acme" },
    dnsRecords,
  };
  return parseOutputs(outputs, docker).endpoints.smtp;
}

describe("the ports of a stack on this machine", () => {
  const cases = [
    { published: "127.0.0.1", host: "127.0.0.1" },
    { published: "0.0.0.0", host: "127.0.0.1" },
    { published: "[::]", host: "::1" },
    { published: "192.0.2.25", host: "192.0.2.25" },
  ];
  for (const { published, host } of cases) {
    it(`are looked for at ${host} if published on ${published}`, () => {
      assert.deepEqual(reached(published, undefined), { host, port: 25 });
    });
  }
});

describe("the ports of a stack on a remote Docker host", () => {
  const records = [
    { name: "example.com", type: "A", value: "192.0.2.80" },
    { name: "mail.example.com", type: "AAAA", value: "2001:db8::25" },
    { name: "mail.example.com", type: "A", value: "192.0.2.25" },
  ];
  const cases = [
    { published: "0.0.0.0", host: "192.0.2.25", title: "the mail host's address" },
    { published: "[::]", host: "2001:db8::25", title: "the mail host's address of that family" },
    { published: "198.51.100.7", host: "198.51.100.7", title: "that address" },
  ];
  for (const { published, host, title } of cases) {
    it(`are looked for at ${title} if published on ${published}`, () => {
      assert.deepEqual(reached(published, remote, records), { host, port: 25 });
    });
  }

  it("are looked for at the mail host's name if the stack knows none of its addresses", () => {
    assert.equal(reached("0.0.0.0", remote).host, "mail.example.com");
  });

  for (const published of ["127.0.0.1", "[::1]"]) {
    it(`cannot be looked at if published on ${published}, which is said`, () => {
      assert.throws(
        () => reached(published, remote, records),
        (error) => error instanceof UserError && error.exitCode === 1 && error.message.includes(remote),
      );
    });
  }
});

describe("a Docker host", () => {
  it("is this machine where its address is a socket or the loopback", () => {
    for (const here of [
      "unix:///run/user/1000/docker.sock",
      "tcp://127.0.0.1:2375",
      "tcp://[::1]:2375",
      "ssh://localhost",
    ])
      assert.equal(isThisMachine(here), true, here);
    for (const there of [remote, "tcp://192.0.2.25:2376", "ssh://127.example.com", "the context mx1"])
      assert.equal(isThisMachine(there), false, there);
  });
});
