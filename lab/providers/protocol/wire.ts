// The wire form of properties: protobuf structs with the engine's markers for secrets and unknown values, to and from plain values.
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import structs from "google-protobuf/google/protobuf/struct_pb.js";
import { isBag, UNKNOWN, type Bag, type Plain } from "./value.ts";

// The markers of the engine's property encoding (sdk/go/common/resource/plugin/rpc.go).
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const UNKNOWNS = new Set([
  UNKNOWN,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/**
 * Properties without their secret envelopes, and the names of the top-level properties that hold a secret anywhere.
 * Secrecy is kept per property because the official provider does so: one secret element hides a whole `envs` or `uploads`.
 */
export interface Properties {
  readonly values: Bag;
  readonly secret: ReadonlySet<string>;
}

export function decode(struct: Struct | undefined): Properties {
  const values: Bag = {};
  const secret = new Set<string>();
  for (const [key, raw] of Object.entries(struct?.toJavaScript() ?? {})) {
    values[key] = reveal(raw, () => secret.add(key));
  }
  return { values, secret };
}

function reveal(raw: JavaScriptValue, onSecret: () => void): Plain {
  if (typeof raw === "string") return UNKNOWNS.has(raw) ? UNKNOWN : raw;
  if (Array.isArray(raw)) return raw.map((item: JavaScriptValue) => reveal(item, onSecret));
  if (raw === null || typeof raw !== "object") return raw;
  const object = raw as Record<string, JavaScriptValue>;
  if (object[SIGNATURE] === SECRET) {
    onSecret();
    return reveal(object["value"] ?? null, onSecret);
  }
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, reveal(value, onSecret)]));
}

export function encode(values: Bag, secret: ReadonlySet<string> = new Set()): Struct {
  const wrapped = Object.entries(values).map(([key, value]) => [
    key,
    secret.has(key) && value !== null ? { [SIGNATURE]: SECRET, value } : value,
  ]);
  return structs.Struct.fromJavaScript(Object.fromEntries(wrapped) as Record<string, JavaScriptValue>);
}

/** For tests and clients: a value in its secret envelope. */
export function secretValue(value: Plain): Bag {
  return { [SIGNATURE]: SECRET, value };
}

/** Whether a decoded value still has the form of an envelope that this provider does not take (an asset, an archive, a resource). */
export function isForeign(value: Plain): boolean {
  return isBag(value) && SIGNATURE in value;
}
