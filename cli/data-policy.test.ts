import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { agreed, announcement, recordedPolicy } from "./data-policy.ts";
import { UserError } from "./errors.ts";

const resource = (name: string, type: string, retainOnDelete?: boolean) => ({
  urn: `urn:pulumi:prod::vectis::vectis:tls:MailCerts$${type}::${name}`,
  type,
  ...(retainOnDelete === undefined ? {} : { retainOnDelete }),
});
const volume = (name: string, retained?: boolean) => resource(name, "docker:index/volume:Volume", retained);
const state = (...resources: readonly ReturnType<typeof resource>[]) => ({ deployment: { resources } });

describe("what destroy does with data", () => {
  const container = resource("dovecot", "docker:index/container:Container");
  const [socket, routes] = [volume("dovecot-sasl"), volume("acme-traefik-dynamic")];

  it("is what is recorded of the volumes with data; the others go in any case", () => {
    assert.equal(recordedPolicy(state(container, volume("dovecot-mailboxes", true), socket, routes)), "keep");
    assert.equal(recordedPolicy(state(container, volume("dovecot-mailboxes"), volume("acme-certs", false))), "delete");
  });

  it("is both after an update that was interrupted while it changed that", () => {
    assert.equal(recordedPolicy(state(volume("dovecot-mailboxes"), volume("acme-certs", true))), "both");
  });

  it("is nothing where no volume with data is recorded", () => {
    assert.equal(recordedPolicy({ deployment: {} }), undefined);
    assert.equal(recordedPolicy(state(container, socket, routes)), undefined);
  });
});

describe("destroy", () => {
  it("goes on where the configuration says what the last update has set, or nothing was made", () => {
    assert.equal(agreed("keep", "keep"), "keep");
    assert.equal(agreed("delete", "delete"), "delete");
    assert.equal(agreed(undefined, "delete"), undefined);
  });

  const refused = [
    {
      recorded: "delete",
      configured: "keep",
      says:
        "vectis:data is keep, but the last update has set delete, and destroy goes by that: the volumes with data would " +
        "be deleted. Run `vectis up` first, or set vectis:data back to delete",
    },
    {
      recorded: "keep",
      configured: "delete",
      says:
        "vectis:data is delete, but the last update has set keep, and destroy goes by that: the volumes with data would " +
        "stay. Run `vectis up` first, or set vectis:data back to keep",
    },
    {
      recorded: "both",
      configured: "keep",
      says:
        "vectis:data is keep, but an update that changed it did not come to its end: some volumes with data would be " +
        "deleted, others stay. Run `vectis up` first",
    },
  ] as const;
  for (const { recorded, configured, says } of refused) {
    it(`is refused where the configuration says ${configured} and ${recorded} is recorded`, () => {
      assert.throws(() => agreed(recorded, configured), new UserError(says));
    });
  }

  it("tells whoever confirms it what becomes of the data", () => {
    assert.match(announcement("prod", "keep"), /of prod; its volumes with mail, .* stay\.$/);
    assert.match(announcement("prod", "delete"), /of prod, and its volumes with all mail, /);
    assert.doesNotMatch(announcement("prod", undefined), /volumes/);
  });
});
