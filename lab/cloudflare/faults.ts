// Faults that a test orders from the stand-in: one at a time, for all requests or for some, for good or so many times. Pure.
import { isBag, written, type Plain } from "../providers/protocol/value.ts";
import { onlyKnown, Refusal } from "./refusal.ts";

export interface Fault {
  /** Answers this in place of what it would, before anything is done: 400 to 599. */
  readonly status?: number;
  /** Header beside it: seconds, or a date. */
  readonly retryAfter?: string;
  /** Milliseconds before a request is looked at. */
  readonly delay?: number;
  /** Closes the connection without an answer. */
  readonly down?: boolean;
  /** Milliseconds until the zone's DNS takes up a change; the answer does not wait for it. */
  readonly publishAfter?: number;
  /** For so many requests. Default: until it is taken away. */
  readonly count?: number;
  /** Only for this method. */
  readonly method?: string;
  /** Only for paths below /client/v4 that this regular expression matches. */
  readonly path?: string;
}

const kinds: Readonly<Record<keyof Fault, "number" | "string" | "boolean">> = {
  status: "number",
  retryAfter: "string",
  delay: "number",
  down: "boolean",
  publishAfter: "number",
  count: "number",
  method: "string",
  path: "string",
};

/** @throws Refusal that names what is wrong */
export function readFault(body: Plain | undefined): Fault {
  if (!isBag(body))
    throw new Refusal(400, 1, 'a fault is an object such as {"status": 429, "retryAfter": 5, "count": 3}');
  onlyKnown("the fault's property", body, Object.keys(kinds));
  const fault = { ...body, ...(typeof body["retryAfter"] === "number" && { retryAfter: written(body["retryAfter"]) }) };
  for (const [key, value] of Object.entries(fault)) {
    const kind = kinds[key as keyof Fault];
    if (typeof value !== kind) throw new Refusal(400, 1, `the fault's ${key} must be a ${kind}, not ${written(value)}`);
  }
  const read = fault as Fault;
  if (read.status !== undefined && (read.status < 400 || read.status > 599)) {
    throw new Refusal(400, 1, `the fault's status must be from 400 to 599, not ${read.status}`);
  }
  return read;
}

export class Faults {
  #fault: Fault | undefined;
  #left = 0;

  set(fault: Fault | undefined): void {
    this.#fault = fault;
    this.#left = fault?.count ?? Infinity;
  }

  get current(): Fault | undefined {
    return this.#left > 0 ? this.#fault : undefined;
  }

  /** The fault of a request, counted. */
  take(method: string, path: string): Fault | undefined {
    const fault = this.current;
    if (fault === undefined) return undefined;
    if (fault.method !== undefined && fault.method !== method) return undefined;
    if (fault.path !== undefined && !new RegExp(fault.path).test(path)) return undefined;
    this.#left--;
    return fault;
  }
}

/** The refusal that a fault orders, in the words of the real API. */
export function refusalOf({ status, retryAfter }: Fault): Refusal | undefined {
  if (status === undefined) return undefined;
  const more = retryAfter === undefined ? {} : { retryAfter };
  if (status === 429) {
    return new Refusal(429, 971, "Please wait and consider throttling your request speed", more);
  }
  return new Refusal(status, 10001, "Internal error: this request was refused because the lab was told to", more);
}
