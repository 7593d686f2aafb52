// The bridge network in which the containers of one mail host find each other.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { ownershipLabels } from "./container.ts";

export interface HostNetworkArgs {
  /** Name of the network on the Docker host. */
  readonly networkName: string;
  /** Value of the ownership label: the stack's `name`. */
  readonly owner: string;
}

/** Not internal: Docker silently drops published ports of containers all of whose networks are internal. */
export class HostNetwork extends pulumi.ComponentResource {
  readonly networkName: pulumi.Output<string>;

  constructor(name: string, args: HostNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:network:HostNetwork", name, args, opts);
    const network = new docker.Network(
      name,
      { name: args.networkName, labels: ownershipLabels(args.owner) },
      { parent: this },
    );
    this.networkName = network.name;
    this.registerOutputs({ networkName: this.networkName });
  }
}
