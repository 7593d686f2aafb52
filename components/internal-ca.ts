// A CA of the stack's own for closed networks, and the certificate that it issues for the mail host.
// Both are renewed by updates: nothing here runs between two of them.
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";

export interface InternalCaArgs {
  /** Names of the certificate, the host name first. */
  readonly names: readonly string[];
  readonly keyType: "ec-256" | "ec-384";
  /** Lifetime of the certificate in days, 1 to 825 (the most that Apple's systems accept from a CA of one's own). */
  readonly lifetimeDays: number;
}

/** Ten years. */
const caDays = 3650;
/** Longer than any certificate lives, so that none outlives its issuer. */
const caRenewalDays = 900;

export class InternalCa extends pulumi.ComponentResource {
  /** PEM text of the root, for the trust stores of clients. */
  readonly root: pulumi.Output<string>;
  /** PEM text of the certificate, then the root. */
  readonly fullchain: pulumi.Output<string>;
  /** PEM text of the certificate's key; secret. */
  readonly privkey: pulumi.Output<string>;

  constructor(name: string, args: InternalCaArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:tls:InternalCa", name, args, opts);
    const child = { parent: this };
    const hostname = args.names[0] ?? "";
    const key = (suffix: string) =>
      new tls.PrivateKey(
        `${name}-${suffix}-key`,
        { algorithm: "ECDSA", ecdsaCurve: args.keyType === "ec-256" ? "P256" : "P384" },
        child,
      );
    const caKey = key("ca");
    // A renewed root keeps this key and subject, so certificates stay valid for clients that know the old one.
    const ca = new tls.SelfSignedCert(
      `${name}-ca`,
      {
        privateKeyPem: caKey.privateKeyPem,
        subject: { organization: "Vectis", commonName: `Internal CA of ${hostname}`.slice(0, 64) },
        isCaCertificate: true,
        setSubjectKeyId: true,
        allowedUses: ["cert_signing", "crl_signing"],
        validityPeriodHours: caDays * 24,
        earlyRenewalHours: caRenewalDays * 24,
      },
      child,
    );
    const leafKey = key("leaf");
    const request = new tls.CertRequest(
      `${name}-request`,
      {
        privateKeyPem: leafKey.privateKeyPem,
        subject: { commonName: hostname.slice(0, 64) },
        dnsNames: [...args.names],
      },
      child,
    );
    const leaf = new tls.LocallySignedCert(
      `${name}-leaf`,
      {
        certRequestPem: request.certRequestPem,
        caPrivateKeyPem: caKey.privateKeyPem,
        caCertPem: ca.certPem,
        allowedUses: ["digital_signature", "server_auth"],
        validityPeriodHours: args.lifetimeDays * 24,
        earlyRenewalHours: earlyRenewalHours(args.lifetimeDays),
      },
      child,
    );
    this.root = ca.certPem;
    this.fullchain = pulumi.concat(leaf.certPem, ca.certPem);
    this.privkey = pulumi.secret(leafKey.privateKeyPem);
    this.registerOutputs({ root: this.root, fullchain: this.fullchain, privkey: this.privkey });
  }
}

/** From when on an update renews a certificate, in whole hours before its end: a third of its lifetime. */
export function earlyRenewalHours(lifetimeDays: number): number {
  return lifetimeDays * 8;
}
