// The mail path over TLS: who may submit where, and that what is sent arrives.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, it } from "node:test";
import type { Target } from "../cli/verdict.ts";
import { ImapSession, Pop3Session, SmtpSession, type Trust } from "./support/clients.ts";
import { docker } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { alice, bob, type Site, type Sink } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;
let target: Target;
let trust: Trust;
const newSubject = (): string => `test-${randomBytes(6).toString("hex")}`;

describe("the mail path", () => {
  before(async () => {
    site = await sharedSite();
    target = await site.target();
    trust = { hostname: target.hostname, ca: target.ca ?? "" };
  });

  describe("port 25", () => {
    it("offers AUTH never in clear, and takes mail for a mailbox here with or without TLS (S10)", async () => {
      const plain = await SmtpSession.plain(target.endpoints.smtp);
      assert.doesNotMatch(await plain.ehlo(), /^250[- ]AUTH/m);
      assert.match(await plain.send({ from: "someone@elsewhere.test", to: bob.user, subject: newSubject() }), /^250/);
      await plain.quit();
      const secure = await SmtpSession.startTls(target.endpoints.smtp, trust);
      await secure.ehlo();
      assert.match(await secure.send({ from: "someone@elsewhere.test", to: bob.user, subject: newSubject() }), /^250/);
      await secure.quit();
    });

    it("relays nothing for strangers", async () => {
      const session = await SmtpSession.startTls(target.endpoints.smtp, trust);
      await session.ehlo();
      await session.expect("250", "MAIL FROM:<someone@elsewhere.test>");
      assert.match(await session.command("RCPT TO:<victim@elsewhere.test>"), /^[45]54/);
      await session.quit();
    });
  });

  describe("submission", () => {
    it("on 587 takes nothing before STARTTLS (S11)", async () => {
      const session = await SmtpSession.plain(target.endpoints.submission);
      assert.doesNotMatch(await session.ehlo(), /^250[- ]AUTH/m);
      assert.match(await session.command("MAIL FROM:<alice@vectis.test>"), /^530/);
      assert.match(await session.command("AUTH PLAIN AGEAYg=="), /^5/);
      await session.quit();
    });

    it("on 587 and 465 takes nothing without a login, and refuses a wrong password (S11)", async () => {
      for (const open of [openSubmission, openSubmissions]) {
        const session = await open();
        assert.match(await session.ehlo(), /^250[- ]AUTH .*PLAIN/m);
        await session.expect("250", "MAIL FROM:<alice@vectis.test>");
        assert.match(await session.command("RCPT TO:<someone@elsewhere.test>"), /^[45]5/);
        await session.command("RSET");
        await assert.rejects(session.login({ ...alice, password: "wrong" }), /535/);
        await session.quit();
      }
    });

    const ways = [
      { port: 587, open: openSubmission },
      { port: 465, open: openSubmissions },
    ];
    for (const { port, open } of ways) {
      it(`on ${port} delivers, and the message is read over 993 and 995 (S11, S13)`, async () => {
        const subject = newSubject();
        const session = await open();
        await session.login(alice);
        await session.send({ from: alice.user, to: bob.user, subject });
        await session.quit();

        const imap = await ImapSession.open(target.endpoints.imaps, trust, bob);
        const message = await until(`${subject} over IMAP`, async () => {
          await imap.command("NOOP");
          return imap.messageWith(subject);
        });
        assert.match(message, new RegExp(`This is ${subject}\\.`));
        await imap.logout();

        const pop3 = await Pop3Session.open(target.endpoints.pop3s, trust, bob);
        assert.ok((await pop3.messages()).some((text) => text.includes(`This is ${subject}.`)));
        await pop3.quit();
      });
    }
  });

  describe("outbound", () => {
    const peers: readonly { readonly name: string; readonly sink: (site: Site) => Sink; readonly tls: RegExp }[] = [
      {
        name: "a peer with STARTTLS gets its mail over TLS 1.2 or newer",
        sink: ({ lab }) => lab.sinks.tls,
        tls: /TLSv1\.[23]/,
      },
      { name: "a peer without TLS gets its mail all the same", sink: ({ lab }) => lab.sinks.plain, tls: /none/ },
    ];
    for (const { name, sink, tls } of peers) {
      it(`${name} (S12)`, async () => {
        const { container, domain } = sink(site);
        const subject = newSubject();
        const session = await openSubmission();
        await session.login(alice);
        await session.send({ from: alice.user, to: `someone@${domain}`, subject });
        await session.quit();
        const kept = await until(`${subject} at ${domain}`, async () => {
          const file = (await docker("logs", container)).split("\n").at(-1)?.split(" ")[1] ?? "";
          const message = await docker("exec", container, "sink", "cat", file);
          return message.includes(subject) && message;
        });
        assert.match(/^X-Sink-TLS: (.*)$/m.exec(kept)?.[1] ?? "", tls);
      });
    }
  });
});

function openSubmission(): Promise<SmtpSession> {
  return SmtpSession.startTls(target.endpoints.submission, trust);
}

function openSubmissions(): Promise<SmtpSession> {
  return SmtpSession.implicit(target.endpoints.submissions, trust);
}
