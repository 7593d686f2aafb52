import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { health, type Health } from "./health.ts";
import type { Status } from "./status.ts";
import { contentSecurityPolicy, statusPage } from "./status-page.ts";
import { at, certificate, good, NOW, port } from "./test-status.ts";

/** The report on a host that differs from a good one. */
const report = (change: Partial<Status> = {}): Health => health({ ...good, ...change }, NOW);

/** The rows of a page's tables, as texts of their cells. */
function rows(page: string): string[][] {
  return [...page.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = ""]) =>
    [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell = ""]) => cell.replaceAll(/<[^>]*>/g, "").trim()),
  );
}

describe("statusPage", () => {
  it("shows both certificates, every port, and what is planned", () => {
    const page = statusPage(report());
    assert.match(page, /^<!doctype html>\s*<html lang="en">/);
    assert.match(page, /<title>✔ mail\.example\.com<\/title>[^]*>All is well</);
    const end = "2027-02-12 12:00 UTC";
    const looked = "2026-11-24 12:00 UTC";
    assert.deepEqual(rows(page), [
      ["certificate", "names", "issuer", "serial", "ends", "days left", "origin"],
      ["mail", "mail.example.com", "CN=CA", "0a", end, "80", "acme, generation 7, ec-256"],
      ["HTTPS", "mail.example.com", "CN=CA", "0b", "2027-02-02 12:00 UTC", "70", "traefik"],
      ["port", "service", "serves what it should", "serial", "ends", "days left", "looked at"],
      ["25", "postfix", "yes", "0a", end, "80", looked],
      ["443", "traefik", "yes", "0b", "2027-02-02 12:00 UTC", "70", looked],
      ["993", "dovecot", "yes", "0a", end, "80", looked],
      ["next renewal", "2027-01-13 12:00 UTC: a fraction of the lifetime is left then"],
      ["last order", "2026-11-14 12:00 UTC: succeeded"],
      ["CA", "https://ca.test/dir: answers (2026-11-24 12:00 UTC)"],
    ]);
  });

  it("says what is wrong in words, why, and what to do", () => {
    const page = statusPage(
      report({
        state: "not-served",
        ports: [port(25, "postfix", null)],
        lastError: { at: at(0), cause: "the CA does not answer", advice: "wait" },
        failing: ["ca", "order"],
        order: {
          ...good.order,
          reason: "it is due",
          failures: 2,
          nextAt: at(1),
          last: { at: at(0), ok: false, cause: "rate limited", advice: "wait" },
        },
      }),
    );
    assert.match(page, /<title>✘ [^]*class="state bad"[^>]*>A mail port does not serve what is published</);
    assert.match(page, /: The CA does not answer\. What to do: wait\.[^]*Not well yet: ca, order\./);
    const found = new Map(rows(page).map(([first = "", ...rest]) => [first, rest]));
    assert.deepEqual(found.get("25")?.slice(0, 3), ["postfix", "no: connect ECONNREFUSED", "–"]);
    assert.equal(
      found.get("order wanted")?.[0],
      "it is due; 2 failed in a row, the next not before 2026-11-25 12:00 UTC",
    );
    assert.equal(found.get("last order")?.[0], "2026-11-24 12:00 UTC: failed: rate limited. Wait.");
  });

  it("shows what is there only sometimes: an RSA certificate, a pin, the CA's limit; and can do without the rest", () => {
    const page = statusPage(
      report({
        publishedRsa: { ...certificate("d", -10, 5.26), keyType: "rsa-2048" },
        pinned: { generation: 5, since: at(-1), until: at(3) },
        budget: { names: ["mail.example.com"], limit: 5, remaining: 1, nextAt: at(2), heldUntil: at(1) },
        order: { ...good.order, renewal: null, last: null },
        ca: null,
      }),
    );
    const found = new Map(rows(page).map(([first = "", ...rest]) => [first, rest]));
    assert.deepEqual(found.get("mail, RSA")?.slice(2), ["0d", "2026-11-29 18:14 UTC", "5.3", "rsa-2048"]);
    assert.equal(found.get("pinned")?.[0], "generation 5 since 2026-11-23 12:00 UTC, until 2026-11-27 12:00 UTC");
    assert.match(found.get("the CA’s limit")?.[0] ?? "", /^1 of 5 .* 2026-11-26 .*; .* held back until 2026-11-25/);
    const bare = rows(
      statusPage(report({ published: null, ports: [], https: null, pinned: null, state: "nothing-published" })),
    );
    assert.ok(bare.every(([first]) => first !== "mail" && first !== "HTTPS" && first !== "pinned"));
  });

  it("takes what others say for text, never for markup", () => {
    const evil = `<script>alert("&'")</script>`;
    const page = statusPage(
      report({
        names: [evil],
        ports: [{ ...port(25, evil, null), error: evil }],
        published: {
          ...certificate("a"),
          issuer: evil,
          names: [evil],
          generation: 1,
          source: evil,
          keyType: evil,
          publishedAt: at(0),
        },
        lastError: { at: at(0), cause: evil, advice: evil },
        failing: [evil],
        order: { ...good.order, reason: evil, last: { at: at(0), ok: false, cause: evil, advice: evil } },
        ca: { directory: evil, answers: false, checkedAt: null },
      }),
    );
    assert.doesNotMatch(page, /<script|alert\("/i);
    assert.equal(page.split("&#60;script&#62;").length - 1, 15, "each of the fifteen places is escaped");
  });

  it("loads nothing and runs nothing, and its policy lets it do neither", () => {
    const page = statusPage(report());
    assert.doesNotMatch(page, /<script|<link|<img|<iframe|<form|src=|href=|url\(|\son\w+=|style=/i);
    const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    assert.ok(
      contentSecurityPolicy.startsWith(`default-src 'none'; style-src 'sha256-${hash}';`),
      "the style is applied",
    );
  });
});
