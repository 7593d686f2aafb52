// docker.RemoteImage: the local image of that name, pulled if it is missing, or built from a folder.
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { Readable } from "node:stream";
import { isAbsolute, join, relative, resolve } from "node:path";
import type Docker from "dockerode";
import { packContext } from "../context.ts";
import type { Change } from "../../protocol/diff.ts";
import { found, reason, statusOf } from "../docker.ts";
import {
  complete,
  flag,
  map,
  object,
  text,
  textList,
  textSet,
  type Fields,
  type Shape,
} from "../../protocol/schema.ts";
import * as value from "../../protocol/value.ts";
import type { Bag } from "../../protocol/value.ts";
import type { Context, ResourceType } from "./resource.ts";

const replaces = true;
const build: Fields = {
  context: text({ required: true }),
  dockerfile: text({ default: "Dockerfile" }),
  tags: textList(),
  buildArgs: map(),
  remove: flag({ default: true }),
  forceRemove: flag(),
  noCache: flag(),
  pullParent: flag(),
  label: map(),
  labels: map(),
  target: text(),
  networkMode: text(),
  extraHosts: textList(),
  cacheFroms: textList(),
  platform: text(),
  useLegacyBuilder: flag({ default: false }),
};

/** Inputs of a build that are stored as absent but never taken: the rest of what the state of a built image shows. */
const NOT_BUILT_WITH: Bag = {
  additionalContexts: [],
  authConfigs: [],
  buildId: "",
  buildLogFile: "",
  builder: "",
  cacheTos: [],
  cgroupParent: "",
  cpuPeriod: null,
  cpuQuota: null,
  cpuSetCpus: "",
  cpuSetMems: "",
  cpuShares: null,
  isolation: "",
  memory: null,
  memorySwap: null,
  provenance: "",
  remoteContext: "",
  sbom: "",
  secrets: [],
  securityOpts: [],
  sessionId: "",
  shmSize: null,
  squash: null,
  suppressOutput: null,
  ulimits: [],
  version: "",
};

const buildShape: Shape = { is: "object", fields: build };

export const fields: Fields = {
  name: text({ replaces, required: true }),
  build: object(build, { replaces }),
  keepLocally: flag(),
  forceRemove: flag(),
  triggers: map({ replaces }),
  pullTriggers: textSet({ replaces }),
  platform: text({ replaces }),
  imageId: text({ output: true }),
  repoDigest: text({ output: true }),
};

/**
 * Numbers, flags and maps of `build` that are null after a create become additions in every other change of the image
 * (recorded; they are zero after a refresh, and no addition then). `label` alone does not replace.
 */
export function alongside(state: Bag, changes: readonly Change[]): Change[] {
  const stored = value.bag(state, "build");
  if (stored === undefined || changes.length === 0 || changes.some((change) => change.property === "build")) return [];
  const replacing = changes.some((change) => change.replaces);
  return Object.keys(stored)
    .filter((key) => stored[key] === null)
    .sort()
    .map((key) => ({ path: `build.${key}`, property: "build", kind: "add", replaces: replacing && key !== "label" }));
}

export function imageState(
  prior: Bag,
  seen: { readonly Id: string; readonly RepoDigests?: string[] | null },
  refreshed: boolean,
): Bag {
  const name = value.text(prior, "name");
  const built = value.bag(prior, "build");
  return {
    name,
    build: built === undefined ? null : storedBuild(built, refreshed),
    keepLocally: prior["keepLocally"] ?? null,
    forceRemove: prior["forceRemove"] ?? null,
    triggers: prior["triggers"] ?? null,
    pullTriggers: prior["pullTriggers"] ?? null,
    platform: prior["platform"] ?? null,
    imageId: seen.Id,
    repoDigest: repoDigest(name, seen.RepoDigests ?? []),
  };
}

function storedBuild(given: Bag, refreshed: boolean): Bag {
  const counts = new Set(["cpuPeriod", "cpuQuota", "cpuShares", "memory", "memorySwap", "shmSize"]);
  const rest = Object.entries(NOT_BUILT_WITH).map(([key, empty]) => [
    key,
    refreshed && empty === null ? (counts.has(key) ? 0 : false) : empty,
  ]);
  const own = complete(buildShape, given, refreshed);
  return { ...(Object.fromEntries(rest) as Bag), ...(value.isBag(own) ? own : {}) };
}

/** The digest under which this image's repository knows it, empty for an image that was only built. */
export function repoDigest(name: string, digests: readonly string[]): string {
  const repository = reference(name).repository;
  return digests.find((digest) => digest.slice(0, digest.indexOf("@")) === repository) ?? "";
}

/** `repository` and `tag`, where a digest is preferred to a tag and `latest` stands for neither. */
export function reference(name: string): { repository: string; tag: string } {
  const at = name.indexOf("@");
  const tagged = at === -1 ? name : name.slice(0, at);
  const colon = tagged.indexOf(":", tagged.lastIndexOf("/") + 1);
  const repository = colon === -1 ? tagged : tagged.slice(0, colon);
  return { repository, tag: at !== -1 ? name.slice(at + 1) : colon === -1 ? "latest" : tagged.slice(colon + 1) };
}

interface Progress {
  readonly stream?: string;
  readonly status?: string;
  readonly error?: string;
}

/** Ends with the stream; the first error in it is the operation's. */
async function follow(docker: Docker, stream: NodeJS.ReadableStream, each: (line: Progress) => void): Promise<void> {
  await new Promise<void>((done, fail) => {
    docker.modem.followProgress(
      stream,
      (error: unknown) =>
        error === null || error === undefined
          ? done()
          : fail(error instanceof Error ? error : new Error(reason(error))),
      (line: Progress) => each(line),
    );
  });
}

/** The local image of that name, else the registry's. A container's image goes the same way. */
export async function findImage(context: Context, name: string, platform = ""): Promise<Docker.ImageInspectInfo> {
  const docker = await context.docker();
  const local = await found(docker.getImage(name).inspect());
  if (local !== undefined) return local;
  if (/^sha256:/.test(name))
    throw new Error(`no image with the id ${name} exists in the Docker Engine, and an id cannot be pulled`);
  const { repository, tag } = reference(name);
  try {
    context.status(`pulling ${name}`);
    const options = { fromImage: repository, tag, ...(platform === "" ? {} : { platform }) };
    const stream = await docker.createImage(options);
    await follow(docker, stream, (line) => {
      if (line.error !== undefined) throw new Error(line.error);
    });
  } catch (error) {
    throw new Error(`unable to pull image ${name}: ${reason(error)}`, { cause: error });
  }
  return await docker.getImage(name).inspect();
}

/** The folder of a build and its Dockerfile inside it, by the form the engine wants. */
export function buildPaths(given: Bag): { folder: string; dockerfile: string } {
  const folder = resolve(value.text(given, "context").replace(/^~(?=\/|$)/, homedir()));
  const named = value.text(given, "dockerfile") || "Dockerfile";
  const dockerfile = isAbsolute(named) ? relative(folder, named) : named.replace(/^\.\//, "");
  if (dockerfile.startsWith("..")) {
    throw new Error(`the Dockerfile '${named}' is outside the build context '${folder}'; put it inside`);
  }
  return { folder, dockerfile };
}

/** What the failing step printed: everything since the last line that begins a step. */
export function failedStep(lines: readonly string[]): string {
  const output = lines.join("").split("\n");
  const last = output.findLastIndex((line) => line.startsWith("Step "));
  return output.slice(Math.max(last, 0)).join("\n").trim();
}

async function buildImage(context: Context, given: Bag, name: string): Promise<void> {
  const docker = await context.docker();
  const { folder, dockerfile } = buildPaths(given);
  await access(join(folder, dockerfile)).catch(() => {
    throw new Error(`unable to build image ${name}: no Dockerfile at ${join(folder, dockerfile)}`);
  });
  const archive = await packContext(folder, [dockerfile, ".dockerignore"]);
  const platform = value.text(given, "platform");
  const networkmode = value.text(given, "networkMode");
  const target = value.text(given, "target");
  const options = {
    // An image's own name is a tag too, as in the official provider.
    // The client sends a list as one parameter for each element; its declaration knows one tag only.
    t: [...new Set([name, ...value.texts(given, "tags")])] as unknown as string,
    dockerfile,
    buildargs: value.textMap(given, "buildArgs"),
    labels: { ...value.textMap(given, "label"), ...value.textMap(given, "labels") },
    rm: value.flag(given, "remove"),
    forcerm: value.flag(given, "forceRemove"),
    nocache: value.flag(given, "noCache"),
    pull: value.flag(given, "pullParent"),
    ...(target === "" ? {} : { target }),
    ...(networkmode === "" ? {} : { networkmode }),
    ...(platform === "" ? {} : { platform }),
    ...(value.texts(given, "extraHosts").length > 0 ? { extrahosts: value.texts(given, "extraHosts").join(",") } : {}),
    ...(value.texts(given, "cacheFroms").length > 0
      ? { cachefrom: JSON.stringify(value.texts(given, "cacheFroms")) }
      : {}),
    abortSignal: context.signal,
  };
  const lines: string[] = [];
  let failure: string | undefined;
  try {
    const stream = await docker.buildImage(Readable.from([archive]), options);
    await follow(docker, stream, (line) => {
      failure ??= line.error;
      if (line.stream === undefined) return;
      lines.push(line.stream);
      if (line.stream.startsWith("Step ")) context.status(line.stream.trim());
    });
  } catch (error) {
    failure ??= reason(error);
  }
  if (failure !== undefined) {
    const step = failedStep(lines);
    throw new Error(
      `unable to build image ${name} from ${join(folder, dockerfile)}: ${failure}${step === "" ? "" : `\n\n${step}\n`}`,
    );
  }
}

export const image: ResourceType = {
  token: "docker:index/remoteImage:RemoteImage",
  stateVersion: 0,
  fields,
  refused: Object.keys(NOT_BUILT_WITH),
  autoname: false,
  alongside,

  async create(context, inputs) {
    const name = value.text(inputs, "name");
    const given = value.bag(inputs, "build");
    if (given !== undefined) await buildImage(context, given, name);
    const seen = await findImage(context, name, value.text(inputs, "platform"));
    return { id: seen.Id + name, state: imageState(inputs, seen, false) };
  },

  async read(context, id, prior) {
    const docker = await context.docker();
    const known = prior ?? { name: id };
    const name = value.text(known, "name");
    const seen = await found(docker.getImage(name).inspect());
    return seen && { id: seen.Id + name, state: imageState(known, seen, true) };
  },

  async update(context, _id, { planned }) {
    const seen = await findImage(context, value.text(planned, "name"), value.text(planned, "platform"));
    return imageState(planned, seen, false);
  },

  async remove(context, _id, state) {
    if (value.flag(state, "keepLocally")) return;
    const docker = await context.docker();
    try {
      await docker.getImage(value.text(state, "name")).remove({ force: value.flag(state, "forceRemove") });
    } catch (error) {
      if (statusOf(error) !== 404) throw new Error(`Unable to remove Docker image: ${reason(error)}`, { cause: error });
    }
  },
};
