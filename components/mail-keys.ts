// The private keys of the mail certificate by generation, held by the stack: the one in use and the next one.
// What they are published or used for is none of its business.
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { WantedRecord } from "./mail-records.ts";
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

  /** SHA-256 of the public keys by generation. Never settles at a preview that makes a key. */
  publicKeys(): Promise<ReadonlyMap<number, string>> {
    const known = pulumi.all(
      this.generations.map(({ generation, tlsa }) => tlsa.apply((data) => [generation, data.certificate] as const)),
    );
    return new Promise((resolve) => known.apply((pairs) => resolve(new Map(pairs))));
  }

  /** The TLSA records at `name`, for a human or for any DNS host. @param ttl seconds */
  records({ name, ttl }: { readonly name: string; readonly ttl: number }): pulumi.Output<WantedRecord[]> {
    return pulumi.all(
      this.generations.map(({ generation, tlsa: data }) =>
        data.apply((tlsa): WantedRecord => ({ key: `tlsa-${generation}`, name, ttl, type: "TLSA", tlsa })),
      ),
    );
  }
}
