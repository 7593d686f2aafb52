import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError } from "../config.ts";
import { error, messages, note, warning } from "./finding.ts";

describe("messages", () => {
  it("are none without findings", () => {
    assert.deepEqual(messages([]), []);
  });

  it("are one for all warnings, each once, and one for each note", () => {
    const twice = warning("vectis:domains", "has no MX record");
    assert.deepEqual(
      messages([twice, note("docker:host", "is remote"), warning("vectis:resolvers", "is silent"), twice]),
      [
        { level: "info", text: "docker:host is remote" },
        {
          level: "warn",
          text: "the checks before the update found:\n  - vectis:domains has no MX record\n  - vectis:resolvers is silent",
        },
      ],
    );
  });

  it("are one error with everything as soon as there is one", () => {
    const found = [
      warning("vectis:domains", "has no MX"),
      error("vectis:tls.keyPath", "is wrong"),
      note("docker:host", "x"),
    ];
    assert.throws(
      () => messages(found),
      (thrown: Error) =>
        thrown instanceof ConfigError &&
        thrown.message ===
          "the checks before the update found 2 problems:\n  - vectis:tls.keyPath is wrong\n  - (warning) vectis:domains has no MX",
    );
  });
});
