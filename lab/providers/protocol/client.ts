// Speaks the provider protocol to a plugin executable, as the Pulumi engine does. For tests.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type { LogRequest } from "@pulumi/pulumi/proto/engine_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb.js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import type { Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import type { Bag } from "./value.ts";
import { decode, encode } from "./wire.ts";

/** The plugin to test: the stand-in, unless the environment names an official one, as VECTIS_DOCKER_PROVIDER does. */
function executable(name: string): string {
  return (
    process.env[`VECTIS_${name.toUpperCase()}_PROVIDER`] ??
    fileURLToPath(new URL(`../${name}/pulumi-resource-${name}`, import.meta.url))
  );
}

export interface Difference {
  readonly changes: "UNKNOWN" | "NONE" | "SOME";
  readonly diffs: string[];
  readonly replaces: string[];
  readonly deleteBeforeReplace: boolean;
  readonly detailed: Record<string, string>;
}

export interface State {
  readonly id: string;
  readonly state: Bag;
  readonly secret: ReadonlySet<string>;
}

/** A create that failed after the resource existed: what the engine would record. */
export class InitFailed extends Error {
  readonly made: State;

  constructor(message: string, made: State) {
    super(message);
    this.made = made;
  }
}

export type Plugin = Awaited<ReturnType<typeof open>>;

/** @param name the package's, for example `docker` */
export async function open(name: string, config: Bag = {}, environment: NodeJS.ProcessEnv = process.env) {
  const path = executable(name);
  const logs: string[] = [];
  const engine = new grpc.Server();
  engine.addService(engineGrpc.EngineService, {
    log: (call: { request: LogRequest }, answer: (error: null, value: Empty) => void) => {
      logs.push(call.request.getMessage());
      answer(null, new empty.Empty());
    },
  });
  const enginePort = await new Promise<number>((done, fail) => {
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? fail(error) : done(port),
    );
  });
  const child = spawn(path, [`127.0.0.1:${enginePort}`], {
    stdio: ["ignore", "pipe", "inherit"],
    env: environment,
  });
  const port = await new Promise<string>((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => fail(new Error(`${path} ended with ${code ?? "a signal"} before it told its port`)));
    createInterface(child.stdout).once("line", done);
  });
  const client = new providerGrpc.ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());

  const close = (): void => {
    client.close();
    child.kill();
    engine.forceShutdown();
  };
  const answered = <Response>(
    call: (answer: (error: grpc.ServiceError | null, response: Response) => void) => unknown,
  ) =>
    new Promise<Response>((done, fail) => {
      call((error, response) => (error ? fail(failed(error)) : done(response)));
    });

  const configure = new provider.ConfigureRequest();
  configure.setAcceptsecrets(true);
  configure.setArgs(encode(config));
  for (const [key, value] of Object.entries(config))
    configure.getVariablesMap().set(`${name}:config:${key}`, typeof value === "string" ? value : JSON.stringify(value));

  const urn = (type: string, name: string): string => `urn:pulumi:dev::vectis::${type}::${name}`;
  /** What every request about a resource begins with. */
  const about = <
    Request extends { setUrn(urn: string): unknown; setType(type: string): unknown; setName(name: string): unknown },
  >(
    request: Request,
    type: string,
    name: string,
  ): Request => {
    request.setUrn(urn(type, name));
    request.setType(type);
    request.setName(name);
    return request;
  };

  const plugin = {
    logs,
    close,
    configure: () => answered<pb.ConfigureResponse>((answer) => client.configure(configure, answer)),

    async version(): Promise<string> {
      return (await answered<PluginInfo>((answer) => client.getPluginInfo(new empty.Empty(), answer))).getVersion();
    },

    async checkConfig(news: Bag): Promise<string[]> {
      const request = new provider.CheckRequest();
      request.setUrn(`urn:pulumi:dev::vectis::pulumi:providers:${name}::default`);
      request.setNews(encode(news));
      const response = await answered<pb.CheckResponse>((answer) => client.checkConfig(request, answer));
      return response.getFailuresList().map((failure) => failure.getReason());
    },

    async check(type: string, name: string, news: Bag, olds: Bag = {}) {
      const request = about(new provider.CheckRequest(), type, name);
      request.setOlds(encode(olds));
      request.setNews(encode(news));
      request.setRandomseed(Buffer.alloc(32, 7));
      const response = await answered<pb.CheckResponse>((answer) => client.check(request, answer));
      const { values, secret } = decode(response.getInputs());
      const wire = response.getInputs()?.toJavaScript() ?? {};
      return {
        inputs: values,
        wire,
        secret,
        failures: response.getFailuresList().map((failure) => failure.getReason()),
      };
    },

    async create(type: string, name: string, inputs: Bag, preview = false): Promise<State> {
      const request = about(new provider.CreateRequest(), type, name);
      request.setProperties(encode(inputs));
      request.setPreview(preview);
      const response = await answered<pb.CreateResponse>((answer) => client.create(request, answer));
      return stateOf(response.getId(), decode(response.getProperties()));
    },

    async diff(
      type: string,
      name: string,
      old: { id: string; state: Bag; inputs: Bag },
      news: Bag,
      ignore: string[] = [],
    ) {
      const request = about(new provider.DiffRequest(), type, name);
      request.setId(old.id);
      request.setOlds(encode(old.state));
      request.setOldInputs(encode(old.inputs));
      request.setNews(encode(news));
      request.setIgnorechangesList(ignore);
      const response = await answered<pb.DiffResponse>((answer) => client.diff(request, answer));
      const detailed: Record<string, string> = {};
      response.getDetaileddiffMap().forEach((detail, path) => {
        detailed[path] = KINDS[detail.getKind()] ?? "";
      });
      const difference: Difference = {
        changes: CHANGES[response.getChanges()] ?? "UNKNOWN",
        diffs: response.getDiffsList(),
        replaces: response.getReplacesList(),
        deleteBeforeReplace: response.getDeletebeforereplace(),
        detailed,
      };
      return difference;
    },

    async update(type: string, name: string, old: { id: string; state: Bag; inputs: Bag }, news: Bag, preview = false) {
      const request = about(new provider.UpdateRequest(), type, name);
      request.setId(old.id);
      request.setOlds(encode(old.state));
      request.setOldInputs(encode(old.inputs));
      request.setNews(encode(news));
      request.setPreview(preview);
      const response = await answered<pb.UpdateResponse>((answer) => client.update(request, answer));
      return stateOf(old.id, decode(response.getProperties()));
    },

    /** Undefined when the resource is gone; without `old` an import. */
    async read(type: string, name: string, id: string, old?: { state: Bag; inputs: Bag }) {
      const request = about(new provider.ReadRequest(), type, name);
      request.setId(id);
      if (old !== undefined) {
        request.setProperties(encode(old.state));
        request.setInputs(encode(old.inputs));
      }
      const response = await answered<pb.ReadResponse>((answer) => client.read(request, answer));
      if (response.getId() === "") return undefined;
      const inputs = decode(response.getInputs());
      return {
        ...stateOf(response.getId(), decode(response.getProperties())),
        inputs: inputs.values,
        secretInputs: inputs.secret,
      };
    },

    async remove(type: string, name: string, old: { id: string; state: Bag }): Promise<void> {
      const request = about(new provider.DeleteRequest(), type, name);
      request.setId(old.id);
      request.setProperties(encode(old.state));
      await answered<Empty>((answer) => client.delete(request, answer));
    },

    async invoke(token: string, args: Bag = {}) {
      const request = new provider.InvokeRequest();
      request.setTok(token);
      request.setArgs(encode(args));
      const response = await answered<pb.InvokeResponse>((answer) => client.invoke(request, answer));
      return {
        returned: decode(response.getReturn()).values,
        failures: response.getFailuresList().map((failure) => failure.getReason()),
      };
    },

    async cancel(): Promise<void> {
      await answered<Empty>((answer) => client.cancel(new empty.Empty(), answer));
    },
  };
  return plugin;
}

const CHANGES = ["UNKNOWN", "NONE", "SOME"] as const;
const KINDS = ["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"];

function stateOf(id: string, properties: { values: Bag; secret: ReadonlySet<string> }): State {
  return { id, state: properties.values, secret: properties.secret };
}

/** Finds the recorded resource in the details of a failed create: the one Any of a google.rpc.Status. */
function failed(error: grpc.ServiceError): Error {
  const [raw] = error.metadata.get("grpc-status-details-bin");
  const marker = Buffer.from("pulumirpc.ErrorResourceInitFailed");
  if (!(raw instanceof Buffer) || !raw.includes(marker)) return new Error(error.details);
  // After the type's name comes field 2: its tag, its length, the message.
  let at = raw.indexOf(marker) + marker.length + 1;
  while (((raw[at] ?? 0) & 128) !== 0) at++;
  const detail = provider.ErrorResourceInitFailed.deserializeBinary(raw.subarray(at + 1));
  const reasons = detail.getReasonsList().join("; ");
  return new InitFailed(reasons || error.details, stateOf(detail.getId(), decode(detail.getProperties())));
}
