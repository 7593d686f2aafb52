// The private keys of the mail certificate by generation, held by the stack: the one in use and the next one.
// What they are published or used for is none of its business.
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { keyGenerations, tlsa311, type KeyGeneration, type TlsaData } from "./tlsa.ts";

export interface MailKeysArgs {
  /** Generation in use, 1 or more. A higher number makes the next key the current one. */
  readonly generation: number;
  readonly keyType: "ec-256" | "ec-384";
}

/** A key generation with what its TLSA record says; unknown at the preview that makes the key. */
export interface MailKeyTlsa extends KeyGeneration {
  readonly tlsa: pulumi.Output<TlsaData>;
}

export class MailKeys extends pulumi.ComponentResource {
  /** PEM of the private key in use; secret. */
  readonly currentKey: pulumi.Output<string>;
  /** Previous, current and next key, as far as they exist. */
  readonly generations: readonly MailKeyTlsa[];

  constructor(name: string, args: MailKeysArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:tls:MailKeys", name, args, opts);
    const ecdsaCurve = args.keyType === "ec-256" ? "P256" : "P384";
    const keys = keyGenerations(args.generation).map((generation) => ({
      ...generation,
      // Named by its generation, so that a step forward renames nothing: the next key becomes the current one as it is.
      key: new tls.PrivateKey(
        `${name}-${generation.generation}`,
        { algorithm: "ECDSA", ecdsaCurve },
        { parent: this, additionalSecretOutputs: ["privateKeyPem", "privateKeyPemPkcs8"] },
      ),
    }));
    const current = keys.find(({ role }) => role === "current");
    if (current === undefined) throw new Error(`key generation ${args.generation} must be 1 or more`);
    this.currentKey = pulumi.secret(current.key.privateKeyPemPkcs8);
    this.generations = keys.map(({ generation, role, key }) => ({
      generation,
      role,
      tlsa: key.publicKeyPem.apply(tlsa311),
    }));
    this.registerOutputs({ currentKey: this.currentKey });
  }
}
