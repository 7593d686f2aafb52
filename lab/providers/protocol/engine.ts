// The way back to the Pulumi engine: log lines and progress for one resource. Loads the client only when something is said.
import type { IEngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb.js";

export class Engine {
  #address: string | undefined;
  #client: Promise<{ client: IEngineClient; request: new () => LogRequest }> | undefined;

  constructor(address: string | undefined) {
    this.#address = address;
  }

  /** A debugger's plugin learns its engine late, through Attach. */
  set address(address: string) {
    this.#address = address;
    this.#client = undefined;
  }

  /** Progress of a resource: shown while it lasts, not kept in the log. */
  status(urn: string, message: string): void {
    this.#say(urn, message, 1, true);
  }

  warn(urn: string, message: string): void {
    this.#say(urn, message, 2, false);
  }

  #say(urn: string, message: string, severity: LogSeverity, ephemeral: boolean): void {
    const address = this.#address;
    if (address === undefined) return;
    this.#client ??= connect(address);
    this.#client.then(
      ({ client, request }) => {
        const line = new request();
        line.setUrn(urn);
        line.setMessage(message);
        line.setSeverity(severity);
        line.setEphemeral(ephemeral);
        // A lost log line must not fail the resource it was about.
        client.log(line, () => undefined);
      },
      () => undefined,
    );
  }
}

async function connect(address: string) {
  const [{ default: grpc }, { default: engineGrpc }, { default: engine }] = await Promise.all([
    import("@grpc/grpc-js"),
    import("@pulumi/pulumi/proto/engine_grpc_pb.js"),
    import("@pulumi/pulumi/proto/engine_pb.js"),
  ]);
  const client = new engineGrpc.EngineClient(address, grpc.credentials.createInsecure());
  return { client, request: engine.LogRequest };
}
