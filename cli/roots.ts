// Which root certificates a chain has to lead to, and who says so.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { UserError } from "./errors.ts";
import { projectRoot } from "./pulumi.ts";
import type { StackOutputs } from "./stack.ts";

export interface Roots {
  /** PEM; undefined: the system's. */
  readonly pem: string | undefined;
  /** For the operator: where they come from. */
  readonly from: string;
}

/** Where the lab's CA is found, whatever the name of the lab. */
const labDirectoryHost = "acme.vectis-lab.test";

/**
 * In this order: the file of --ca or VECTIS_CA, the CA of the stack itself, the lab's CA for a stack that orders there
 * (asked over a connection that is verified: it has a new root after each start), the system's roots.
 */
export async function chooseRoots(file: string | undefined, outputs: StackOutputs): Promise<Roots> {
  const given = file ?? process.env["VECTIS_CA"];
  if (given !== undefined && given !== "") return { pem: readRoots(given), from: given };
  if (outputs.internalCa !== undefined) return { pem: outputs.internalCa, from: "the stack's own CA" };
  const { acmeDirectory } = outputs;
  if (acmeDirectory !== undefined && URL.parse(acmeDirectory)?.hostname === labDirectoryHost) {
    return { pem: await labRoot(), from: "the lab's CA" };
  }
  return { pem: undefined, from: "the system's roots" };
}

function readRoots(file: string): string {
  let pem: string;
  try {
    pem = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UserError(`--ca (or VECTIS_CA) names ${file}: ${(error as Error).message}`);
  }
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new UserError(`--ca (or VECTIS_CA) names ${file}, which holds no PEM certificate`);
  }
  return pem;
}

async function labRoot(): Promise<string> {
  try {
    return (await promisify(execFile)(join(projectRoot, "lab", "root-ca"))).stdout;
  } catch {
    throw new UserError("the lab's CA does not answer: run `make lab`, or give the roots with --ca FILE");
  }
}
