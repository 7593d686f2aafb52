// docker.Container: create, read, update in place and remove, in the order and with the traps of the official provider.
import { readFileSync } from "node:fs";
import type Docker from "dockerode";
import { diff } from "../../protocol/diff.ts";
import { HalfMade } from "../../protocol/resource.ts";
import { attempt, found, reason, statusOf } from "../docker.ts";
import { tar } from "../tar.ts";
import * as value from "../../protocol/value.ts";
import type { Bag } from "../../protocol/value.ts";
import { fields, refused } from "./container-fields.ts";
import { APPLIED, attachments, createOptions, updateOptions, uploads } from "./container-spec.ts";
import { containerState, importedPrior, type Health, type Inspected } from "./container-state.ts";
import { findImage } from "./image.ts";
import { until, type Context, type ResourceType } from "./resource.ts";

/** A process that fails at once is gone within this time; longer lives are a healthcheck's business. */
const EXITS_AT_ONCE_MILLISECONDS = 100;

/** The client's declaration of this answer leaves out half of it. */
async function inspect(container: Docker.Container): Promise<Inspected> {
  return (await container.inspect()) as unknown as Inspected;
}

async function prepare(container: Docker.Container, docker: Docker, inputs: Bag): Promise<void> {
  const networks = attachments(inputs);
  if (networks.length > 0) {
    try {
      await docker.getNetwork("bridge").disconnect({ Container: container.id });
    } catch (error) {
      if (!reason(error).includes("is not connected to")) {
        throw new Culprit("networksAdvanced", `Unable to disconnect the default network: ${reason(error)}`);
      }
    }
  }
  for (const { network, endpoint } of networks) {
    try {
      await docker.getNetwork(network).connect({ Container: container.id, EndpointConfig: endpoint });
    } catch (error) {
      throw new Culprit("networksAdvanced", `Unable to connect to network '${network}': ${reason(error)}`);
    }
  }
  try {
    const files = uploads(inputs, new Date(), (path) => readFileSync(path));
    if (files.length > 0) await container.putArchive(tar(files), { path: "/" });
  } catch (error) {
    throw new Culprit("uploads", `Unable to upload volume content: ${reason(error)}`);
  }
}

async function start(context: Context, container: Docker.Container, inputs: Bag): Promise<void> {
  try {
    await container.start();
  } catch (error) {
    throw new Culprit("start", `Unable to start container: ${reason(error)}`);
  }
  if (value.flag(inputs, "wait")) {
    await healthy(context, container, value.int(inputs, "waitTimeout"));
  } else if (value.flag(inputs, "mustRun") && ["no", ""].includes(value.text(inputs, "restart"))) {
    // So that the recorded state tells whether it runs, and not whether the exit was seen in time.
    const late = new Promise((resolve) => setTimeout(resolve, EXITS_AT_ONCE_MILLISECONDS).unref());
    const aborted = new AbortController();
    const exited = container.wait({ condition: "not-running", abortSignal: aborted.signal }).catch(() => undefined);
    await Promise.race([exited, late]);
    aborted.abort();
  }
}

async function healthy(context: Context, container: Docker.Container, seconds: number): Promise<void> {
  let last: Health | null | undefined;
  const well = await until(
    async () => {
      last = (await inspect(container)).State.Health;
      if (last === undefined || last === null) {
        throw new Culprit(
          "wait",
          "'wait' needs a healthcheck, and the container has none; remove 'wait' or set 'healthcheck'",
        );
      }
      if (last.Status !== "healthy") context.status(`waiting for health: ${last.Status ?? "unknown"}`);
      return last.Status === "healthy";
    },
    { seconds, signal: context.signal },
  ).catch((error: unknown) => {
    throw error instanceof Culprit
      ? error
      : new Culprit("wait", `container failed to be in healthy state: ${reason(error)}`);
  });
  if (well) return;
  const check = last?.Log?.at(-1);
  const said =
    check === undefined
      ? "no check has ended yet"
      : `last check: exit ${check.ExitCode}: ${check.Output.trim() || "no output"}`;
  throw new Culprit("wait", `container failed to be in healthy state within ${seconds} s (${said})`);
}

/** A failure after the container exists: which property to blame. */
class Culprit extends Error {
  readonly property: string;

  constructor(property: string, message: string) {
    super(message);
    this.property = property;
  }
}

export const container: ResourceType = {
  token: "docker:index/container:Container",
  stateVersion: 2,
  fields,
  refused,
  autoname: true,

  async create(context, inputs) {
    const docker = await context.docker();
    const image = value.text(inputs, "image");
    await attempt(`Unable to create container with image ${image}`, findImage(context, image));
    if (value.texts(inputs, "command").includes("")) throw new Error("values for command may not be empty");
    const made = await attempt("Unable to create container", docker.createContainer(createOptions(inputs)));
    try {
      await prepare(made, docker, inputs);
      if (value.flag(inputs, "start")) await start(context, made, inputs);
      return { id: made.id, state: containerState(await inspect(made), inputs, "created") };
    } catch (error) {
      // With `rm` the container may be gone already: then there is nothing to record.
      const seen = await inspect(made).catch(() => undefined);
      if (seen === undefined) throw error;
      const state = containerState(seen, inputs, "created");
      throw new HalfMade(reason(error), { id: made.id, state }, error instanceof Culprit ? error.property : "start");
    }
  },

  async read(context, id, prior) {
    const docker = await context.docker();
    const seen = await found(inspect(docker.getContainer(id)));
    if (seen === undefined) return undefined;
    const known = prior ?? importedPrior(seen, await found(docker.getImage(seen.Image).inspect()));
    return { id: seen.Id, state: containerState(seen, known, "refreshed") };
  },

  async update(context, id, { before, inputs, planned }) {
    const docker = await context.docker();
    const target = docker.getContainer(id);
    if (!value.flag(before, "mustRun") && value.flag(inputs, "mustRun") && value.flag(inputs, "start")) {
      try {
        await target.start();
      } catch (error) {
        // 304: it runs already.
        if (statusOf(error) !== 304) throw new Error(`Unable to start container: ${reason(error)}`, { cause: error });
      }
    }
    const changed = new Set(diff(fields, before, inputs).map((change) => change.property));
    if (APPLIED.some((property) => changed.has(property))) {
      await attempt("Unable to update a container", target.update(updateOptions(inputs)));
    }
    return planned;
  },

  async remove(context, id, state) {
    const docker = await context.docker();
    const target = docker.getContainer(id);
    try {
      await target.stop({ t: value.int(state, "destroyGraceSeconds") });
    } catch (error) {
      // 304: it does not run. 404: it is gone.
      const status = statusOf(error);
      if (status !== 304 && status !== 404)
        throw new Error(`Error stopping container ${id}: ${reason(error)}`, { cause: error });
    }
    try {
      await target.remove({ force: true, v: value.flag(state, "removeVolumes") });
    } catch (error) {
      if (statusOf(error) !== 404 && !reason(error).includes("is already in progress")) {
        throw new Error(`Error deleting container ${id}: ${reason(error)}`, { cause: error });
      }
    }
    const gone = async () => (await found(target.inspect())) === undefined;
    if (!(await until(gone, { seconds: 30, signal: context.signal }))) {
      throw new Error(`Error waiting for container removal '${id}': it still exists after 30 s`);
    }
  },
};
