// The lab's names and addresses, in one place: network members, zones and tests derive from here.

/** What the CA calls itself on the lab network, and in its HTTPS certificate. */
export const caHostname = "acme.vectis-lab.test";

/** What the stand-in for the Cloudflare API calls itself there, as acme.sh's dns_cf has it built in. */
export const apiHostname = "api.cloudflare.com";

/** The zone of the mail host under test; its records belong to the Cloudflare API. */
export const mailZone = "vectis.test";

/** A second zone of the API, for what must not reach beyond one. */
export const secondZone = "vectis-two.test";

/** The zone of the domains that the mail host sends to. */
export const sinkZone = "sink.test";

export interface LabAddresses {
  readonly dns: string;
  /** Validates what `dns` signs, and knows no other zones. */
  readonly resolver: string;
  readonly sinkTls: string;
  readonly sinkPlain: string;
}

/** Fixed addresses inside `subnet`, which must be a /24 such as `10.213.0.0/24`; Docker hands out the low ones. */
export function labAddresses(subnet: string): LabAddresses {
  const match = /^((?:\d{1,3}\.){3})0\/24$/.exec(subnet);
  if (match?.[1] === undefined) throw new Error(`vectis-lab:subnet must be a /24 such as 10.213.0.0/24, not ${subnet}`);
  const address = (host: number) => `${match[1] ?? ""}${host}`;
  return { dns: address(53), resolver: address(54), sinkTls: address(61), sinkPlain: address(62) };
}
