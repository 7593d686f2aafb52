// Stands between the stack and the lab's CA for a while and answers in its place what a fault wants: errors, refusals, bad nonces.
// It runs in a container of its own, because containers cannot open connections to every Docker host.
import { join } from "node:path";
import { caHostname } from "../../lab/addresses.ts";
import { projectRoot } from "../../cli/stack.ts";
import { docker, inspect } from "../support/docker.ts";
import type { Lab, Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

const caAlias = "behind-the-proxy.vectis-lab.test";

/** What it does with requests; those that it does not answer go to the CA. */
export interface Behaviour {
  /** Every request, every new order, or every second signed request. */
  readonly to: "everything" | "orders" | "every second post";
  /** The answer (RFC 8555 section 6.7), its type without `urn:ietf:params:acme:error:`; `hang up` closes the connection. */
  readonly answer: "hang up" | { readonly status: number; readonly type: string; readonly detail: string };
}

/** Runs in the container, which is told everything by its environment. */
function proxy(): void {
  const { createServer, request } = process.getBuiltinModule("node:https");
  const { readFileSync } = process.getBuiltinModule("node:fs");
  const env = (name: string): string => process.env[name] ?? "";
  const { to, answer } = JSON.parse(env("BEHAVIOUR")) as Behaviour;
  const file = (suffix: string): Buffer => readFileSync(`/lab/${env("NAME")}${suffix}.pem`);
  let posts = 0;
  const meant = (method: string, path: string): boolean => {
    if (to === "orders") return path === "/order-plz";
    return to === "everything" || (method === "POST" && ++posts % 2 === 1);
  };
  createServer({ cert: file(""), key: file("-key") }, (asked, reply) => {
    const { url: path = "/", method = "GET", headers } = asked;
    const own = meant(method, path);
    if (own && answer === "hang up") return void reply.destroy();
    // Errors carry a fresh nonce too (RFC 8555 section 6.5), and only the CA can make one.
    const onward = own ? { path: "/nonce-plz", method: "HEAD" } : { path, method, headers };
    const call = request({ host: env("CA"), port: 14000, rejectUnauthorized: false, ...onward }, (response) => {
      if (!own || answer === "hang up") {
        reply.writeHead(response.statusCode ?? 502, response.headers);
        return void response.pipe(reply);
      }
      const nonce = { "replay-nonce": String(response.headers["replay-nonce"]) };
      reply.writeHead(answer.status, { "content-type": "application/problem+json", ...nonce });
      reply.end(JSON.stringify({ ...answer, type: `urn:ietf:params:acme:error:${answer.type}` }));
    });
    call.once("error", () => reply.destroy());
    if (own) call.end();
    else asked.pipe(call);
  }).listen(14000, () => console.log("ready"));
}

export class AcmeProxy {
  readonly #lab: Lab;
  #there = true;

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Takes the CA's name on the lab network. */
  static async start({ lab, containers }: Site, behaviour: Behaviour): Promise<AcmeProxy> {
    const { Image: image } = await inspect(containers.acme);
    await moveCa(lab, caAlias);
    const started = new AcmeProxy(lab);
    const env = { BEHAVIOUR: JSON.stringify(behaviour), NAME: caHostname, CA: caAlias };
    await docker(
      ...["run", "--detach", "--name", started.#container, "--init", "--entrypoint", "node"],
      ...["--network", lab.name, "--network-alias", caHostname],
      ...["--volume", `${join(projectRoot, ".vectis", "lab")}:/lab:ro`],
      ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
      ...[image, "-e", `(${proxy.toString()})()`],
    );
    await until("the proxy", async () => (await docker("logs", started.#container)).includes("ready"));
    return started;
  }

  get #container(): string {
    return `${this.#lab.name}-proxy`;
  }

  /** Gives the CA its name back; done once. */
  async stop(): Promise<void> {
    if (!this.#there) return;
    this.#there = false;
    await docker("rm", "--force", this.#container);
    await moveCa(this.#lab, caHostname);
  }
}

/** Gives the CA another name on the lab network. */
export async function moveCa(lab: Lab, alias: string): Promise<void> {
  await docker("network", "disconnect", lab.name, lab.ca);
  await docker("network", "connect", "--alias", alias, lab.name, lab.ca);
}
