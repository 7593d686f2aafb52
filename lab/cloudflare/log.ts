// The request log of the stand-in, as tests read it.
import type { Plain } from "../providers/protocol/value.ts";

/** One request. The token is known by its id: its value is in no log. */
export interface LoggedRequest {
  readonly at: string;
  readonly via: "https" | "http";
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: Plain;
  readonly token: string | null;
  /** Null where the connection was closed without an answer. */
  readonly status: number | null;
}
