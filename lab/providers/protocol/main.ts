// Runs a package as a plugin: listens on a free port, prints that port for the Pulumi engine, and ends when the engine does.
import { flushCompileCache } from "node:module";
import grpc from "@grpc/grpc-js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import { Engine } from "./engine.ts";
import type { Package } from "./resource.ts";
import { service } from "./service.ts";

/** What the official plugins accept in one message; uploads travel inside the request. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

export function serve<Api extends object>(about: Package<Api>): void {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  const address = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
  server.addService(providerGrpc.ResourceProviderService, service(about, new Engine(address)));
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      process.stderr.write(`pulumi-resource-${about.name}: cannot listen on 127.0.0.1: ${error.message}\n`);
      process.exit(1);
    }
    process.stdout.write(`${port}\n`);
    // The engine kills its plugins, and Node.js keeps compiled code only at an orderly exit.
    setTimeout(flushCompileCache, 500).unref();
  });

  // An engine that is killed cannot end its plugins; a plugin whose parent changed has lost its engine.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit(0);
  }, 2000).unref();
}
