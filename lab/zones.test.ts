import assert from "node:assert/strict";
import { test } from "node:test";
import { labAddresses } from "./addresses.ts";
import { labZones, renderKnotConf, renderUnboundConf } from "./zones.ts";

test("the zones name the server and both sinks; those of the Cloudflare API are empty else", () => {
  const zones = labZones(labAddresses("10.213.0.0/24"));
  assert.deepEqual(zones, {
    "vectis.test": [
      "$ORIGIN vectis.test.",
      "$TTL 5",
      "@ SOA ns hostmaster 1 3600 600 604800 5",
      "@ NS ns",
      "ns A 10.213.0.53",
      "",
    ].join("\n"),
    "vectis-two.test": [
      "$ORIGIN vectis-two.test.",
      "$TTL 5",
      "@ SOA ns hostmaster 1 3600 600 604800 5",
      "@ NS ns",
      "ns A 10.213.0.53",
      "",
    ].join("\n"),
    "sink.test": [
      "$ORIGIN sink.test.",
      "$TTL 5",
      "@ SOA ns hostmaster 1 3600 600 604800 5",
      "@ NS ns",
      "ns A 10.213.0.53",
      "tls A 10.213.0.61",
      "tls MX 10 tls",
      "plain A 10.213.0.62",
      "plain MX 10 plain",
      "",
    ].join("\n"),
  });
});

test("knot.conf lists every zone", () => {
  assert.match(renderKnotConf(["a.test", "b.test"]), /^zone:\n {2}- domain: a\.test\n {2}- domain: b\.test\n$/m);
});

test("the resolver knows every zone and refuses the rest", () => {
  const conf = renderUnboundConf(["a.test", "b.test"], "10.213.0.53");
  assert.match(conf, /^ {4}local-zone: \. refuse\n {4}local-zone: a\.test\. transparent\n/m);
  assert.match(conf, /stub-zone:\n {4}name: b\.test\.\n {4}stub-addr: 10\.213\.0\.53\n$/);
});

test("a subnet that is no /24 is refused with an example", () => {
  assert.throws(() => labAddresses("10.213.0.0/16"), /10\.213\.0\.0\/24/);
});
