// The lab's names and addresses, in one place: network members, zones and tests derive from here.

/** What the CA calls itself on the lab network, and in its HTTPS certificate. */
export const caHostname = "acme.vectis-lab.test";

/** The zone of the mail host under test. */
export const mailZone = "vectis.test";

/** The zone of the domains that the mail host sends to. */
export const sinkZone = "sink.test";

export interface LabAddresses {
  readonly dns: string;
  readonly sinkTls: string;
  readonly sinkPlain: string;
}

/** Fixed addresses inside `subnet`, which must be a /24 such as `10.213.0.0/24`; Docker hands out the low ones. */
export function labAddresses(subnet: string): LabAddresses {
  const match = /^((?:\d{1,3}\.){3})0\/24$/.exec(subnet);
  if (match?.[1] === undefined) throw new Error(`vectis-lab:subnet must be a /24 such as 10.213.0.0/24, not ${subnet}`);
  const address = (host: number) => `${match[1] ?? ""}${host}`;
  return { dns: address(53), sinkTls: address(61), sinkPlain: address(62) };
}
