import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { health, type HealthState } from "./health.ts";
import { metrics } from "./metrics.ts";
import type { Status } from "./status.ts";
import { at, certificate, good, NOW, port } from "./test-status.ts";

const DAY = 86_400_000;

describe("health", () => {
  it("reports both certificates, every port in order, and the next renewal with its reason", () => {
    const report = health(good, NOW);
    assert.equal(report.state, "ok");
    assert.equal(report.ok, true);
    assert.equal(report.hostname, "mail.example.com");
    const { mail, https } = report.certificates;
    assert.deepEqual([mail?.daysLeft, mail?.generation, mail?.source], [80, 7, "acme"]);
    assert.deepEqual([https?.daysLeft, https?.source], [70, "traefik"]);
    assert.deepEqual(
      report.ports.map((found) => [found.port, found.service, found.ok, found.serial, found.daysLeft]),
      [
        [25, "postfix", true, "0a", 80],
        [443, "traefik", true, "0b", 70],
        [993, "dovecot", true, "0a", 80],
      ],
    );
    assert.deepEqual(report.renewal, { at: at(50), basis: "lifetime", window: null, explanationUrl: null });
  });

  it("reports an RSA certificate beside the mail certificate, and that its renewal is overdue", () => {
    assert.equal(health(good, NOW).certificates.rsa, null);
    const withRsa = (to: number): Status => ({
      ...good,
      publishedRsa: { ...certificate("d", -10, to), keyType: "rsa-2048" },
    });
    const { rsa } = health(withRsa(80), NOW).certificates;
    assert.deepEqual([rsa?.daysLeft, rsa?.serial, rsa?.keyType], [80, "0d", "rsa-2048"]);
    assert.equal(health(withRsa(80), NOW).state, "ok");
    assert.equal(health(withRsa(55), NOW + 54 * DAY).state, "renewal-overdue");
    const line = `vectis_certificate_not_after_seconds{certificate="rsa"} ${(NOW + 80 * DAY) / 1000}\n`;
    assert.ok(metrics(health(withRsa(80), NOW)).includes(line));
  });

  it("calls the HTTPS certificate shared when it is the mail certificate", () => {
    const report = health({ ...good, https: port(443, "traefik") }, NOW);
    assert.equal(report.certificates.https?.source, "shared");
    assert.equal(report.state, "ok");
  });

  it("tells a port that serves nothing from one that serves the wrong certificate", () => {
    const other = { ...port(993, "dovecot", certificate("c")), agrees: false };
    const { ports } = health({ ...good, state: "not-served", ports: [other, port(25, "postfix", null)] }, NOW);
    assert.deepEqual(
      ports.map((found) => [found.port, found.ok, found.serial, found.error]),
      [
        [25, false, null, "connect ECONNREFUSED"],
        [443, true, "0b", null],
        [993, false, "0c", null],
      ],
    );
  });

  const states: readonly (readonly [when: string, change: Partial<Status>, days: number, state: HealthState])[] = [
    ["all is well", {}, 0, "ok"],
    ["a port serves something else", { state: "not-served" }, 0, "not-served"],
    ["there is only the placeholder", { state: "placeholder" }, 0, "placeholder"],
    ["HTTPS has no certificate", { https: port(443, "traefik", null) }, 0, "https-not-served"],
    ["HTTPS is not watched", { https: null }, 0, "ok"],
    ["the renewal is due now", {}, 50, "ok"],
    ["half of the time after the planned renewal has passed", {}, 65.1, "renewal-overdue"],
    ["a certificate without a plan has a twelfth of its life left", withoutPlan(), 72.6, "renewal-overdue"],
    ["a certificate without a plan has more than that left", withoutPlan(), 72.4, "ok"],
    ["the HTTPS certificate should have been renewed", {}, 62.6, "renewal-overdue"],
    ["it is not served and late as well", { state: "not-served" }, 70, "not-served"],
  ];
  for (const [when, change, days, state] of states) {
    it(`says ${state} when ${when}`, () => {
      const report = health({ ...good, ...change }, NOW + days * DAY);
      assert.equal(report.state, state);
      assert.equal(report.ok, state === "ok");
    });
  }

  it("has no field that docs/health.md does not describe", () => {
    const document = readFileSync(join(import.meta.dirname, "..", "docs", "health.md"), "utf8");
    const full: Status = { ...good, lastError: { at: at(0), cause: "x", advice: "y" } };
    const fields = new Set<string>();
    const collect = (value: unknown): void => {
      if (Array.isArray(value)) return value.forEach(collect);
      if (typeof value !== "object" || value === null) return;
      for (const [key, inner] of Object.entries(value)) {
        fields.add(key);
        collect(inner);
      }
    };
    collect(health(full, NOW));
    assert.ok(fields.size > 30);
    for (const field of fields) assert.ok(document.includes(`\`${field}\``), field);
  });
});

function withoutPlan(): Partial<Status> {
  return { https: null, order: { ...good.order, renewal: null } };
}

describe("metrics", () => {
  const text = metrics(health(good, NOW));

  it("says until when a generation is pinned, and what the CA's limit leaves, only where there is such a thing", () => {
    assert.doesNotMatch(text, /vectis_pinned|vectis_duplicate/);
    const pinned = { generation: 7, since: at(0), until: at(20) };
    const budget = { names: ["mail.example.com"], limit: 5, remaining: 2, nextAt: at(1), heldUntil: null };
    const more = metrics(health({ ...good, pinned, budget }, NOW));
    assert.ok(more.includes(`vectis_pinned_until_seconds ${(NOW + 20 * DAY) / 1000}\n`));
    assert.ok(more.includes("vectis_duplicate_orders_remaining 2\n"));
  });

  it("gives every fact with its labels, in seconds", () => {
    for (const line of [
      'vectis_state{state="ok"} 1',
      'vectis_state{state="not-served"} 0',
      `vectis_certificate_not_after_seconds{certificate="mail"} ${(NOW + 80 * DAY) / 1000}`,
      `vectis_certificate_not_after_seconds{certificate="https"} ${(NOW + 70 * DAY) / 1000}`,
      'vectis_generation{source="acme"} 7',
      'vectis_port_ok{port="993",service="dovecot"} 1',
      `vectis_port_not_after_seconds{port="25",service="postfix"} ${(NOW + 80 * DAY) / 1000}`,
      "vectis_order_failures 0",
      `vectis_renewal_seconds ${(NOW + 50 * DAY) / 1000}`,
      "vectis_ca_answers 1",
    ]) {
      assert.ok(text.includes(`${line}\n`), line);
    }
  });

  it("leaves out what is not known instead of inventing a number", () => {
    const empty = metrics(health({ ...good, published: null, https: null, ca: null, ports: [] }, NOW));
    assert.doesNotMatch(empty, /not_after|vectis_ca|vectis_port|vectis_generation|NaN|undefined|null/);
    assert.doesNotMatch(text, /NaN|undefined|null/);
  });

  it("says nothing about a port that was not looked at yet, and 0 about one that did not answer", () => {
    const [first, ...others] = good.ports;
    assert.ok(first !== undefined && others.length > 0);
    const unseen = { ...first, agrees: false, served: null };
    const ports = (checkedAt: string | null) => [{ ...unseen, checkedAt }, ...others];
    const line = `vectis_port_ok{port="${first.port}"`;
    assert.ok(!metrics(health({ ...good, ports: ports(null) }, NOW)).includes(line));
    assert.match(metrics(health({ ...good, ports: ports(at(0)) }, NOW)), new RegExp(`^${line},.* 0$`, "m"));
  });

  it("has HELP and TYPE once for each metric, before its samples", () => {
    let current = "";
    const seen = new Set<string>();
    for (const line of text.trimEnd().split("\n")) {
      const [, word, name] = /^(?:# (HELP|TYPE) )?(\w+)/.exec(line) ?? [];
      if (word === "HELP") {
        assert.ok(name !== undefined && !seen.has(name), line);
        seen.add(name);
        current = name;
      }
      assert.equal(name, current, line);
    }
    assert.ok(seen.size >= 10);
  });
});
