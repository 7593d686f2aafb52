// What the stand-in starts with: an account, a user, two zones and the token of the one who deploys. Nothing in here is
// a secret: it opens the lab and nothing else.
import { mailZone, secondZone } from "../addresses.ts";

export interface Zone {
  readonly id: string;
  readonly name: string;
}

export const account = { id: "a0b1c2d3e4f5061728394a5b6c7d8e9f", name: "vectis lab" } as const;
export const user = { id: "b1c2d3e4f5061728394a5b6c7d8e9fa0" } as const;

export const zones: readonly Zone[] = [
  { id: "3f2a7c1e9b8d4065a1c2d3e4f5061728", name: mailZone },
  { id: "4e1b6d2fac9e5176b2d3e4f506172839", name: secondZone },
];

/** May everything that the stand-in knows: DNS and tokens, of every zone and of the account. */
export const deploymentToken = "lab-deployment-token-0000000000000000000";
