// Whether what the source of certificates has is what the sidecar has published: asked from the sidecar itself, since from
// outside a port that serves yesterday's certificate looks as good as one that serves today's.
import { X509Certificate } from "node:crypto";
import { generationName } from "../certd/journal.ts";
import { docker, dockerEnvironment } from "./docker.ts";
import { UserError } from "./errors.ts";

/** What is known inside the sidecar at one moment. */
export interface SidecarFacts {
  /** certd's status.json; undefined while it has not reported yet. */
  readonly status: CertdStatus | undefined;
  /** For certificates that come as files; undefined for those that the sidecar orders. */
  readonly files:
    | {
        /** SHA-256 of the leaf that lies there, lower-case hex; undefined if none can be read. */
        readonly leaf: string | undefined;
        /** When one of them changed last, seconds since the epoch; 0 if unknown. */
        readonly changedAt: number;
      }
    | undefined;
}

/** The part of certd's status that counts here. */
export interface CertdStatus {
  readonly at: string;
  readonly published: { readonly sha256: string; readonly generation: number } | null;
  /** The generation that a person wants to stay in service. */
  readonly pinned?: { readonly generation: number } | null;
  readonly lastError: string | { readonly cause: string; readonly advice?: string | null } | null;
}

export interface Offer {
  /** SHA-256 of the published leaf, lower-case hex; undefined if none is. */
  readonly published: string | undefined;
  /** Why what the source has is not published; empty if it is. */
  readonly problems: readonly string[];
  /** Whether waiting changes nothing: what lies there has been refused. */
  readonly final: boolean;
}

/** certd leaves files alone that changed a moment ago, and then needs a pass to judge them; seconds. */
const settling = 4;

export function judgeOffer({ status, files }: SidecarFacts): Offer {
  if (status?.published == null) return { published: undefined, problems: ["nothing is published yet"], final: false };
  const published = status.published.sha256;
  if (files === undefined) return { published, problems: [], final: false };
  const judged = Date.parse(status.at) / 1000 >= files.changedAt + settling;
  const refusal = errorText(status.lastError);
  if (judged && status.pinned != null && files.leaf !== published) {
    const which = `generation ${generationName(status.pinned.generation)} is pinned`;
    return { published, problems: [`${which}: end that with \`vectis certs unpin\``], final: true };
  }
  // The same leaf may lie there with another key.
  if (judged && refusal !== "") return { published, problems: [refusal], final: true };
  if (!judged) return { published, problems: ["the files have just changed"], final: false };
  if (files.leaf !== published)
    return { published, problems: ["what the files hold is not published yet"], final: false };
  return { published, problems: [], final: false };
}

function errorText(error: CertdStatus["lastError"]): string {
  if (error === null || typeof error === "string") return error ?? "";
  return [error.cause, error.advice ?? ""].join(" ").trim();
}

/** A way to ask a stack's sidecar again and again. `stack`: default the selected one. */
export async function sidecar(stack: string | undefined, container: string): Promise<() => Promise<Offer>> {
  const env = await dockerEnvironment(stack);
  const inside = (...command: readonly string[]) => docker(env, ["exec", container, ...command]);
  const { code, stdout, stderr } = await inside("printenv", "CERTD_CONFIG");
  if (code !== 0) throw new UserError(`the sidecar ${container} does not answer: ${stderr.trim()}`);
  const { source } = JSON.parse(stdout) as {
    readonly source: { readonly kind: string; readonly fullchain: string; readonly privkey: string };
  };
  return async () => {
    if (source.kind === "acme")
      return judgeOffer({ status: parseStatus((await inside("cat", statusFile)).stdout), files: undefined });
    const script = `cat ${statusFile}; echo; echo ---; stat -L -c %Z "$1" "$2" | sort -n | tail -n 1; echo ---; cat "$1"`;
    const { stdout } = await inside("sh", "-c", script, "sh", source.fullchain, source.privkey);
    const [status = "", changedAt = "", chain = ""] = stdout.split("\n---\n");
    return judgeOffer({
      status: parseStatus(status),
      files: { leaf: leafOf(chain), changedAt: Number(changedAt) || 0 },
    });
  };
}

const statusFile = "/run/certd/status.json";

function parseStatus(text: string): CertdStatus | undefined {
  try {
    return JSON.parse(text) as CertdStatus;
  } catch {
    return undefined;
  }
}

function leafOf(chain: string): string | undefined {
  try {
    return new X509Certificate(chain).fingerprint256.replaceAll(":", "").toLowerCase();
  } catch {
    return undefined;
  }
}
