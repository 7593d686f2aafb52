// Tries the way that a challenge takes inside the machine: proxy on port 80 to certd's challenge port.
// An order whose challenge cannot arrive would cost one of the CA's few failed authorisations.
import { createServer, request } from "node:http";
import { randomBytes } from "node:crypto";
import type { Journal } from "./journal.ts";
import type { AcmeSource, Endpoint } from "./settings.ts";

export type RouteAnswer =
  | { readonly kind: "open" }
  /** The challenge port is in use: an order is running. */
  | { readonly kind: "busy" }
  | { readonly kind: "closed"; readonly cause: string };

function ask(route: Endpoint, name: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: route.host, port: route.port, path, headers: { host: name }, agent: false, timeout: 3000 };
    const call = request(options, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk.slice(0, 200)));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.once("error", reject);
    });
    call.once("timeout", () => call.destroy(new Error("no answer within 3 s")));
    call.once("error", reject);
    call.end();
  });
}

/**
 * Answers a token of its own on the challenge port and fetches it through the proxy, once per name. Never rejects.
 * Wildcards are left out: HTTP-01 cannot prove them.
 */
export function tryRoute(route: Endpoint, names: readonly string[], challengePort: number): Promise<RouteAnswer> {
  const token = randomBytes(16).toString("hex");
  const path = `/.well-known/acme-challenge/certd-${token}`;
  return new Promise((resolve) => {
    const server = createServer((incoming, response) => {
      response.statusCode = incoming.url === path ? 200 : 404;
      response.setHeader("connection", "close");
      response.end(incoming.url === path ? token : "");
    });
    const settle = (answer: RouteAnswer): void => {
      server.close(() => resolve(answer));
      server.closeAllConnections();
    };
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "EADDRINUSE" ? { kind: "busy" } : { kind: "closed", cause: error.message });
    });
    server.listen(challengePort, "0.0.0.0", () => {
      const checks = names
        .filter((name) => !name.startsWith("*."))
        .map(async (name) => {
          const { status, body } = await ask(route, name, path);
          if (status !== 200 || body !== token)
            throw new Error(`for ${name} it answers ${status} instead of the token`);
        });
      Promise.all(checks).then(
        () => settle({ kind: "open" }),
        (error: unknown) => settle({ kind: "closed", cause: error instanceof Error ? error.message : String(error) }),
      );
    });
  });
}

/**
 * Whether challenges arrive, as far as that can be tried; tells why they do not.
 * @param stillWorks a sentence on what is in service
 */
export async function challengesArrive(
  { challengeRoute, httpPort }: AcmeSource,
  names: readonly string[],
  journal: Journal,
  stillWorks: string,
): Promise<RouteAnswer["kind"]> {
  if (challengeRoute === undefined) return "open";
  const route = await tryRoute(challengeRoute, names, httpPort);
  if (route.kind === "open") journal.settle("route");
  if (route.kind !== "closed") return route.kind;
  const { host, port } = challengeRoute;
  const advice = `see whether ${host} runs and what its log says (\`docker ps\`, \`docker logs\`)`;
  journal.fail("route", `challenges do not arrive: ${route.cause}`, advice);
  journal.say(
    "route",
    `Challenges would not arrive: ${host}:${port} does not pass them on (${route.cause}). ${stillWorks} ` +
      "No order is placed until they do, because each failure counts at the CA; tried again every few seconds. " +
      `What to do: ${advice}.`,
  );
  return "closed";
}
