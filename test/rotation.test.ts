// Rotation of the mail certificate under load: nobody loses a connection, whatever is killed when (S5, S15, B2, B3).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import { mailServices, type Target } from "../cli/verdict.ts";
import { ImapSession, SmtpSession, type Trust } from "./support/clients.ts";
import { inspect, logs } from "./support/docker.ts";
import { HandshakeLoad } from "./support/load.ts";
import { sharedSite } from "./support/shared.ts";
import { alice, bob, roles, type Role, type Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;
let target: Target;
let trust: Trust;
let load: HandshakeLoad | undefined;

const ports = mailServices.map(({ port }) => port);

async function startTimes(): Promise<string[]> {
  return Promise.all(roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt));
}

describe("rotation", () => {
  before(async () => {
    site = await sharedSite();
    target = await site.target();
    trust = { hostname: target.hostname, ca: target.ca ?? "" };
  });
  after(() => load?.stop());

  describe("a renewal forced with the guide's command", () => {
    it("reaches all five mail ports within 2 s and costs no connection, no session, no restart (S5, S15, B3)", async () => {
      const { imaps, submission } = target.endpoints;
      const before = await startTimes();
      const old = await site.publishedSerial();
      const idling = await ImapSession.open(imaps, trust, bob);
      const idle = await idling.idle();
      const submitting = await SmtpSession.startTls(submission, trust);
      await submitting.login(alice);
      load = new HandshakeLoad(target, { pause: 20 });

      await site.forceRenewal();
      const serial = await until("a new certificate published", async () => {
        const published = await site.publishedSerial();
        return published !== old && published;
      });
      await until("all ports on it", async () => Promise.resolve(load?.portsServing(serial).length === ports.length));
      await settled(load, serial);
      await load.stop();

      assert.deepEqual(load.failures, []);
      for (const [port, milliseconds] of load.delays(serial, await site.publishedAt())) {
        assert.ok(milliseconds <= 2_000, `port ${port} served the old certificate for ${milliseconds} ms`);
      }
      assert.equal(idling.serial, old, "the session was opened before");
      const subject = `rotation-${serial}`;
      await submitting.send({ from: alice.user, to: bob.user, subject });
      await idle.newMessage();
      await idle.done();
      assert.ok(await idling.messageWith(subject));
      await Promise.all([idling.logout(), submitting.quit()]);
      assert.deepEqual(await startTimes(), before);
      assert.match(
        await logs(site.containers.acme),
        new RegExp(`is published: .*${serial}`, "i"),
        "the log tells of it (S16)",
      );
    });

    it("leaves a generation behind that is whole, and the ones before it for a rollback (B2)", async () => {
      const current = await site.generation();
      const kept = (await site.exec("acme", "ls", "/etc/ssl/mail/generations")).split("\n");
      assert.ok(kept.includes(current.replace("generations/", "")));
      assert.ok(kept.length >= 2 && kept.length <= 4, `kept: ${kept.join(", ")}`);
      for (const file of ["fullchain.pem", "privkey.pem", "keychain.pem"]) {
        assert.equal(await site.exec("acme", "readlink", `/etc/ssl/mail/${file}`), `current/${file}`);
      }
    });
  });

  describe("followers killed before a renewal", () => {
    it("are back for it, and every port serves the new certificate (B3, B4)", async () => {
      const old = await site.publishedSerial();
      for (const role of ["postfix", "dovecot"] as const)
        assert.ok(await killProcess(role, '"/bin/sh /usr/local/lib/vectis/follower"*'), role);
      await site.forceRenewal();
      const { rows } = await until("every port on a new certificate", async () => {
        const verdict = await site.verdict();
        return verdict.asExpected && verdict.rows.every(({ serial }) => serial !== old) && verdict;
      });
      const serial = await site.publishedSerial();
      for (const { port, serial: served } of rows.filter(({ port }) => ports.some((mail) => mail === port))) {
        assert.equal(served, serial, `port ${port}`);
      }
    });
  });

  describe("certd killed at random moments of a rotation", () => {
    const kills = Number(process.env["VECTIS_TEST_KILLS"] ?? 50);

    it(`${kills} times: no torn pair, no failed handshake, and it converges (B2, B3)`, async () => {
      const pairs = new PairWatch(site.containers.postfix);
      load = new HandshakeLoad(target, { pause: 50 });
      let killed = 0;
      for (let rotation = 1; killed < kills; rotation++) {
        const old = await site.publishedSerial();
        // The guide's command runs in the sidecar; certd is killed while it orders, and around the publication.
        let renewing = true;
        const renewal = site.forceRenewal().finally(() => (renewing = false));
        while (renewing && killed < kills) {
          await delay(Math.random() * 2_000);
          if (await killCertd()) killed += 1;
        }
        await renewal;
        for (let extra = 0; extra < 2 && killed < kills; extra++) {
          await delay(Math.random() * 500);
          if (await killCertd()) killed += 1;
        }
        const serial = await until(`rotation ${rotation} published`, async () => {
          const published = await site.publishedSerial();
          return published !== old && published;
        });
        await until(`rotation ${rotation} on every port`, async () =>
          Promise.resolve(load?.portsServing(serial).length === ports.length),
        );
      }
      await site.asExpected();
      await load.stop();
      const { seen, torn } = await pairs.stop();
      assert.deepEqual(torn, []);
      assert.ok(seen > 1, "the watch saw more than one pair");
      assert.deepEqual(load.failures, []);
      assert.equal(killed, kills);
    });
  });
});

/** kill -9 of the certd process, not of a renewal that a person started; false when it is not running at the moment. */
function killCertd(): Promise<boolean> {
  return killProcess("acme", '"node "*certd.mjs*');
}

/** kill -9 of every process but the first whose command line matches a shell pattern; false when there is none. */
async function killProcess(role: Role, pattern: string): Promise<boolean> {
  const script = `for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) continue;; esac
    case $(tr "\\0" " " <"$p/cmdline") in ${pattern}) kill -9 "${"${p#/proc/}"}" && echo killed;; esac; done`;
  return (await site.exec(role, "sh", "-c", `{ ${script}; } 2>/dev/null; true`)).includes("killed");
}

/** Waits until no port has shown an older certificate for a second. */
async function settled(running: HandshakeLoad, serial: string): Promise<void> {
  await until("no port showing an older certificate for a second", () => {
    const lastOld = Math.max(
      ...ports.flatMap((port) =>
        [...running.serialsOn(port)].filter(([other]) => other !== serial).map(([, { last }]) => last),
      ),
    );
    return Promise.resolve(Date.now() - lastOld > 1_000);
  });
}

/** Reads the published pair over and over from a follower's side, and keeps every one that does not fit together. */
class PairWatch {
  readonly #child;
  readonly #torn: string[] = [];
  readonly #seen = new Set<string>();
  #text = "";

  constructor(container: string) {
    const script =
      'cd /etc/ssl/mail; while :; do g=$(readlink current); cat "$g/privkey.pem" "$g/fullchain.pem"; echo "== $g"; cat current/keychain.pem; echo "== keychain"; sleep 0.05; done';
    this.#child = spawn("docker", ["exec", container, "sh", "-c", script], { stdio: ["ignore", "pipe", "pipe"] });
    const take = (chunk: string): void => {
      this.#text += chunk;
      for (let match = block.exec(this.#text); match !== null; match = block.exec(this.#text)) {
        this.#text = this.#text.slice(match.index + match[0].length);
        this.#judge(match[1] ?? "", match[2] ?? "");
      }
    };
    this.#child.stdout.setEncoding("utf8").on("data", take);
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.#torn.push(text));
  }

  #judge(pems: string, where: string): void {
    if (this.#seen.has(pems)) return;
    this.#seen.add(pems);
    try {
      const leaf = new X509Certificate(pems.slice(pems.indexOf("-----BEGIN CERTIFICATE-----")));
      const key = createPublicKey(createPrivateKey(pems)).export({ type: "spki", format: "der" });
      if (!leaf.publicKey.export({ type: "spki", format: "der" }).equals(key))
        this.#torn.push(`${where}: key and leaf differ`);
    } catch (error) {
      this.#torn.push(`${where}: ${String(error)}`);
    }
  }

  async stop(): Promise<{ seen: number; torn: readonly string[] }> {
    const closed = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill();
    await closed;
    return { seen: this.#seen.size, torn: this.#torn };
  }
}
const block = /([\s\S]*?)^== (.*)\n/m;
