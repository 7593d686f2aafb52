// What a running stack shows from outside and on the Docker host. Reads only.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { get, listens } from "../cli/probe.ts";
import { clearTextPorts, mailServices, tlsServices } from "../cli/verdict.ts";
import { inspect } from "./support/docker.ts";
import { sharedSite } from "./support/shared.ts";
import { roles, type Role, type Site } from "./support/site.ts";

let site: Site;

describe("a running stack", () => {
  before(async () => {
    site = await sharedSite();
  });

  describe("from outside", () => {
    it("six ports serve a chain that verifies for the hostname, over TLS 1.3 with X25519MLKEM768 (S1, S3, S9, B9)", async () => {
      const { rows } = await site.asExpected();
      for (const { port } of tlsServices) assert.deepEqual(rows.find((row) => row.port === port)?.problems, []);
    });

    it("the mail ports serve what is installed for Postfix and Dovecot, and 443 serves another (S1, S3, S4)", async () => {
      const serials = await site.serials();
      for (const role of ["postfix", "dovecot"] as const) {
        const installed = await site.exec(
          role,
          "openssl",
          "x509",
          "-noout",
          "-serial",
          "-in",
          "/etc/ssl/mail/fullchain.pem",
        );
        for (const { port } of mailServices)
          assert.equal(`serial=${serials[port]}`, installed, `port ${port} and ${role}`);
        await site.exec(role, "test", "-e", "/etc/ssl/mail/privkey.pem");
      }
      assert.notEqual(serials[443], serials[993]);
    });

    it("the guide's openssl lines end in Verify return code: 0 (ok) (S18)", async () => {
      const { hostname, endpoints, ca = "" } = await site.target();
      const root = join(site.stack.folder, "root.pem");
      writeFileSync(root, ca);
      for (const { key, port } of tlsServices) {
        const { host, port: published } = endpoints[key];
        const startTls = key === "smtp" || key === "submission" ? ["-starttls", "smtp"] : [];
        const where = ["-connect", `${host}:${published}`, "-servername", hostname];
        const text = await openssl("s_client", ...startTls, ...where, "-CAfile", root, "-verify_hostname", hostname);
        assert.match(text, /Verify return code: 0 \(ok\)/, `port ${port}`);
        assert.match(text, /TLSv1\.[23]/);
      }
    });

    it("port 80 redirects to HTTPS, whatever the path (S2)", async () => {
      const { hostname, endpoints } = await site.target();
      assert.ok(endpoints.http);
      for (const path of ["/", "/some/path?query=1"]) {
        const { status, location } = await get(endpoints.http, hostname, path);
        assert.ok(status === 301 || status === 308, `${path} is answered with ${status}`);
        assert.equal(location, `https://${hostname}${path}`);
      }
    });

    it("TLS 1.1 is refused on every port (S9)", async () => {
      const { checks } = await site.verdict();
      assert.deepEqual(checks.find(({ name }) => name.startsWith("TLS 1.1"))?.problems, []);
    });

    it("110 and 143 are neither published nor listening (S13)", async () => {
      for (const role of roles) {
        const { NetworkSettings } = await inspect(site.containers[role]);
        for (const { IPAddress: host } of Object.values(NetworkSettings.Networks)) {
          for (const port of clearTextPorts)
            assert.ok(!(await listens({ host, port })), `${role} listens on ${host}:${port}`);
        }
        const published = Object.keys(NetworkSettings.Ports).map((port) => Number(port.split("/")[0]));
        assert.deepEqual(
          published.filter((port) => clearTextPorts.some((clear) => clear === port)),
          [],
        );
      }
      const sockets = await site.exec("dovecot", "cat", "/proc/net/tcp", "/proc/net/tcp6");
      const listening = [...sockets.matchAll(/:([0-9A-F]{4}) [0-9A-F]+:0000 0A /g)].map(([, hex = ""]) =>
        parseInt(hex, 16),
      );
      assert.ok(listening.includes(993), "the list of listening sockets is readable");
      for (const port of clearTextPorts) assert.ok(!listening.includes(port), `Dovecot listens on ${port}`);
    });
  });

  describe("on the Docker host", () => {
    /** What each daemon cannot do without; the reasons stand in its component. */
    const capabilities: Readonly<Record<Role, readonly string[]>> = {
      traefik: [],
      acme: [],
      postfix: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"],
      dovecot: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"],
    };

    for (const role of roles) {
      it(`${role} has no Docker socket, no privileges and no needless capability`, async () => {
        const { HostConfig, Mounts } = await inspect(site.containers[role]);
        assert.deepEqual(
          Mounts.filter(({ Type }) => Type !== "volume" && Type !== "tmpfs"),
          [],
          "nothing of the host is mounted",
        );
        assert.equal(HostConfig.Privileged, false);
        assert.equal(HostConfig.PidMode, "");
        assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
        const added = (HostConfig.CapAdd ?? []).map((name) => (name.startsWith("CAP_") ? name : `CAP_${name}`));
        assert.deepEqual(added.sort(), capabilities[role]);
        assert.ok(HostConfig.SecurityOpt?.some((option) => option.startsWith("no-new-privileges")));
        assert.ok(HostConfig.Memory > 0, "memory is limited");
      });

      it(`${role} carries no secret in its environment or labels`, async () => {
        const { Config } = await inspect(site.containers[role]);
        const visible = [...(Config.Env ?? []), ...Object.entries(Config.Labels).flat()].join("\n");
        assert.doesNotMatch(visible, /SHA512-CRYPT|PRIVATE KEY|correct-horse/);
      });
    }

    it("only the sidecar can write the certificate volume (S3)", async () => {
      for (const role of roles) {
        const { Mounts } = await inspect(site.containers[role]);
        const mount = Mounts.find(({ Destination }) => Destination === "/etc/ssl/mail");
        if (role === "traefik") assert.equal(mount, undefined);
        else assert.equal(mount?.RW, role === "acme", role);
      }
    });

    it("acme.json is on a volume, readable by Traefik alone (S1)", async () => {
      assert.equal(await site.exec("traefik", "stat", "-c", "%a", "/etc/traefik/acme/acme.json"), "600");
      const { Mounts } = await inspect(site.containers.traefik);
      assert.equal(Mounts.find(({ Destination }) => Destination === "/etc/traefik/acme")?.Type, "volume");
    });

    it("every container comes to be healthy", () => site.healthy());
  });
});

/** Runs openssl with nothing on its input; s_client ends with 1 when the server hangs up first, which proves nothing. */
function openssl(...args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile("openssl", [...args], { timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
    child.stdin?.end();
  });
}
