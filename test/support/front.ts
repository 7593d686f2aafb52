// Stands in front of the lab's CA, under its name and with its certificate, and answers some requests in its place: what
// a big CA refuses for (rate limits, CAA) the small one of the lab cannot.
import { join } from "node:path";
import { projectRoot } from "../../cli/stack.ts";
import { docker, inspect } from "./docker.ts";
import type { Site } from "./site.ts";

export interface Refusal {
  /** Error type of ACME (RFC 8555 section 6.7) without its URN prefix. */
  readonly type: string;
  readonly detail: string;
  /** Where it shows: in answer to a new order, or as the error of a challenge that is made to fail. */
  readonly at: "order" | "challenge";
  /** Seconds in the Retry-After header. */
  readonly retryAfter?: number;
}

/** Runs in the container; the refusal is in its environment. */
function front(): void {
  const { createServer, request } = process.getBuiltinModule("node:https");
  const { readFileSync } = process.getBuiltinModule("node:fs");
  const { type, detail, at, retryAfter } = JSON.parse(process.env["REFUSAL"] ?? "") as Refusal;
  const error = { type: `urn:ietf:params:acme:error:${type}`, detail, status: at === "order" ? 429 : 403 };
  const read = async (stream: AsyncIterable<Buffer>): Promise<Buffer[]> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  };
  const file = (suffix: string): Buffer => readFileSync(`/lab/${process.env["NAME"]}${suffix}.pem`);
  const tls = { cert: file(""), key: file("-key") };
  createServer(tls, (incoming, answer) => {
    void read(incoming).then((sent) => {
      const { url = "", method, headers } = incoming;
      const onward = { host: "real-ca", port: 14000, path: url, method, headers, rejectUnauthorized: false };
      const call = request(onward, (reply) => {
        void read(reply).then((parts) => {
          let body = Buffer.concat(parts).toString();
          let status = reply.statusCode ?? 502;
          const more: Record<string, string> = {};
          if (at === "order" && url === "/order-plz") {
            status = error.status;
            body = JSON.stringify(error, undefined, 2);
            more["content-type"] = "application/problem+json";
            if (retryAfter !== undefined) more["retry-after"] = String(retryAfter);
          }
          if (at === "challenge" && url.startsWith("/authZ/")) {
            body = body.replace(/"error": \{[^{}]*\}/, `"error": ${JSON.stringify(error)}`);
          }
          const kept = { ...reply.headers, ...more, "content-length": String(Buffer.byteLength(body)) };
          answer.writeHead(status, kept).end(body);
        });
      });
      call.on("error", () => answer.writeHead(502).end());
      call.end(Buffer.concat(sent));
    });
  }).listen(14000);
}

/** Puts the refusal between the site and its CA, while `action` runs. */
export async function withRefusal(site: Site, refusal: Refusal, action: () => Promise<void>): Promise<void> {
  const { ca, name: network } = site.lab;
  const container = `${site.name}-front`;
  const alias = new URL(site.lab.directory).hostname;
  await docker("network", "disconnect", network, ca);
  await docker("network", "connect", "--alias", "real-ca", network, ca);
  try {
    const place = ["--network", network, "--network-alias", alias];
    const volume = [
      "--volume",
      `${join(projectRoot, ".vectis", "lab")}:/lab:ro`,
      "--env",
      `REFUSAL=${JSON.stringify(refusal)}`,
      "--env",
      `NAME=${alias}`,
    ];
    const image = (await inspect(site.containers.acme)).Image;
    const script = `(${front.toString()})()`;
    await docker(
      "run",
      "--detach",
      "--rm",
      "--init",
      "--name",
      container,
      ...place,
      ...volume,
      "--entrypoint",
      "node",
      image,
      "-e",
      script,
    );
    await action();
  } finally {
    await docker("rm", "--force", container).catch(() => undefined);
    await docker("network", "disconnect", network, ca);
    await docker("network", "connect", "--alias", alias, network, ca);
  }
}
