// The resource provider protocol of Pulumi, for one package (resource.ts says what a package is).
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
import type { Engine } from "./engine.ts";
import { compact } from "./framework.ts";
import { CULPRIT, HalfMade, type Context, type Made, type Package, type ResourceType } from "./resource.ts";
import { check, type Fields, type Problem } from "./schema.ts";
import { DEFAULTS, isEmpty, list, text, UNKNOWN, type Bag } from "./value.ts";
import { decode, encode, type Properties } from "./wire.ts";

/** What a default provider's inputs hold beside the package's own configuration. */
const ENGINE_KEYS = new Set(["version", "pluginDownloadURL", "parameterization", "__internal", DEFAULTS]);

const nameOf = (urn: string): string => urn.split("::").slice(3).join("::");

/** The version of the SDK package that programs use, which is also the version of the plugin that they ask for. */
function version(name: string): string {
  const manifest: unknown = createRequire(import.meta.url)(`@pulumi/${name}/package.json`);
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "";
}

type Handler<Request, Response> = (request: Request) => Response | Promise<Response>;

export function service<Api extends object>(about: Package<Api>, engine: Engine): UntypedServiceImplementation {
  const { style } = about;
  const types = new Map(about.types.map((type) => [type.token, type]));
  const functions = new Map(about.functions.map((item) => [item.token, item]));
  const standIn = `this stand-in for the ${about.name} provider`;
  const reason = about.reason ?? ((error: unknown) => (error instanceof Error ? error.message : String(error)));
  const cancelled = new AbortController();
  let api: Api | undefined;

  const typeOf = (urn: string): ResourceType<Api> => {
    // urn:pulumi:stack::project::parent$type::name
    const token = urn.split("::")[2]?.split("$").at(-1) ?? "";
    const type = types.get(token);
    if (type !== undefined) return type;
    throw new Error(`resource type '${token}' is not supported by ${standIn} (it has ${[...types.keys()].join(", ")})`);
  };

  const context = (urn: string): Context<Api> => {
    if (api === undefined) {
      throw new Error(`the ${about.name} provider's configuration is not known yet: one of its values is an output`);
    }
    return {
      ...api,
      status: (message: string) => engine.status(urn, message),
      warn: (message: string) => engine.warn(urn, message),
      signal: cancelled.signal,
    };
  };

  /** A state as properties: what is secret is what came in as a secret and what always is. */
  const stored = (type: ResourceType<Api>, made: Made, secret: ReadonlySet<string>) => {
    const state = style.stored(made.id, made.state);
    if (type.stateVersion > 0) state["__meta"] = JSON.stringify({ schema_version: String(type.stateVersion) });
    return encode(state, withSecrets(type.fields, state, secret));
  };

  const handshake: Handler<pb.ProviderHandshakeRequest, pb.ProviderHandshakeResponse> = (request) => {
    if (request.getEngineAddress() !== "") engine.address = request.getEngineAddress();
    const response = new provider.ProviderHandshakeResponse();
    response.setAcceptSecrets(true);
    response.setSupportsAutonamingConfiguration(true);
    return response;
  };

  const checkConfig: Handler<pb.CheckRequest, pb.CheckResponse> = (request) => {
    const response = new provider.CheckResponse();
    const { values, secret } = decode(request.getNews());
    const hidden = new Set(secret);
    for (const [key, value] of Object.entries(values)) {
      if (ENGINE_KEYS.has(key)) continue;
      const known = about.config[key];
      if (known === undefined) {
        const taken = Object.keys(about.config).map((name) => `${about.name}:${name}`);
        const rest = taken.length === 0 ? "it takes no configuration" : `it takes ${taken.join(" and ")} only`;
        response.addFailures(failure("", `${about.name}:${key} is not supported by ${standIn}; ${rest}`));
        continue;
      }
      if (known.secret === true) hidden.add(key);
      if (value === UNKNOWN) continue;
      try {
        known.check?.(text(values, key));
      } catch (error) {
        // The engine would print the value of a named property, secret or not.
        response.addFailures(failure(known.secret === true ? "" : key, reason(error)));
      }
    }
    response.setInputs(encode(values, hidden));
    return response;
  };

  const diffConfig: Handler<pb.DiffRequest, pb.DiffResponse> = (request) => {
    const [before, after] = [decode(request.getOldInputs() ?? request.getOlds()), decode(request.getNews())];
    const changed = Object.keys(about.config).filter((key) => before.values[key] !== after.values[key]);
    const response = new provider.DiffResponse();
    const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
    response.setChanges(changed.length > 0 ? DIFF_SOME : DIFF_NONE);
    response.setDiffsList(changed);
    return response;
  };

  const configure: Handler<pb.ConfigureRequest, pb.ConfigureResponse> = async (request) => {
    const { values } = decode(request.getArgs());
    const given = Object.keys(about.config).map((key): [string, string] => [
      key,
      text(values, key) || (request.getVariablesMap().get(`${about.name}:config:${key}`) ?? ""),
    ]);
    if (given.every(([, value]) => value !== UNKNOWN)) api = await about.open(Object.fromEntries(given));
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
    const madeName = (): string => nameFor(request, olds.values, name);
    const { inputs, problems } = style.check(type, news.values, name, about.name, madeName);
    const response = new provider.CheckResponse();
    for (const problem of problems) response.addFailures(failure("", sentence(problem)));
    response.setInputs(encode(inputs, withSecrets(type.fields, inputs, news.secret)));
    return response;
  };

  const diffResource: Handler<pb.DiffRequest, pb.DiffResponse> = (request) => {
    const type = typeOf(request.getUrn());
    const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
    const inputs = request.hasOldInputs() ? decode(request.getOldInputs()).values : undefined;
    const found = style.differ(type, { state: olds.values, inputs }, news.values, request.getIgnorechangesList());
    const response = new provider.DiffResponse();
    const { DIFF_NONE, DIFF_SOME } = provider.DiffResponse.DiffChanges;
    response.setChanges(found.properties.length > 0 ? DIFF_SOME : DIFF_NONE);
    response.setDiffsList([...found.properties]);
    response.setReplacesList([...found.replaces]);
    response.setDeletebeforereplace(found.deleteBeforeReplace);
    response.setHasdetaileddiff(found.detailed !== undefined);
    for (const [path, { kind, replaces, betweenInputs }] of found.detailed ?? []) {
      const detail = new provider.PropertyDiff();
      detail.setKind(KINDS[kind][replaces ? 1 : 0]);
      detail.setInputdiff(betweenInputs);
      response.getDetaileddiffMap().set(path, detail);
    }
    return response;
  };

  const create: Handler<pb.CreateRequest, pb.CreateResponse> = async (request) => {
    const type = typeOf(request.getUrn());
    const inputs = decode(request.getProperties());
    const planned = style.plan(type, inputs.values);
    const response = new provider.CreateResponse();
    if (request.getPreview()) {
      response.setProperties(encode(planned, withSecrets(type.fields, planned, inputs.secret)));
      return response;
    }
    try {
      const made = await type.create(context(request.getUrn()), inputs.values, planned);
      response.setId(made.id);
      response.setProperties(stored(type, made, inputs.secret));
      return response;
    } catch (error) {
      throw error instanceof HalfMade ? initFailed(error, inputs, (made) => stored(type, made, inputs.secret)) : error;
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
    const next = style.inputsOf(type, made.state, known === undefined ? undefined : (asked ?? {}));
    response.setId(made.id);
    response.setProperties(stored(type, made, secret));
    response.setInputs(encode(next, withSecrets(type.fields, next, secret)));
    return response;
  };

  const update: Handler<pb.UpdateRequest, pb.UpdateResponse> = async (request) => {
    const type = typeOf(request.getUrn());
    const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
    const planned = style.plan(type, news.values, olds.values);
    const secret = new Set([...news.secret, ...[...olds.secret].filter((key) => news.values[key] === undefined)]);
    const response = new provider.UpdateResponse();
    if (request.getPreview()) {
      response.setProperties(encode(planned, withSecrets(type.fields, planned, secret)));
      return response;
    }
    const change = { before: olds.values, inputs: news.values, planned };
    const state = await type.update(context(request.getUrn()), request.getId(), change);
    response.setProperties(stored(type, { id: request.getId(), state }, secret));
    return response;
  };

  const remove: Handler<pb.DeleteRequest, Empty> = async (request) => {
    const type = typeOf(request.getUrn());
    await type.remove(context(request.getUrn()), request.getId(), decode(request.getProperties()).values);
    return new empty.Empty();
  };

  const invoke: Handler<pb.InvokeRequest, pb.InvokeResponse> = async (request) => {
    const token = request.getTok();
    const called = functions.get(token);
    if (called === undefined) {
      const has = functions.size === 0 ? "" : ` (it has ${[...functions.keys()].join(", ")})`;
      throw new Error(`function '${token}' is not supported by ${standIn}${has}`);
    }
    const { values } = decode(request.getArgs());
    const limits = { about: about.name, refused: called.refused };
    const { problems } = check(called.fields, values, token.split(":").at(-1) ?? token, limits);
    const response = new provider.InvokeResponse();
    for (const problem of problems) response.addFailures(failure("", sentence(problem)));
    if (problems.length === 0) response.setReturn(encode(await called.call(context(""), compact(values))));
    return response;
  };

  const getSchema: Handler<pb.GetSchemaRequest, pb.GetSchemaResponse> = () => {
    const response = new provider.GetSchemaResponse();
    response.setSchema(JSON.stringify({ name: about.name, version: version(about.name) }));
    return response;
  };

  const getPluginInfo: Handler<Empty, PluginInfo> = () => {
    const response = new plugin.PluginInfo();
    response.setVersion(version(about.name));
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

  const unary = answering(reason);
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
function answering(reason: (error: unknown) => string) {
  return <Request, Response>(handler: Handler<Request, Response>) =>
    (call: ServerUnaryCall<Request, Response>, answer: sendUnaryData<Response>): void => {
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
function initFailed(error: HalfMade, inputs: Properties, stored: (made: Made) => ReturnType<typeof encode>): Refused {
  const detail = new provider.ErrorResourceInitFailed();
  detail.setId(error.made.id);
  detail.setProperties(stored({ id: error.made.id, state: { ...error.made.state, [CULPRIT]: error.culprit } }));
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

/** The names of secret properties: an output that is not known yet has nothing to hide. */
function withSecrets(fields: Fields, values: Bag, secret: ReadonlySet<string>): Set<string> {
  const always = Object.keys(fields).filter((key) => fields[key]?.secret === true && values[key] !== UNKNOWN);
  return new Set([...secret, ...always]);
}

// The engine would print the value of a named property, secret or not: the path stands in the sentence instead.
const sentence = ({ reason, path }: Problem): string => `${reason}. Examine values at '${path}'.`;

function failure(property: string, why: string): pb.CheckFailure {
  const result = new provider.CheckFailure();
  result.setProperty(property);
  result.setReason(why);
  return result;
}

/** A made name stays as long as the resource; a new one follows the stack's autonaming, else the SDKs' habit of seven digits. */
function nameFor(request: pb.CheckRequest, olds: Bag, name: string): string {
  if (list(olds, DEFAULTS).includes("name") && !isEmpty(olds["name"])) return text(olds, "name");
  const proposed = request.getAutonaming()?.getProposedName() ?? "";
  if (proposed !== "") return proposed;
  const seed = Buffer.from(request.getRandomseed_asU8());
  const digits = seed.length > 0 ? seed.toString("hex") : crypto.randomUUID().replaceAll("-", "");
  return `${name}-${digits.slice(0, 7)}`;
}
