// When the CA would like the stored certificates to be renewed: asked of it, and remembered while it is away.
import type { CaClient, Directory, RenewalInfo } from "./ca.ts";
import type { Candidate, Suggestion } from "./decide.ts";
import type { StateFile } from "./state.ts";
import type { LeafFacts } from "./validate.ts";

export class Suggestions {
  private readonly ca: CaClient;
  private readonly state: () => StateFile;

  constructor(ca: CaClient, state: () => StateFile) {
    this.ca = ca;
    this.state = state;
  }

  get first(): Suggestion | undefined {
    return this.state().value.suggestion ?? undefined;
  }

  get rsa(): Suggestion | undefined {
    return this.state().value.rsaSuggestion ?? undefined;
  }

  /** Asks about both. Resolves to the answer about the first one, by which a CA also shows that it knows it. */
  async ask(directory: Directory, { leaf, rsa }: Candidate & { kind: "usable" }): Promise<RenewalInfo> {
    const info = await this.ca.renewalInfo(directory, leaf);
    this.take("suggestion", leaf, info);
    if (rsa !== undefined && info.kind === "known") {
      this.take("rsaSuggestion", rsa, await this.ca.renewalInfo(directory, rsa));
    }
    return info;
  }

  private take(which: "suggestion" | "rsaSuggestion", leaf: LeafFacts, info: RenewalInfo): void {
    if (info.kind !== "known") return;
    const { window, explanationUrl = "" } = info;
    this.state().update({ [which]: window === undefined ? null : { leaf: leaf.sha256, window, explanationUrl } });
  }
}
