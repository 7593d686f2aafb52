import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortFacts } from "../facts/docker.ts";
import { portFindings } from "./ports.ts";

const smtp = { name: "smtp", ip: "0.0.0.0", port: 25 };
const holder = (owner: string | undefined, ip: string, port = 25) => ({
  name: "other",
  owner,
  pulumiStack: undefined,
  ports: [{ ip, port }],
});

describe("portFindings", () => {
  const cases: readonly {
    readonly title: string;
    readonly wanted?: typeof smtp;
    readonly facts: Partial<PortFacts>;
    readonly expected: readonly string[];
  }[] = [
    { title: "nothing in use", facts: {}, expected: [] },
    {
      title: "another container on the port",
      facts: { containers: [holder(undefined, "0.0.0.0")], listeners: [{ ip: "0.0.0.0", port: 25 }] },
      expected: [
        "vectis:publish.portOffset 0 puts smtp on 0.0.0.0:25, which the container other holds; stop it, or choose " +
          "another offset or vectis:publish.address",
      ],
    },
    {
      title: "another stack's container",
      facts: { containers: [holder("mx2", "127.0.0.1")] },
      expected: [
        "vectis:publish.portOffset 0 puts smtp on 0.0.0.0:25, which the container other of the stack with vectis:name mx2 " +
          "holds; stop it, or choose another offset or vectis:publish.address",
      ],
    },
    {
      title: "the stack's own container, behind Docker's proxy",
      facts: { containers: [holder("mx1", "0.0.0.0")], listeners: [{ ip: "0.0.0.0", port: 25 }] },
      expected: [],
    },
    {
      title: "a process on every address",
      facts: { listeners: [{ ip: "::", port: 25 }] },
      expected: [
        "vectis:publish.portOffset 0 puts smtp on 0.0.0.0:25, but a process of this machine listens on [::]:25; stop it " +
          "(`ss -ltnp 'sport = :25'` names it), or choose another offset or vectis:publish.address",
      ],
    },
    {
      title: "a process on the loopback address, which the address of all includes",
      facts: { listeners: [{ ip: "127.0.0.1", port: 25 }] },
      expected: [
        "vectis:publish.portOffset 0 puts smtp on 0.0.0.0:25, but a process of this machine listens on 127.0.0.1:25; stop " +
          "it (`ss -ltnp 'sport = :25'` names it), or choose another offset or vectis:publish.address",
      ],
    },
    {
      title: "a process on another address",
      wanted: { ...smtp, ip: "192.0.2.25" },
      facts: { listeners: [{ ip: "127.0.0.1", port: 25 }] },
      expected: [],
    },
    {
      title: "a process on an IPv6 address",
      facts: { listeners: [{ ip: "::1", port: 25 }] },
      expected: [],
    },
    {
      title: "a process beside the stack's own container on another address",
      facts: { containers: [holder("mx1", "192.0.2.25")], listeners: [{ ip: "127.0.0.1", port: 25 }] },
      expected: [
        "vectis:publish.portOffset 0 puts smtp on 0.0.0.0:25, but a process of this machine listens on 127.0.0.1:25; stop " +
          "it (`ss -ltnp 'sport = :25'` names it), or choose another offset or vectis:publish.address",
      ],
    },
    { title: "another port", facts: { listeners: [{ ip: "0.0.0.0", port: 2525 }] }, expected: [] },
  ];
  for (const { title, wanted = smtp, facts, expected } of cases) {
    it(`${expected.length === 0 ? "accepts" : "refuses"} ${title}`, () => {
      const found = portFindings([wanted], { containers: [], listeners: [], ...facts }, "mx1", 0);
      assert.ok(found.every(({ severity }) => severity === "error"));
      assert.deepEqual(
        found.map(({ key, problem }) => `${key} ${problem}`),
        expected,
      );
    });
  }
});
