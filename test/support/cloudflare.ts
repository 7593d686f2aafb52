// The lab's stand-in for the Cloudflare API, as tests use it: asking, looking at what was asked, and ordering faults.
import { account, deploymentToken, user, zones } from "../../lab/cloudflare/seed.ts";
import { permissionGroups } from "../../lab/cloudflare/permissions.ts";
import type { Fault } from "../../lab/cloudflare/faults.ts";
import type { LoggedRequest } from "../../lab/cloudflare/log.ts";
import type { Bag, Plain } from "../../lab/providers/protocol/value.ts";

export interface Reply {
  readonly status: number;
  readonly result: Plain;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
  readonly retryAfter: string | null;
}

export interface ApiRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly ttl: number;
  readonly proxied: boolean;
  readonly comment: string | null;
  readonly priority?: number;
}

export class CloudflareApi {
  /** As `cloudflare:baseUrl` takes it. */
  readonly baseUrl: string;
  /** May everything. No secret. */
  readonly deploymentToken = deploymentToken;
  /** Zone ids by name, as `vectis:dns` takes them. */
  readonly zones: Readonly<Record<string, string>> = Object.fromEntries(zones.map(({ name, id }) => [name, id]));
  readonly accountId = account.id;
  readonly userId = user.id;
  readonly container: string;
  readonly #root: string;

  constructor(lab: string, port: number) {
    this.container = `${lab}-cloudflare`;
    this.#root = `http://127.0.0.1:${port}`;
    this.baseUrl = `${this.#root}/client/v4`;
  }

  /** @param zone its name, for example `vectis.test` */
  zoneId(zone: string): string {
    const id = this.zones[zone];
    if (id === undefined) throw new Error(`the lab has no zone ${zone}`);
    return id;
  }

  /** One request below the base URL; whatever the answer is, it is returned. */
  async ask(
    method: string,
    path: string,
    { token = deploymentToken, body }: { readonly token?: string; readonly body?: Plain } = {},
  ): Promise<Reply> {
    const answer = await fetch(`${this.baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const { result, errors } = (await answer.json()) as Pick<Reply, "result" | "errors">;
    return { status: answer.status, result, errors, retryAfter: answer.headers.get("retry-after") };
  }

  /** The result of a request that must succeed. */
  async must(method: string, path: string, body?: Plain): Promise<Plain> {
    const { status, result, errors } = await this.ask(method, path, body === undefined ? {} : { body });
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(errors)}`);
    return result;
  }

  /** Every record of a zone, in the order in which they were made. */
  async records(zone: string): Promise<readonly ApiRecord[]> {
    const path = `/zones/${this.zoneId(zone)}/dns_records?per_page=5000`;
    return (await this.must("GET", path)) as unknown as readonly ApiRecord[];
  }

  /** Makes a record as somebody else than the stack would. Returns once the lab's DNS answers with it. */
  async addRecord(zone: string, record: Bag): Promise<ApiRecord> {
    const path = `/zones/${this.zoneId(zone)}/dns_records`;
    return (await this.must("POST", path, record)) as unknown as ApiRecord;
  }

  async removeRecord(zone: string, id: string): Promise<void> {
    await this.must("DELETE", `/zones/${this.zoneId(zone)}/dns_records/${id}`);
  }

  /**
   * Makes a user token for zones.
   * @param groups names of permission groups, for example `["DNS Write", "Zone Read"]`
   * @param more further properties of the token in the API's names: `condition`, `expires_on`
   */
  async createToken(
    groups: readonly string[],
    zoneNames: readonly string[],
    more: Bag = {},
  ): Promise<{ readonly id: string; readonly value: string }> {
    const ids = groups.map((wanted) => permissionGroups.find(({ name }) => name === wanted)?.id ?? wanted);
    const policy = {
      effect: "allow",
      permission_groups: ids.map((id) => ({ id })),
      resources: Object.fromEntries(
        zoneNames.map((zone) => [`com.cloudflare.api.account.zone.${this.zoneId(zone)}`, "*"]),
      ),
    };
    const token = await this.must("POST", "/user/tokens", { name: groups.join(", "), policies: [policy], ...more });
    return token as unknown as { readonly id: string; readonly value: string };
  }

  async removeToken(id: string): Promise<void> {
    await this.must("DELETE", `/user/tokens/${id}`);
  }

  /** What was asked since the start of the container or the last `forget`, oldest first. */
  async requests(): Promise<readonly LoggedRequest[]> {
    return (await this.#lab("GET", "/lab/requests")) as readonly LoggedRequest[];
  }

  async forget(): Promise<void> {
    await this.#lab("DELETE", "/lab/requests");
  }

  /** Orders a fault in place of the one before. Take it away with `heal`, also after a failure. */
  async fault(fault: Fault): Promise<void> {
    await this.#lab("POST", "/lab/faults", fault);
  }

  async heal(): Promise<void> {
    await this.#lab("DELETE", "/lab/faults");
  }

  async #lab(method: string, path: string, body?: unknown): Promise<unknown> {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(this.#root + path, { method, ...sent, signal: AbortSignal.timeout(10_000) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`);
    return JSON.parse(text);
  }
}
