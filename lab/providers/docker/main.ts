// The docker package as a plugin: where its engine is, and which resource types it has.
import { serve } from "../protocol/main.ts";
import { sdkv2 } from "../protocol/sdkv2.ts";
import { connect, describe, parseHost, ping, reason } from "./docker.ts";
import { container } from "./resources/container.ts";
import { image } from "./resources/image.ts";
import { network } from "./resources/network.ts";
import type { Api } from "./resources/resource.ts";
import { volume } from "./resources/volume.ts";

serve<Api>({
  name: "docker",
  style: sdkv2,
  config: { host: { check: parseHost } },
  types: [container, image, network, volume],
  functions: [],
  reason,

  async open({ host }) {
    const target = parseHost(host || process.env["DOCKER_HOST"] || "unix:///var/run/docker.sock");
    await ping(target).catch((error: unknown) => {
      throw new Error(
        `cannot reach the Docker Engine at ${describe(target)}: ${reason(error)}. ` +
          "Is dockerd running? Set docker:host or DOCKER_HOST to reach another one, for example unix:///var/run/docker.sock",
      );
    });
    let client: ReturnType<typeof connect> | undefined;
    return { docker: () => (client ??= connect(target)) };
  },
});
