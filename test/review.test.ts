// Review before change: what a preview shows, that nothing changes without a reason, that nonsense is refused (S21, B1).
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inspect } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { roles, type Role, type Site } from "./support/site.ts";

let site: Site;

async function identities(): Promise<Record<string, string>> {
  const details = await Promise.all(
    roles.map(async (role) => {
      const { Id, State } = await inspect(site.containers[role]);
      return [role, `${Id} ${State.StartedAt}`] as const;
    }),
  );
  return Object.fromEntries(details);
}

describe("review", () => {
  before(async () => {
    site = await sharedSite();
  });

  describe("an unchanged configuration", () => {
    it("changes nothing and recreates nothing at the next up (S21)", async () => {
      const [before, serials] = [await identities(), await site.serials()];
      await site.up("--expect-no-changes");
      assert.deepEqual(await identities(), before);
      assert.deepEqual(await site.serials(), serials);
    });

    it("previews nothing after a refresh (B1)", async () => {
      const before = await identities();
      await site.stack.pulumi("preview", "--refresh", "--expect-no-changes");
      assert.deepEqual(await identities(), before);
    });
  });

  describe("a changed value", () => {
    const value = <T>(key: string): T => site.stack.config[key] as T;
    interface Mailbox {
      readonly address: string;
      readonly passwordHash: string;
    }
    const cases: readonly {
      readonly what: string;
      readonly change: () => Readonly<Record<string, unknown>>;
      readonly containers: readonly Role[];
    }[] = [
      {
        what: "a mailbox's password",
        change: () => {
          const [first, ...rest] = value<readonly Mailbox[]>("vectis:mailboxes");
          return { "vectis:mailboxes": [{ ...first, passwordHash: "{SHA512-CRYPT}$6$salt$changed" }, ...rest] };
        },
        containers: ["dovecot"],
      },
      {
        what: "another mailbox",
        change: () => {
          const all = value<readonly Mailbox[]>("vectis:mailboxes");
          return { "vectis:mailboxes": [...all, { ...all[0], address: "carol@vectis.test" }] };
        },
        containers: ["dovecot", "postfix"],
      },
      {
        what: "the ACME account's address",
        change: () => ({ "vectis:tls": { ...value<object>("vectis:tls"), email: "hostmaster@vectis.test" } }),
        containers: ["acme", "traefik"],
      },
      {
        what: "the health token",
        change: () => ({ "vectis:healthToken": "another-health-token" }),
        containers: ["acme"],
      },
      {
        what: "the port offset",
        change: () => ({ "vectis:publish": { ...value<object>("vectis:publish"), portOffset: 50_000 } }),
        containers: ["dovecot", "postfix", "traefik"],
      },
    ];
    for (const { what, change, containers } of cases) {
      it(`previews exactly the containers that it touches: ${what} (S21)`, async () => {
        const before = await identities();
        const steps = await site.stack.changes(...site.stack.withConfig(change()));
        const touched = steps.filter(({ type }) => type === "docker:index/container:Container").map(({ name }) => name);
        assert.deepEqual([...new Set(touched)].sort(), containers.map((role) => site.containers[role]).sort());
        const other = steps.filter(
          ({ type }) => type.startsWith("docker:") && !type.startsWith("docker:index/container:"),
        );
        assert.deepEqual(other, [], "no network, volume or image changes");
        assert.deepEqual(await identities(), before, "a preview touches nothing");
      });
    }
  });

  describe("a wrong value", () => {
    it("is refused with all others in one message, before anything changes (S21, B8)", async () => {
      const before = await identities();
      const wrong = site.stack.withConfig({
        "vectis:hostname": "not a host",
        "vectis:publish": { address: "localhost", portOffset: 99_999 },
        "vectis:tls": { provider: "letsencrypt", challenge: "http-02" },
        "vectis:hostnam": "mail.vectis.test",
      });
      for (const command of [["preview"], ["up", "--yes", "--skip-preview"]]) {
        const { code, stdout, stderr } = await site.stack.run(...command, ...wrong);
        assert.notEqual(code, 0);
        const said = stdout + stderr;
        for (const key of ["hostname", "publish.address", "publish.portOffset", "tls.challenge"]) {
          assert.match(said, new RegExp(`vectis:${key.replace(".", "\\.")} `), `${key} is named`);
        }
        assert.match(said, /for example/);
        assert.doesNotMatch(said, /at .*\.ts:\d+/, "no stack trace");
      }
      assert.deepEqual(await identities(), before);
    });
  });
});
