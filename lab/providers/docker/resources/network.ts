// docker.Network: everything replaces; removal waits until the last container has let go.
import type { Network, NetworkInspectInfo } from "dockerode";
import { attempt, found, reason, statusOf } from "../docker.ts";
import { complete, flag, labels, map, objectSet, text, type Fields } from "../../protocol/schema.ts";
import * as value from "../../protocol/value.ts";
import type { Bag } from "../../protocol/value.ts";
import { until, type ResourceType } from "./resource.ts";

/** As long as the official provider waits for containers that are about to leave. */
const REMOVE_SECONDS = 30;

const replaces = true;
const computed = true;
export const fields: Fields = {
  name: text({ replaces }),
  labels: labels(),
  driver: text({ replaces, computed }),
  options: map({ replaces, computed }),
  internal: flag({ replaces, computed }),
  attachable: flag({ replaces }),
  ingress: flag({ replaces }),
  ipv6: flag({ replaces }),
  ipamDriver: text({ replaces, default: "default" }),
  ipamOptions: map({ replaces }),
  ipamConfigs: objectSet(
    { subnet: text(), ipRange: text(), gateway: text(), auxAddress: map() },
    { replaces, computed, whole: true },
  ),
  scope: text({ output: true }),
};

export interface NetworkSpec {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver?: string;
  readonly Labels: Record<string, string>;
  readonly Options: Record<string, string>;
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly EnableIPv6: boolean;
  readonly IPAM: {
    readonly Driver: string;
    readonly Options: Record<string, string>;
    readonly Config: Record<string, string>[];
  };
}

export function networkSpec(inputs: Bag): NetworkSpec {
  const driver = value.text(inputs, "driver");
  return {
    Name: value.text(inputs, "name"),
    CheckDuplicate: true,
    ...(driver === "" ? {} : { Driver: driver }),
    Labels: value.labelMap(inputs),
    Options: value.textMap(inputs, "options"),
    Internal: value.flag(inputs, "internal"),
    Attachable: value.flag(inputs, "attachable"),
    Ingress: value.flag(inputs, "ingress"),
    EnableIPv6: value.flag(inputs, "ipv6"),
    IPAM: {
      Driver: value.text(inputs, "ipamDriver") || "default",
      Options: value.textMap(inputs, "ipamOptions"),
      Config: value.bags(inputs, "ipamConfigs").map(ipamConfig),
    },
  };
}

function ipamConfig(config: Bag): Record<string, string> {
  const named = {
    Subnet: value.text(config, "subnet"),
    IPRange: value.text(config, "ipRange"),
    Gateway: value.text(config, "gateway"),
  };
  const set = Object.entries(named).filter(([, address]) => address !== "");
  const auxiliary = value.textMap(config, "auxAddress");
  const all: Record<string, unknown> = Object.fromEntries(set);
  if (Object.keys(auxiliary).length > 0) all["AuxiliaryAddresses"] = auxiliary;
  return all as Record<string, string>;
}

/** @param inputs what a create was asked for; undefined after a refresh, when the engine alone speaks */
export function networkState(seen: NetworkInspectInfo, inputs?: Bag): Bag {
  const asked = inputs === undefined ? [] : value.bags(inputs, "ipamConfigs");
  return {
    name: seen.Name,
    labels: value.labelList(seen.Labels),
    driver: seen.Driver,
    options: { ...seen.Options },
    internal: seen.Internal,
    attachable: seen.Attachable,
    ingress: seen.Ingress,
    ipv6: seen.EnableIPv6,
    ipamDriver: seen.IPAM?.Driver ?? "default",
    ipamOptions:
      Object.keys(seen.IPAM?.Options ?? {}).length > 0 || inputs === undefined ? { ...seen.IPAM?.Options } : null,
    ipamConfigs:
      asked.length > 0 && fields["ipamConfigs"]
        ? complete(fields["ipamConfigs"].shape, asked)
        : (seen.IPAM?.Config ?? []).map((config: Record<string, unknown>) => ({
            subnet: address(config["Subnet"]),
            ipRange: address(config["IPRange"]),
            gateway: address(config["Gateway"]),
            auxAddress: { ...(config["AuxiliaryAddresses"] as Record<string, string> | undefined) },
          })),
    scope: seen.Scope,
  };
}

/** The client declares no type for this answer. */
const inspect = async (network: Network): Promise<NetworkInspectInfo> => await network.inspect();

const address = (value: unknown): string => (typeof value === "string" ? value : "");

export const network: ResourceType = {
  token: "docker:index/network:Network",
  stateVersion: 1,
  fields,
  refused: [],
  autoname: true,

  async create(context, inputs) {
    const docker = await context.docker();
    const made = await attempt("Unable to create network", docker.createNetwork(networkSpec(inputs)));
    const seen = await inspect(made);
    return { id: seen.Id, state: networkState(seen, inputs) };
  },

  async read(context, id) {
    const docker = await context.docker();
    const seen = await found(inspect(docker.getNetwork(id)));
    return seen && { id: seen.Id, state: networkState(seen) };
  },

  update: (_context, _id, { planned }) => Promise.resolve(planned),

  async remove(context, id) {
    const docker = await context.docker();
    const gone = await until(
      async () => {
        try {
          await docker.getNetwork(id).remove();
          return true;
        } catch (error) {
          if (statusOf(error) === 404) return true;
          if (reason(error).includes("has active endpoints")) return false;
          throw new Error(`Unable to remove network: ${reason(error)}`, { cause: error });
        }
      },
      { seconds: REMOVE_SECONDS, signal: context.signal },
    );
    if (!gone) {
      throw new Error(
        `Unable to remove network: containers are still attached to it after ${REMOVE_SECONDS} s; ` +
          `'docker network inspect ${id.slice(0, 12)}' names them`,
      );
    }
  },
};
