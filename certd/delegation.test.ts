import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { undelegated } from "./delegation.ts";
import type { Lookups } from "./name-servers.ts";

const NAME = "_acme-challenge.mail.vectis.test";
const TARGET = "_acme-challenge.mail.vectis.test.challenges.test";

type Says = readonly string[] | "silent";

/** @param servers what each name server of vectis.test says; @param resolver what the machine's own resolver says */
const dns = (servers: Readonly<Record<string, Says>>, resolver: Says = "silent"): Lookups => ({
  nameServers: (zone) => Promise.resolve(zone === "vectis.test" ? ["ns.vectis.test"] : []),
  addresses: () => Promise.resolve(Object.keys(servers)),
  txt: () => Promise.reject(new Error("not asked for here")),
  cname(_, address) {
    const says = address === undefined ? resolver : (servers[address] ?? "silent");
    return says === "silent" ? Promise.reject(new Error("queryCname ETIMEOUT")) : Promise.resolve(says);
  },
});

const cases: readonly [title: string, lookups: Lookups, found: string | undefined][] = [
  ["every name server leads there", dns({ "192.0.2.1": [TARGET], "192.0.2.2": [TARGET] }), undefined],
  ["one is silent", dns({ "192.0.2.1": "silent", "192.0.2.2": [TARGET] }), undefined],
  [
    "one does not have it yet",
    dns({ "192.0.2.1": [TARGET], "192.0.2.2": [] }),
    `${NAME} is no alias of ${TARGET} yet: at ns.vectis.test (192.0.2.2) it has no CNAME record`,
  ],
  [
    "it leads elsewhere",
    dns({ "192.0.2.1": ["x.test"] }),
    `${NAME} is no alias of ${TARGET} yet: at ns.vectis.test (192.0.2.1) it leads to x.test`,
  ],
  ["all are silent, and the resolver leads there", dns({ "192.0.2.1": "silent" }, [TARGET]), undefined],
  [
    "all are silent, and the resolver knows no alias",
    dns({ "192.0.2.1": "silent" }, []),
    `${NAME} is no alias of ${TARGET} yet: at the resolver it has no CNAME record`,
  ],
  ["nobody answers", dns({ "192.0.2.1": "silent" }), `${NAME} cannot be looked up: no name server answers`],
  ["no name server is found, and the resolver leads there", dns({}, [TARGET]), undefined],
];

describe("undelegated", () => {
  for (const [title, lookups, found] of cases) {
    it(title, async () => assert.equal(await undelegated([NAME], TARGET, lookups), found));
  }

  it("looks at every name", async () => {
    const lookups: Lookups = { ...dns({}), cname: (name) => Promise.resolve(name === NAME ? [TARGET] : []) };
    assert.match(
      (await undelegated([NAME, "_acme-challenge.vectis.test"], TARGET, lookups)) ?? "",
      /^_acme-challenge\.vectis/,
    );
  });
});
