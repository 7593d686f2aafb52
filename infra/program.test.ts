// The whole program under mocks: which resources it declares, with which inputs.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { before, test } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { holdsData } from "../components/data-policy.ts";

interface Declared {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
}

interface ContainerInputs {
  readonly name: string;
  readonly image: string;
  readonly privileged?: boolean;
  readonly readOnly: boolean;
  readonly user?: string;
  readonly capabilities: { readonly adds: string[]; readonly drops: string[] };
  readonly securityOpts: string[];
  readonly memory: number;
  readonly memorySwap: number;
  readonly ports: { readonly internal: number; readonly external: number; readonly ip: string }[];
  readonly volumes: {
    readonly volumeName?: string;
    readonly hostPath?: string;
    readonly containerPath: string;
    readonly readOnly: boolean;
  }[];
  readonly uploads: unknown;
  readonly envs: string[];
  readonly destroyGraceSeconds: number;
  readonly networksAdvanced: { readonly name: string; readonly aliases: string[] }[];
}

const declared: Declared[] = [];
const hash = "{SHA512-CRYPT}$6$salt$a-hash-that-must-stay-secret";
const token = "a-health-token-that-must-stay-secret";
/** Key by which the engine marks a secret value. */
const secretKey = "4dabf18193072939515e22adb298388d";

const generated = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const keyPair = {
  privateKeyPemPkcs8: generated.privateKey.export({ type: "pkcs8", format: "pem" }),
  publicKeyPem: generated.publicKey.export({ type: "spki", format: "pem" }),
};

let outputs: (typeof import("./index.ts"))["default"];
before(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        declared.push({ type, name, inputs: inputs as Record<string, unknown> });
        const made = type === "tls:index/privateKey:PrivateKey" ? keyPair : {};
        return { id: `${name}-id`, state: { ...(inputs as Record<string, unknown>), ...made } };
      },
      call: () => ({}),
    },
    "vectis",
    "test",
  );
  pulumi.runtime.setAllConfig({
    "vectis:name": "mx1",
    "vectis:hostname": "mail.example.com",
    "vectis:domains": '["example.com"]',
    "vectis:tls": '{"provider":"letsencrypt","acme":{"directory":"staging"}}',
    "vectis:publish": '{"address":"192.0.2.25","networks":["backbone"]}',
    "vectis:healthToken": token,
    "vectis:mailboxes": JSON.stringify([{ address: "a@example.com", passwordHash: hash }]),
    // The checks before a change look neither at this machine's ports nor beyond it.
    "vectis:resolvers": '["127.0.0.1"]',
    "docker:host": "ssh://mx1.example.com",
  });
  outputs = (await import("./index.ts")).default;
  const { containers } = outputs;
  // Containers depend on all else, so everything is declared once their names are known.
  await new Promise<void>((resolve) => pulumi.output(containers).apply(() => resolve()));
});

const ofType = (type: string) => declared.filter((resource) => resource.type === type);
const containers = () =>
  new Map(
    ofType("docker:index/container:Container").map(({ name, inputs }) => [name, inputs as unknown as ContainerInputs]),
  );

test("an option that is off has no output: an undefined one would be a warning at each update", () => {
  assert.ok("acmeDirectory" in outputs);
  for (const [name, value] of Object.entries(outputs)) assert.notEqual(value, undefined, name);
});

test("the stack is one network, seven volumes, four images and four containers, all under its name", () => {
  const names = (type: string) => ofType(type).map(({ inputs }) => String(inputs["name"]));
  assert.deepEqual(names("docker:index/network:Network"), ["mx1"]);
  assert.deepEqual(names("docker:index/volume:Volume").sort(), [
    "mx1-acme-home",
    "mx1-mail-certs",
    "mx1-mailboxes",
    "mx1-postfix-spool",
    "mx1-sasl",
    "mx1-traefik-acme",
    "mx1-traefik-dynamic",
  ]);
  assert.deepEqual([...containers().values()].map(({ name }) => name).sort(), [
    "mx1-acme",
    "mx1-dovecot",
    "mx1-postfix",
    "mx1-traefik",
  ]);
  for (const image of names("docker:index/remoteImage:RemoteImage"))
    assert.match(image, /^vectis\/[a-z]+:[0-9a-f]{12}$/);
});

test("data is what mail, queue, accounts and certificates are in; the socket and the routes are made anew", () => {
  const names = ofType("docker:index/volume:Volume").map(({ name }) => name);
  assert.deepEqual(names.filter(holdsData).sort(), [
    "acme-acme-home",
    "acme-certs",
    "dovecot-mailboxes",
    "postfix-spool",
    "traefik-acme",
  ]);
});

test("no container is privileged, mounts a path of the host, or keeps a capability that it was not given", () => {
  const allowed: Record<string, string[]> = {
    acme: [],
    traefik: [],
    dovecot: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"],
    postfix: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"],
  };
  for (const [name, container] of containers()) {
    assert.equal(container.privileged, undefined);
    assert.deepEqual(container.capabilities, { drops: ["ALL"], adds: allowed[name] });
    assert.deepEqual(container.securityOpts, ["no-new-privileges:true"]);
    assert.ok(container.volumes.every(({ hostPath }) => hostPath === undefined));
  }
});

test("only the sidecar may write certificates", () => {
  for (const [name, { volumes }] of containers()) {
    const mount = volumes.find(({ containerPath }) => containerPath === "/etc/ssl/mail");
    if (name === "traefik") assert.equal(mount, undefined);
    else assert.equal(mount?.readOnly, name !== "acme", name);
  }
});

test("ports are published at the address of the configuration, and neither 143 nor 110 is", () => {
  const published = [...containers().values()].flatMap(({ ports }) => ports);
  assert.deepEqual(
    published.map(({ internal }) => internal).sort((a, b) => a - b),
    [25, 80, 443, 465, 587, 993, 995],
  );
  assert.ok(published.every(({ internal, external, ip }) => internal === external && ip === "192.0.2.25"));
});

test("every container has a memory limit that swap does not widen, and time to stop", () => {
  for (const container of containers().values()) {
    assert.ok(container.memory > 0);
    assert.equal(container.memorySwap, container.memory);
    assert.ok(container.destroyGraceSeconds >= 30);
  }
});

test("the stack's mail keys are two, and the one in use reaches the sidecar alone, as a secret", () => {
  assert.deepEqual(
    ofType("tls:index/privateKey:PrivateKey").map(({ name, inputs }) => [name, inputs]),
    [1, 2].map((generation) => [`mail-key-${generation}`, { algorithm: "ECDSA", ecdsaCurve: "P256" }]),
  );
  for (const [name, { uploads }] of containers()) {
    assert.equal(JSON.stringify(uploads).includes("/etc/vectis/secrets/mail-privkey.pem"), name === "acme", name);
    if (name === "acme") assert.ok(JSON.stringify(uploads).includes(secretKey));
  }
});

test("the root is read-only exactly where no file is uploaded", () => {
  for (const [name, { readOnly, uploads }] of containers())
    assert.equal(readOnly, JSON.stringify(uploads) === "[]", name);
});

test("password hashes are a secret of their own: Dovecot's settings stay readable beside them", () => {
  const dovecot = containers().get("dovecot");
  assert.ok(dovecot);
  assert.ok(JSON.stringify(dovecot.uploads).includes(secretKey));
  assert.ok(dovecot.envs.some((env) => env.startsWith("DOVECOT_CONF=dovecot_config_version")));
  assert.ok(!JSON.stringify(dovecot.envs).includes(secretKey));
  for (const { name, type, inputs } of declared) {
    if (name !== "dovecot") assert.ok(!JSON.stringify(inputs).includes(hash), `${type} ${name}`);
  }
});

test("of the health token only the hash leaves the stack, as a secret file that certd alone reads", () => {
  const hashed = createHash("sha256").update(token).digest("hex");
  const uploads = JSON.stringify(containers().get("acme")?.uploads);
  assert.ok(uploads.includes(secretKey));
  assert.match(uploads, new RegExp(`${hashed}.*health-token\\.sha256","permissions":"0600"`));
  for (const { name, type, inputs } of declared) {
    assert.ok(!JSON.stringify(inputs).includes(token), `${type} ${name}`);
    if (!name.startsWith("acme")) assert.ok(!JSON.stringify(inputs).includes(hashed), `${type} ${name}`);
  }
});

test("a network that the host joins knows Traefik by the names of the mail host and its policy hosts", () => {
  const joined = containers()
    .get("traefik")
    ?.networksAdvanced.find(({ name }) => name === "backbone");
  assert.deepEqual(joined?.aliases, ["mail.example.com", "mta-sts.example.com"]);
});
