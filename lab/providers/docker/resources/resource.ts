// What the docker package's resource types have in common: the engine they talk to, and waiting for it.
import type Docker from "dockerode";
import type * as resource from "../../protocol/resource.ts";

export interface Api {
  readonly docker: () => Promise<Docker>;
}
export type Context = resource.Context<Api>;
export type ResourceType = resource.ResourceType<Api>;

/** Tries until `done` answers true. The pace is that of a local socket: fast enough not to be noticed, slow enough for two cores. */
export async function until(
  done: () => Promise<boolean>,
  limits: { readonly seconds: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const end = Date.now() + limits.seconds * 1000;
  for (;;) {
    limits.signal.throwIfAborted();
    if (await done()) return true;
    if (Date.now() >= end) return false;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 200);
      limits.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}
