// What a test run needs from this machine: names, ports and subnets of its own, a base image, and a way to leave nothing behind.
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type Docker from "dockerode";
import { connect, parseHost } from "./docker.ts";

export const BASE_IMAGE = process.env["VECTIS_TEST_IMAGE"] ?? "vectis-local/debian:trixie";

export interface Testbed {
  readonly run: string;
  readonly docker: Docker;
  readonly baseImageId: string;
  readonly clean: () => Promise<void>;
}

export async function testbed(): Promise<Testbed> {
  const run = `vectis-test-${randomBytes(4).toString("hex")}`;
  const docker = await connect(parseHost(process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock"));
  const base = await docker
    .getImage(BASE_IMAGE)
    .inspect()
    .catch((error: unknown) => {
      throw new Error(
        `these tests need a Docker Engine with the image ${BASE_IMAGE}; VECTIS_TEST_IMAGE names another`,
        {
          cause: error,
        },
      );
    });
  const clean = async (): Promise<void> => {
    const filters = { name: [run] };
    for (const { Id } of await docker.listContainers({ all: true, filters })) {
      await docker.getContainer(Id).remove({ force: true, v: true });
    }
    for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
    for (const { Name } of (await docker.listVolumes({ filters })).Volumes) await docker.getVolume(Name).remove();
    for (const { RepoTags } of await docker.listImages()) {
      for (const tag of (RepoTags ?? []).filter((name) => name.startsWith(run))) {
        await docker.getImage(tag).remove({ force: true });
      }
    }
  };
  return { run, docker, baseImageId: base.Id, clean };
}

/** Ports that were free on all addresses a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done, fail) => {
          server.once("error", fail);
          server.listen(0, "0.0.0.0", () => {
            const address = server.address();
            if (address !== null && typeof address === "object") done(address.port);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** The first three numbers of a /24 that no Docker network overlaps. */
export async function freeSubnet(docker: Docker): Promise<string> {
  const taken = (await docker.listNetworks()).flatMap((network) =>
    (network.IPAM?.Config ?? []).map((config) => config.Subnet ?? ""),
  );
  const offset = randomBytes(1).readUInt8();
  for (let i = 0; i < 256; i++) {
    const prefix = `10.213.${(offset + i) % 256}`;
    if (
      !taken.some(
        (subnet) => subnet.startsWith(`${prefix}.`) || /^10\.213\.0\.0\/1\d|^10\.\d+\.0\.0\/[89]/.test(subnet),
      )
    ) {
      return prefix;
    }
  }
  throw new Error("every subnet in 10.213.0.0/16 is taken by a Docker network");
}
