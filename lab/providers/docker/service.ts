// The resource provider protocol of Pulumi, for the resource types in resources/.
//
// The SDK's own provider server (@pulumi/pulumi/provider) is not used: its interface passes neither detailed differences, old inputs
// nor ignored changes, answers a refresh without inputs, and importing it takes several times as long as this whole plugin's start.
import { createRequire } from "node:module";
import grpc from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall, UntypedServiceImplementation } from "@grpc/grpc-js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import type { PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import type { Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import type Docker from "dockerode";
import { diff, unchanged, without, type Change } from "./diff.ts";
import { connect, describe, parseHost, ping, reason, type Address } from "./docker.ts";
import type { Engine } from "./engine.ts";
import { inputsOf, plan } from "./plan.ts";
import { container } from "./resources/container.ts";
import { image } from "./resources/image.ts";
import { network } from "./resources/network.ts";
import { CULPRIT, HalfMade, type Context, type Made, type ResourceType } from "./resources/resource.ts";
import { volume } from "./resources/volume.ts";
import { canonical, check } from "./schema.ts";
import { DEFAULTS, isBag, isEmpty, list, text, UNKNOWN, type Bag, type Plain } from "./value.ts";
import { decode, encode, type Properties } from "./wire.ts";

const TYPES = new Map([container, image, network, volume].map((type) => [type.token, type]));

/** What a default provider's inputs hold beside the package's own configuration. */
const ENGINE_KEYS = new Set(["version", "pluginDownloadURL", "parameterization", "__internal", DEFAULTS]);

function typeOf(urn: string): ResourceType {
  // urn:pulumi:stack::project::parent$type::name
  const token = urn.split("::")[2]?.split("$").at(-1) ?? "";
  const type = TYPES.get(token);
  if (type === undefined) {
    throw new Error(
      `resource type '${token}' is not supported by this stand-in for the docker provider (it has ${[...TYPES.keys()].join(", ")})`,
    );
  }
  return type;
}

const nameOf = (urn: string): string => urn.split("::").slice(3).join("::");

/** The version of the SDK package that programs use, which is also the version of the plugin that they ask for. */
export function version(): string {
  const manifest: unknown = createRequire(import.meta.url)("@pulumi/docker/package.json");
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "";
}

type Handler<Request, Response> = (request: Request) => Response | Promise<Response>;

export function service(engine: Engine): UntypedServiceImplementation {
  const cancelled = new AbortController();
  let address: Address | undefined;
  let client: Promise<Docker> | undefined;

  const context = (urn: string): Context => ({
    docker: () => {
      address ??= parseHost(process.env["DOCKER_HOST"] || "unix:///var/run/docker.sock");
      return (client ??= connect(address));
    },
    status: (message) => engine.status(urn, message),
    warn: (message) => engine.warn(urn, message),
    signal: cancelled.signal,
  });

  const handshake: Handler<pb.ProviderHandshakeRequest, pb.ProviderHandshakeResponse> = (request) => {
    if (request.getEngineAddress() !== "") engine.address = request.getEngineAddress();
    const response = new provider.ProviderHandshakeResponse();
    response.setAcceptSecrets(true);
    response.setSupportsAutonamingConfiguration(true);
    return response;
  };

  const checkConfig: Handler<pb.CheckRequest, pb.CheckResponse> = (request) => {
    const response = new provider.CheckResponse();
    const { values } = decode(request.getNews());
    for (const [key, value] of Object.entries(values)) {
      if (ENGINE_KEYS.has(key)) continue;
      if (key !== "host") {
        response.addFailures(
          failure(
            "",
            `docker:${key} is not supported by this stand-in for the docker provider; it takes docker:host only`,
          ),
        );
      } else if (value !== UNKNOWN) {
        try {
          parseHost(text(values, key));
        } catch (error) {
          response.addFailures(failure("host", reason(error)));
        }
      }
    }
    response.setInputs(request.getNews());
    return response;
  };

  const diffConfig: Handler<pb.DiffRequest, pb.DiffResponse> = (request) => {
    const [before, after] = [decode(request.getOldInputs() ?? request.getOlds()), decode(request.getNews())];
    const changed = before.values["host"] !== after.values["host"];
    const response = new provider.DiffResponse();
    response.setChanges(
      changed ? provider.DiffResponse.DiffChanges.DIFF_SOME : provider.DiffResponse.DiffChanges.DIFF_NONE,
    );
    if (changed) response.addDiffs("host");
    return response;
  };

  const configure: Handler<pb.ConfigureRequest, pb.ConfigureResponse> = async (request) => {
    const { values } = decode(request.getArgs());
    const host =
      text(values, "host") || request.getVariablesMap().get("docker:config:host") || process.env["DOCKER_HOST"];
    if (host !== UNKNOWN) {
      const target = parseHost(host || "unix:///var/run/docker.sock");
      await ping(target).catch((error: unknown) => {
        throw new Error(
          `cannot reach the Docker Engine at ${describe(target)}: ${reason(error)}. ` +
            "Is dockerd running? Set docker:host or DOCKER_HOST to reach another one, for example unix:///var/run/docker.sock",
        );
      });
      [address, client] = [target, undefined];
    }
    const response = new provider.ConfigureResponse();
    response.setAcceptsecrets(true);
    response.setSupportspreview(true);
    response.setSupportsAutonamingConfiguration(true);
    return response;
  };

  const checkResource: Handler<pb.CheckRequest, pb.CheckResponse> = (request) => {
    const type = typeOf(request.getUrn());
    const name = nameOf(request.getUrn());
    const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
    const { inputs, problems } = check(type.fields, news.values, name, type.refused);
    const response = new provider.CheckResponse();
    for (const problem of problems) {
      // The engine would print the value of a named property, secret or not: the path stands in the sentence instead.
      response.addFailures(failure("", `${problem.reason}. Examine values at '${problem.path}'.`));
    }
    if (type.autoname && isEmpty(inputs["name"])) {
      inputs["name"] = madeName(request, olds.values, name);
      inputs[DEFAULTS] = [...list(inputs, DEFAULTS), "name"].sort();
    }
    response.setInputs(encode(inputs, news.secret));
    return response;
  };

  const diffResource: Handler<pb.DiffRequest, pb.DiffResponse> = (request) => {
    const type = typeOf(request.getUrn());
    const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
    const oldInputs = request.hasOldInputs() ? decode(request.getOldInputs()).values : undefined;
    const changes = changesOf(type, olds.values, news.values, request.getIgnorechangesList());
    const response = new provider.DiffResponse();
    const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
    response.setChanges(changes.length > 0 ? DIFF_SOME : DIFF_NONE);
    response.setDiffsList([...new Set(changes.map((change) => change.property))].sort());
    // One entry for each difference that replaces, as the official provider lists them.
    response.setReplacesList(changes.filter((change) => change.replaces).map((change) => change.property));
    const madeUp = list(news.values, DEFAULTS).includes("name");
    response.setDeletebeforereplace(type.autoname && !madeUp && response.getReplacesList().length > 0);
    response.setHasdetaileddiff(true);
    for (const change of changes) {
      const detail = new provider.PropertyDiff();
      detail.setKind(KINDS[change.kind][change.replaces ? 1 : 0]);
      detail.setInputdiff(ownEdit(type, change, oldInputs?.[change.property], news.values[change.property]));
      response.getDetaileddiffMap().set(change.path, detail);
    }
    return response;
  };

  const create: Handler<pb.CreateRequest, pb.CreateResponse> = async (request) => {
    const type = typeOf(request.getUrn());
    const inputs = decode(request.getProperties());
    const response = new provider.CreateResponse();
    if (request.getPreview()) {
      response.setProperties(encode(plan(type.fields, inputs.values), inputs.secret));
      return response;
    }
    try {
      const made = await type.create(context(request.getUrn()), inputs.values);
      response.setId(made.id);
      response.setProperties(encode(stored(type, made), inputs.secret));
      return response;
    } catch (error) {
      throw error instanceof HalfMade ? initFailed(type, error, inputs) : error;
    }
  };

  const read: Handler<pb.ReadRequest, pb.ReadResponse> = async (request) => {
    const type = typeOf(request.getUrn());
    const [prior, inputs] = [decode(request.getProperties()), decode(request.getInputs())];
    const known = Object.keys(prior.values).length > 0 ? prior.values : undefined;
    const asked = Object.keys(inputs.values).length > 0 ? inputs.values : undefined;
    const response = new provider.ReadResponse();
    const made = await type.read(context(request.getUrn()), request.getId(), known);
    if (made === undefined) return response;
    const culprit = prior.values[CULPRIT];
    if (culprit !== undefined) made.state[CULPRIT] = culprit;
    const secret = new Set([...prior.secret, ...inputs.secret]);
    const same = (key: string): boolean => {
      const field = type.fields[key];
      return field !== undefined && unchanged(key, field, made.state[key], asked?.[key]);
    };
    const next = inputsOf(type.fields, made.state, known === undefined ? undefined : (asked ?? {}), same, prune);
    const defaults = asked?.[DEFAULTS];
    response.setId(made.id);
    response.setProperties(encode(stored(type, made), secret));
    response.setInputs(encode(defaults === undefined ? next : { ...next, [DEFAULTS]: defaults }, secret));
    return response;
  };

  const update: Handler<pb.UpdateRequest, pb.UpdateResponse> = async (request) => {
    const type = typeOf(request.getUrn());
    const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
    const planned = plan(type.fields, news.values, olds.values);
    const secret = new Set([...news.secret, ...[...olds.secret].filter((key) => news.values[key] === undefined)]);
    const response = new provider.UpdateResponse();
    if (request.getPreview()) {
      response.setProperties(encode(planned, secret));
      return response;
    }
    const change = { before: olds.values, inputs: news.values, planned };
    const state = await type.update(context(request.getUrn()), request.getId(), change);
    response.setProperties(encode(stored(type, { id: request.getId(), state }), secret));
    return response;
  };

  const remove: Handler<pb.DeleteRequest, Empty> = async (request) => {
    const type = typeOf(request.getUrn());
    await type.remove(context(request.getUrn()), request.getId(), decode(request.getProperties()).values);
    return new empty.Empty();
  };

  const invoke: Handler<pb.InvokeRequest, pb.InvokeResponse> = (request) => {
    throw new Error(`function '${request.getTok()}' is not supported by this stand-in for the docker provider`);
  };

  const getSchema: Handler<pb.GetSchemaRequest, pb.GetSchemaResponse> = () => {
    const response = new provider.GetSchemaResponse();
    response.setSchema(JSON.stringify({ name: "docker", version: version() }));
    return response;
  };

  const getPluginInfo: Handler<Empty, PluginInfo> = () => {
    const response = new plugin.PluginInfo();
    response.setVersion(version());
    return response;
  };

  const attach: Handler<PluginAttach, Empty> = (request) => {
    engine.address = request.getAddress();
    return new empty.Empty();
  };

  const cancel: Handler<Empty, Empty> = () => {
    cancelled.abort(new Error("the run was cancelled"));
    return new empty.Empty();
  };

  return {
    handshake: unary(handshake),
    checkConfig: unary(checkConfig),
    diffConfig: unary(diffConfig),
    configure: unary(configure),
    check: unary(checkResource),
    diff: unary(diffResource),
    create: unary(create),
    read: unary(read),
    update: unary(update),
    delete: unary(remove),
    invoke: unary(invoke),
    getSchema: unary(getSchema),
    getPluginInfo: unary(getPluginInfo),
    attach: unary(attach),
    cancel: unary(cancel),
  };
}

/** An answer, or an error with a message for the person who runs Pulumi. */
function unary<Request, Response>(handler: Handler<Request, Response>) {
  return (call: ServerUnaryCall<Request, Response>, answer: sendUnaryData<Response>): void => {
    Promise.resolve()
      .then(() => handler(call.request))
      .then(
        (response) => answer(null, response),
        (error: unknown) => {
          if (error instanceof Refused) answer(error.status, null);
          else answer({ code: grpc.status.UNKNOWN, details: reason(error) }, null);
        },
      );
  };
}

class Refused extends Error {
  readonly status: { code: number; details: string; metadata: InstanceType<typeof grpc.Metadata> };

  constructor(details: string, metadata: InstanceType<typeof grpc.Metadata>) {
    super(details);
    this.status = { code: grpc.status.UNKNOWN, details, metadata };
  }
}

/** A failed create that leaves something behind: the engine records it from the details of the error (ErrorResourceInitFailed). */
function initFailed(type: ResourceType, error: HalfMade, inputs: Properties): Refused {
  const detail = new provider.ErrorResourceInitFailed();
  const state = { ...error.made.state, [CULPRIT]: error.culprit };
  detail.setId(error.made.id);
  detail.setProperties(encode(stored(type, { id: error.made.id, state }), inputs.secret));
  detail.setReasonsList([error.message]);
  detail.setInputs(encode(inputs.values, inputs.secret));
  const metadata = new grpc.Metadata();
  metadata.add("grpc-status-details-bin", statusDetails(error.message, detail.serializeBinary()));
  return new Refused(error.message, metadata);
}

/** google.rpc.Status{code, message, details: [Any]}; written by hand, because the SDK generates no code for the Any inside it. */
function statusDetails(message: string, detail: Uint8Array): Buffer {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const bytes = (field: number, data: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(data.length)]), data]);
  const any = Buffer.concat([
    bytes(1, Buffer.from("type.googleapis.com/pulumirpc.ErrorResourceInitFailed")),
    bytes(2, detail),
  ]);
  return Buffer.concat([Buffer.from([8, grpc.status.UNKNOWN]), bytes(2, Buffer.from(message)), bytes(3, any)]);
}

const { ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE } = provider.PropertyDiff.Kind;
const KINDS = {
  add: [ADD, ADD_REPLACE],
  delete: [DELETE, DELETE_REPLACE],
  update: [UPDATE, UPDATE_REPLACE],
} as const;

function changesOf(type: ResourceType, state: Bag, inputs: Bag, ignored: readonly string[]): Change[] {
  const real = without(diff(type.fields, state, inputs), ignored);
  const all = [...real, ...(type.alongside?.(state, real) ?? [])].sort((a, b) => (a.path < b.path ? -1 : 1));
  const culprit = text(state, CULPRIT);
  if (culprit === "" || all.some((change) => change.replaces && change.property === culprit)) return all;
  return [
    ...all.filter((change) => change.property !== culprit),
    { path: culprit, property: culprit, kind: "update", replaces: true },
  ];
}

/**
 * Whether to show a difference between the program's two versions, not between state and program: for a list such as `uploads`,
 * which the state fills up with empty fields, and which a person wants to see line by line.
 */
function ownEdit(type: ResourceType, change: Change, before: Plain | undefined, after: Plain | undefined): boolean {
  const field = type.fields[change.property];
  if (field?.whole !== true || before === undefined || after === undefined) return false;
  return canonical(field.shape, before) !== canonical(field.shape, after);
}

/** A state with the upstream schema's version, in the place where the official plugin looks for it. */
function stored(type: ResourceType, made: Made): Bag {
  return type.stateVersion === 0
    ? made.state
    : { ...made.state, __meta: JSON.stringify({ schema_version: String(type.stateVersion) }) };
}

function failure(property: string, why: string): pb.CheckFailure {
  const result = new provider.CheckFailure();
  result.setProperty(property);
  result.setReason(why);
  return result;
}

/** A made name stays as long as the resource; a new one follows the stack's autonaming, else the SDKs' habit of seven digits. */
function madeName(request: pb.CheckRequest, olds: Bag, name: string): string {
  if (list(olds, DEFAULTS).includes("name") && !isEmpty(olds["name"])) return text(olds, "name");
  const proposed = request.getAutonaming()?.getProposedName() ?? "";
  if (proposed !== "") return proposed;
  const seed = Buffer.from(request.getRandomseed_asU8());
  const digits = seed.length > 0 ? seed.toString("hex") : crypto.randomUUID().replaceAll("-", "");
  return `${name}-${digits.slice(0, 7)}`;
}

/** A stored value as a program would write it: without what is empty. */
function prune(value: Plain): Plain {
  if (Array.isArray(value))
    return value.length === 0 ? null : value.map((item) => (isBag(item) ? (prune(item) ?? {}) : item));
  if (isBag(value)) {
    const filled = Object.entries(value)
      .map(([key, item]): [string, Plain] => [key, isBag(item) || Array.isArray(item) ? prune(item) : item])
      .filter(([, item]) => item !== null && item !== "" && item !== 0 && item !== false);
    return filled.length === 0 ? null : Object.fromEntries(filled);
  }
  return value === "" ? null : value;
}
