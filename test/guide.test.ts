// The guide's commands, one after the other, as its reader types them.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestPki, type Issued } from "../certd/test-pki.ts";
import type { Verdict } from "../cli/verdict.ts";
import { inspect } from "./support/docker.ts";
import { addressed, customConfig, customGuide, guide, type Place } from "./support/guide.ts";
import { removeSites, roles, Site } from "./support/site.ts";
import { rootFile, shell } from "./support/vectis.ts";

let site: Site;
let place: Place;

describe("the guide", () => {
  before(async () => {
    site = await Site.start("guide");
    const { NetworkSettings } = await inspect(site.containers.dovecot);
    const [address] = Object.values(NetworkSettings.Networks);
    const certificates = join(site.stack.folder, "certs");
    place = { outputs: site.outputs, dovecot: address?.IPAddress ?? "", certificates };
  });
  after(() => removeSites("guide"));

  for (const { section, command, shows } of guide) {
    it(`${section}: ${command.split("\n")[0]} (S15, S16, S18)`, async () => {
      // openssl and curl trust the lab's root as they would trust the system's.
      const root = await rootFile(site);
      shows(await shell(site, addressed(command, place), { SSL_CERT_FILE: root, CURL_CA_BUNDLE: root }));
    });
  }

  describe("with certificates from another CA", () => {
    const pki = new TestPki();
    const root = pki.issue({ subject: "/CN=Company Root", ca: true });
    const intermediate = pki.issue({ subject: "/CN=Company Intermediate", ca: true, by: root });
    after(() => pki.remove());

    const file = (name: string): string => join(site.stack.folder, name);
    const issue = (certificate: string, key: string): Issued => {
      const { hostname } = site.outputs;
      const issued = pki.issue({
        subject: `/CN=${hostname}`,
        names: [hostname],
        by: intermediate,
        usage: "serverAuth",
      });
      writeFileSync(file(certificate), issued.pem + intermediate.pem);
      writeFileSync(file(key), issued.key);
      return issued;
    };
    const vectis = (words: string) => shell(site, words, { VECTIS_CA: root.paths.pem });
    const starts = () => Promise.all(roles.map(async (role) => (await inspect(site.containers[role])).State.StartedAt));
    /** Every TLS port serves exactly this certificate, and it verifies. */
    async function servedEverywhere({ pem }: Issued): Promise<void> {
      const { code, stdout } = await vectis("vectis verify --json");
      const { rows } = JSON.parse(stdout) as Verdict;
      const serials = rows.filter(({ port }) => port !== 80).map(({ serial }) => serial);
      assert.deepEqual(new Set(serials), new Set([new X509Certificate(pem).serialNumber]), stdout);
      assert.equal(code, 0, stdout);
    }

    it("config.yaml is imported, and config apply ends when six ports serve the files (S7)", async () => {
      mkdirSync(place.certificates);
      const issued = issue("your-cert.pem", "your-key.pem");
      writeFileSync(file("config.yaml"), addressed(customConfig, place));
      const { code, stderr } = await vectis("vectis config import config.yaml");
      assert.equal(code, 0, stderr);
      const [apply] = customGuide;
      apply?.shows(await vectis(addressed(apply.command, place)));
      await servedEverywhere(issued);
    });

    it("files are replaced, and config apply ends when six ports serve the new ones, nothing restarted (S8)", async () => {
      const before = await starts();
      const issued = issue("new-fullchain.pem", "new-privkey.pem");
      const replace = customGuide[1];
      replace?.shows(await vectis(addressed(replace.command, place)));
      await servedEverywhere(issued);
      assert.deepEqual(await starts(), before);
    });

    it("a key that does not fit is named by config apply, and what is served stays (S20)", async () => {
      const served = issue("new-fullchain.pem", "new-privkey.pem");
      const replace = customGuide[1];
      replace?.shows(await vectis(addressed(replace.command, place)));
      issue("other-cert.pem", "other-key.pem");
      const { code, stdout } = await vectis(
        addressed("cp other-key.pem /etc/vectis/certs/privkey.pem\nvectis config apply", place),
      );
      assert.equal(code, 1);
      assert.match(stdout, /vectis:tls\.keyPath \S+privkey\.pem\)?:? .*does not belong/);
      await servedEverywhere(served);
    });
  });
});
