import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, describe, it } from "node:test";
import { TestPki, type Issued } from "../../certd/test-pki.ts";
import type { FileFact } from "../facts/files.ts";
import { certificateFindings } from "./certificate.ts";

const pki = new TestPki();
after(() => pki.remove());

const certPath = "/etc/vectis/certs/fullchain.pem";
const keyPath = "/etc/vectis/certs/privkey.pem";
const host = "mail.example.com";
const day = 86_400_000;
const now = Date.now() + 60_000;

const root = pki.issue({ subject: "/CN=Root", ca: true, days: 3650 });
const middle = pki.issue({ subject: "/CN=Middle", ca: true, by: root, days: 1000 });
const notCa = pki.issue({ subject: "/CN=Middle", by: root, reuse: middle });
const stranger = pki.issue({ subject: "/CN=Stranger", ca: true });
const leafOf = { subject: "/", names: [host], by: middle, usage: "serverAuth" };
const leaf = pki.issue(leafOf);
const other = pki.issue(leafOf);
const client = pki.issue({ ...leafOf, usage: "clientAuth" });
const small = pki.issue({ ...leafOf, key: "rsa:1024" });
const edwards = pki.issue({ ...leafOf, key: "ed25519" });
const selfSigned = pki.issue({ subject: `/CN=${host}`, names: [host] });
const week = pki.issue({ ...leafOf, days: 6 });
const year = pki.issue({ ...leafOf, days: 365 });

const file = (text: string, mode = 0o600): FileFact => ({ is: "text", text, mode });
const chained = (one: Issued) => file(one.pem + middle.pem);
const dateOf = (one: Issued): Date => {
  const text = execFileSync("openssl", ["x509", "-in", one.paths.pem, "-noout", "-enddate"], { encoding: "utf8" });
  return new Date(text.replace("notAfter=", ""));
};
const minute = (date: Date) => `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;

interface Case {
  readonly title: string;
  readonly certificate?: FileFact;
  readonly key?: FileFact;
  readonly names?: readonly string[];
  readonly policyHosts?: readonly string[];
  readonly now?: number;
  readonly expected: readonly string[];
}

const inChain = `error vectis:tls.certPath (${certPath}): `;
const inKey = `error vectis:tls.keyPath (${keyPath}): `;

const cases: readonly Case[] = [
  { title: "a good pair", expected: [] },
  {
    title: "files that do not exist",
    certificate: { is: "absent" },
    key: { is: "absent" },
    expected: [
      `error vectis:tls.certPath names ${certPath}, which does not exist on this host; put the certificate chain there or ` +
        "correct the path",
      `error vectis:tls.keyPath names ${keyPath}, which does not exist on this host; put the private key there or correct ` +
        "the path",
    ],
  },
  {
    title: "a key that only root may read",
    key: { is: "denied" },
    expected: [
      `warning vectis:tls.keyPath names ${keyPath}, which you may not read: the sidecar checks it before it publishes anything`,
    ],
  },
  {
    title: "a folder instead of a file",
    certificate: { is: "unreadable", why: "EISDIR" },
    expected: [
      `error vectis:tls.certPath names ${certPath}, which cannot be read (EISDIR); put the certificate chain there as a PEM file`,
    ],
  },
  {
    title: "a key that everybody may read",
    key: file(leaf.key, 0o644),
    expected: [
      `warning vectis:tls.keyPath names ${keyPath}, which everybody on the host may read (mode 0644); run chmod 0600 ${keyPath}`,
    ],
  },
  {
    title: "no certificate in the file",
    certificate: file("hello"),
    expected: [
      `${inChain}The certificate chain cannot be read: there is no PEM certificate in it. Put a PEM file there: the leaf, ` +
        "then its intermediates.",
    ],
  },
  {
    title: "no key in the file",
    key: file("hello"),
    expected: [
      `${inKey}The private key cannot be read: there is no PEM private key in it. Put the certificate's key there as PEM.`,
    ],
  },
  {
    title: "another certificate's key",
    key: file(other.key),
    expected: [
      `${inKey}The private key does not belong to mail.example.com. Put the key there that the certificate was ordered with.`,
    ],
  },
  {
    title: "the wrong order",
    certificate: file(middle.pem + leaf.pem),
    expected: [
      `${inChain}The chain is in the wrong order; it must be: mail.example.com | CN=Middle. Put the certificates of the ` +
        "file in that order.",
    ],
  },
  {
    title: "a missing intermediate",
    certificate: file(leaf.pem),
    expected: [
      `${inChain}The intermediate certificate "CN=Middle" that issued mail.example.com is missing from the chain. Append ` +
        "it to the file; the CA offers it beside the certificate.",
    ],
  },
  {
    title: "a stranger in the chain",
    certificate: file(leaf.pem + middle.pem + stranger.pem),
    expected: [
      `${inChain}The certificate CN=Stranger does not belong to the chain of mail.example.com. Remove it from the file.`,
    ],
  },
  {
    title: "an issuer that is no CA",
    certificate: file(leaf.pem + notCa.pem),
    expected: [
      `${inChain}The certificate CN=Middle is used as an issuer but is no CA. Put the intermediates there that the CA ` +
        "offers for this certificate.",
    ],
  },
  {
    title: "a name that is not covered",
    names: [host, "imap.example.com"],
    expected: [
      `${inChain}The certificate does not cover imap.example.com; it covers mail.example.com. Order a certificate with ` +
        "that name too.",
    ],
  },
  {
    title: "a certificate for clients",
    certificate: chained(client),
    key: file(client.key),
    expected: [
      `${inChain}The certificate mail.example.com may not be used by servers (EKU lacks serverAuth). Order a certificate ` +
        "with the extended key usage serverAuth.",
    ],
  },
  {
    title: "a small key",
    certificate: chained(small),
    key: file(small.key),
    expected: [
      `${inKey}The key is rsa-1024; at least rsa-2048 is needed. Order a certificate for a new key, for example EC P-256.`,
    ],
  },
  {
    title: "a key that mail clients do not take",
    certificate: chained(edwards),
    key: file(edwards.key),
    expected: [
      `${inKey}The key is of type ed25519; mail clients want EC or RSA. Order a certificate for a new key, for example EC P-256.`,
    ],
  },
  {
    title: "a self-signed certificate",
    certificate: file(selfSigned.pem),
    key: file(selfSigned.key),
    expected: [
      `${inChain}The certificate CN=${host} is self-signed: no client will trust it. Use a CA's certificate, or set ` +
        "vectis:tls.provider to internal.",
    ],
  },
  {
    title: "an expired certificate",
    certificate: chained(week),
    key: file(week.key),
    now: now + 7 * day,
    expected: [
      `${inChain}The certificate mail.example.com expired on ${dateOf(week).toISOString()}. Renew it and replace the file.`,
    ],
  },
  {
    title: "less than a third of six days left",
    certificate: chained(week),
    key: file(week.key),
    now: now + 4.5 * day,
    expected: [
      `warning vectis:tls.certPath (${certPath}): The certificate of mail.example.com expires in 1 day ` +
        `(${minute(dateOf(week))}). Replace the file.`,
    ],
  },
  {
    title: "more than a third of six days left",
    certificate: chained(week),
    key: file(week.key),
    now: now + 3 * day,
    expected: [],
  },
  {
    title: "fifteen days of a year left",
    certificate: chained(year),
    key: file(year.key),
    now: now + 349 * day,
    expected: [],
  },
  {
    title: "less than a fortnight of a year left",
    certificate: chained(year),
    key: file(year.key),
    now: now + 351.5 * day,
    expected: [
      `warning vectis:tls.certPath (${certPath}): The certificate of mail.example.com expires in 13 days ` +
        `(${minute(dateOf(year))}). Replace the file.`,
    ],
  },
  {
    title: "a policy host that is not covered",
    policyHosts: [host, "mta-sts.example.com"],
    expected: [
      `warning vectis:dns.mtaSts announces a policy at mta-sts.example.com, which the certificate in ${certPath} does not ` +
        "cover: no sender can fetch it; order a certificate with that name too, or set the key to off",
    ],
  },
  {
    title: "everything at once",
    certificate: file(leaf.pem + stranger.pem),
    key: file(other.key),
    names: ["imap.example.com"],
    expected: [
      `${inKey}The private key does not belong to mail.example.com. Put the key there that the certificate was ordered with.`,
      `${inChain}The certificate does not cover imap.example.com; it covers mail.example.com. Order a certificate with ` +
        "that name too.",
      `${inChain}The certificate CN=Stranger does not belong to the chain of mail.example.com. Remove it from the file.`,
      `${inChain}The intermediate certificate "CN=Middle" that issued mail.example.com is missing from the chain. Append ` +
        "it to the file; the CA offers it beside the certificate.",
    ],
  },
];

describe("certificateFindings", () => {
  for (const { title, certificate = chained(leaf), key = file(leaf.key), now: at, expected, ...files } of cases) {
    it(`${expected.length === 0 ? "accepts" : "names"} ${title}`, () => {
      const wanted = { certPath, keyPath, names: files.names ?? [host], policyHosts: files.policyHosts ?? [] };
      const found = certificateFindings(wanted, { certificate, key }, at ?? now);
      assert.deepEqual(
        found.map((finding) => `${finding.severity} ${finding.key} ${finding.problem}`),
        expected,
      );
    });
  }

  it("names a certificate that is not valid yet", () => {
    const facts = { certificate: chained(leaf), key: file(leaf.key) };
    const found = certificateFindings({ certPath, keyPath, names: [host], policyHosts: [] }, facts, now - 10 * day);
    assert.match(
      found[0]?.problem ?? "",
      /: The certificate mail\.example\.com is valid only from \S+; is the clock right\? Put a certificate there that is valid now\.$/,
    );
  });
});
