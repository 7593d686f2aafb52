// What Pulumi has recorded of a stack: the parts of `pulumi stack export` that this command reads.
import { pulumi, stackOption } from "./pulumi.ts";

export interface RecordedResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  /** Whether the engine only forgets it when the stack is destroyed. */
  readonly retainOnDelete?: boolean;
}

export interface ExportedStack {
  readonly deployment: {
    /** None before the first update. */
    readonly resources?: readonly RecordedResource[];
    readonly pending_operations?: readonly {
      readonly type: string;
      readonly resource: { readonly type: string; readonly inputs?: Readonly<Record<string, unknown>> };
    }[];
  };
}

/** `stack`: default the selected one. */
export async function exportedStack(stack: string | undefined): Promise<ExportedStack> {
  return JSON.parse(await pulumi(["stack", "export", ...stackOption(stack)])) as ExportedStack;
}
