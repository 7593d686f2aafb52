import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nameFindings } from "./names.ts";

describe("nameFindings", () => {
  const cases: readonly {
    readonly title: string;
    readonly names: readonly string[];
    readonly challenge?: "http-01";
    readonly expected: readonly string[];
  }[] = [
    { title: "no further name", names: [], expected: [] },
    { title: "a wildcard and a name below it", names: ["*.example.com", "a.b.example.com"], expected: [] },
    { title: "a wildcard and the domain itself", names: ["*.example.com", "example.com"], expected: [] },
    {
      title: "a wildcard and a name that it covers",
      names: ["imap.example.com", "*.example.com"],
      expected: [
        "vectis:tls.names has imap.example.com, which *.example.com covers: a CA refuses both in one order; remove " +
          "imap.example.com",
      ],
    },
    {
      title: "a name twice",
      names: ["imap.example.com", "imap.example.com"],
      expected: ["vectis:tls.names has imap.example.com twice; remove one of them"],
    },
    {
      title: "a wildcard by HTTP-01",
      names: ["*.example.com"],
      challenge: "http-01",
      expected: [
        "vectis:tls.names has the wildcard *.example.com, which http-01 cannot prove; set vectis:tls.challenge to dns-01, " +
          "or list the names one by one",
      ],
    },
  ];
  for (const { title, names, challenge = "dns-01", expected } of cases) {
    it(`${expected.length === 0 ? "accepts" : "refuses"} ${title}`, () => {
      const found = nameFindings(names, challenge);
      assert.ok(found.every(({ severity }) => severity === "error"));
      assert.deepEqual(
        found.map(({ key, problem }) => `${key} ${problem}`),
        expected,
      );
    });
  }
});
