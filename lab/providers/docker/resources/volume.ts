// docker.Volume: everything replaces; removal waits for containers that still use it.
import type { VolumeInspectInfo } from "dockerode";
import { attempt, found, reason, statusOf } from "../docker.ts";
import { labels, map, text, type Fields } from "../../protocol/schema.ts";
import * as value from "../../protocol/value.ts";
import type { Bag } from "../../protocol/value.ts";
import { until, type ResourceType } from "./resource.ts";

const REMOVE_SECONDS = 30;

const replaces = true;
const computed = true;
export const fields: Fields = {
  name: text({ replaces }),
  labels: labels(),
  driver: text({ replaces, computed }),
  driverOpts: map({ replaces }),
  mountpoint: text({ output: true }),
};

/** @param created whether this is the state right after a create, which keeps an absent map apart from an empty one */
export function volumeState(seen: VolumeInspectInfo, created: boolean): Bag {
  const options = seen.Options ?? {};
  return {
    name: seen.Name,
    labels: value.labelList(seen.Labels),
    driver: seen.Driver,
    driverOpts: created && Object.keys(options).length === 0 ? null : { ...options },
    mountpoint: seen.Mountpoint,
    cluster: null,
  };
}

export const volume: ResourceType = {
  token: "docker:index/volume:Volume",
  stateVersion: 1,
  fields,
  refused: ["cluster"],
  autoname: true,

  async create(context, inputs) {
    const docker = await context.docker();
    const driver = value.text(inputs, "driver");
    const name = value.text(inputs, "name");
    const made = docker.createVolume({
      Name: name,
      ...(driver === "" ? {} : { Driver: driver }),
      DriverOpts: value.textMap(inputs, "driverOpts"),
      Labels: value.labelMap(inputs),
    });
    await attempt("Unable to create volume", made);
    return { id: name, state: volumeState(await docker.getVolume(name).inspect(), true) };
  },

  async read(context, id) {
    const docker = await context.docker();
    const seen = await found(docker.getVolume(id).inspect());
    return seen && { id: seen.Name, state: volumeState(seen, false) };
  },

  update: (_context, _id, { planned }) => Promise.resolve(planned),

  async remove(context, id) {
    const docker = await context.docker();
    let last = "";
    const gone = await until(
      async () => {
        try {
          await docker.getVolume(id).remove({ force: true });
          return true;
        } catch (error) {
          if (statusOf(error) === 404) return true;
          last = reason(error);
          if (last.includes("volume is in use")) return false;
          throw new Error(`Unable to remove volume: ${last}`, { cause: error });
        }
      },
      { seconds: REMOVE_SECONDS, signal: context.signal },
    );
    if (!gone) throw new Error(`Unable to remove volume: still in use after ${REMOVE_SECONDS} s (in_use): ${last}`);
  },
};
