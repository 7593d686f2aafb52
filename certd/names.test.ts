import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { orderNames } from "./names.ts";

describe("orderNames", () => {
  it("leaves out what a wildcard of the same order covers, and nothing else", () => {
    assert.deepEqual(orderNames(["mail.vectis.test"]), ["mail.vectis.test"]);
    assert.deepEqual(orderNames(["mail.vectis.test", "*.vectis.test", "imap.vectis.test"]), ["*.vectis.test"]);
    // A wildcard stands for exactly one label, and not for its own parent.
    const kept = ["vectis.test", "*.vectis.test", "a.b.vectis.test", "*.b.vectis.test"];
    assert.deepEqual(orderNames(kept), ["vectis.test", "*.vectis.test", "*.b.vectis.test"]);
  });
});
