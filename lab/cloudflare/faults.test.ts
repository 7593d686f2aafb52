import assert from "node:assert/strict";
import { test } from "node:test";
import { Faults, readFault, refusalOf } from "./faults.ts";

test("a fault lasts for its count of matching requests", () => {
  const faults = new Faults();
  faults.set(readFault({ status: 429, retryAfter: 5, count: 2, method: "POST", path: "^/zones/[^/]+/dns_records$" }));
  assert.equal(faults.take("GET", "/zones/1/dns_records"), undefined);
  assert.equal(faults.take("POST", "/user/tokens"), undefined);
  for (let time = 0; time < 2; time++) {
    const fault = faults.take("POST", "/zones/1/dns_records");
    const refusal = fault && refusalOf(fault);
    assert.deepEqual([refusal?.status, refusal?.code, refusal?.retryAfter], [429, 971, "5"]);
  }
  assert.equal(faults.take("POST", "/zones/1/dns_records"), undefined);
  assert.equal(faults.current, undefined);
});

test("a fault without count lasts until it is taken away", () => {
  const faults = new Faults();
  faults.set(readFault({ down: true }));
  for (let time = 0; time < 100; time++) assert.equal(faults.take("GET", "/zones")?.down, true);
  faults.set(undefined);
  assert.equal(faults.take("GET", "/zones"), undefined);
});

test("a fault that makes no sense is refused by name", () => {
  assert.throws(() => readFault({ staus: 429 }), /'staus'/);
  assert.throws(() => readFault({ status: "429" }), /status must be a number/);
  assert.throws(() => readFault({ status: 200 }), /400 to 599/);
  assert.throws(() => readFault([]), /"status": 429/);
});
