// The mail server guide's config.yaml and secrets.yaml as stack configuration. Pure: texts in, values or problems out.
import { isMap, isScalar, LineCounter, parseDocument, type Node } from "yaml";
import { UserError } from "./errors.ts";

export interface GuideFile {
  readonly name: string;
  readonly text: string;
}

export interface PlainValue {
  /** Configuration key, then the way into its value: `["vectis:tls", "certPath"]`. */
  readonly path: readonly [string, ...string[]];
  readonly value: unknown;
}

export interface StackConfig {
  readonly plain: readonly PlainValue[];
  /** Secret texts by configuration key. */
  readonly secrets: Readonly<Record<string, string>>;
}

type Rule = (value: unknown) => { readonly plain?: readonly PlainValue[]; readonly secrets?: Record<string, string> };

const unknown = "is no key of the guide's files";

/** Says what is wrong with a value; never repeats it, it may be a secret. */
class ValueProblem extends Error {}

const text = (value: unknown, good: string): string => {
  if (typeof value !== "string" || value === "") throw new ValueProblem(`must be text, for example ${good}`);
  return value;
};
const plain =
  (good: string, ...path: PlainValue["path"]): Rule =>
  (value) => ({ plain: [{ path, value: text(value, good) }] });

/** Every key of the guide's files, and what it becomes. */
const rules: Readonly<Record<string, Rule>> = {
  hostname: plain("mail.example.com", "vectis:hostname"),
  domains: (value) => {
    if (!Array.isArray(value) || value.length === 0)
      throw new ValueProblem("must be a list, for example [example.com]");
    return { plain: [{ path: ["vectis:domains"], value: value.map((domain) => text(domain, "example.com")) }] };
  },
  "tls.provider": plain("letsencrypt", "vectis:tls", "provider"),
  "tls.email": plain("admin@example.com", "vectis:tls", "email"),
  "tls.cert_path": plain("/etc/vectis/certs/fullchain.pem", "vectis:tls", "certPath"),
  "tls.key_path": plain("/etc/vectis/certs/privkey.pem", "vectis:tls", "keyPath"),
  "tls.dns_challenge": (value) => {
    if (value !== "cloudflare") throw new ValueProblem("must be cloudflare; without the key, HTTP-01 is used");
    return {
      plain: [
        { path: ["vectis:tls", "challenge"], value: "dns-01" },
        { path: ["vectis:dns", "provider"], value: "cloudflare" },
      ],
    };
  },
  "cloudflare.api_token": (value) => ({
    secrets: { "cloudflare:apiToken": text(value, "the token that Cloudflare shows once") },
  }),
};
const sections = new Set(
  Object.keys(rules).flatMap((key) => (key.includes(".") ? [key.slice(0, key.indexOf("."))] : [])),
);

/**
 * What the guide's files say, as stack configuration.
 * @throws UserError that lists every problem with its file and line: unknown keys, wrong values, keys given twice
 */
export function importGuide(files: readonly GuideFile[]): StackConfig {
  const problems: string[] = [];
  const values: PlainValue[] = [];
  const secrets: Record<string, string> = {};
  const seen = new Map<string, string>();
  for (const file of files) {
    for (const { key, where, value } of entries(file, problems)) {
      const rule = rules[key];
      const earlier = seen.get(key);
      if (rule === undefined) problems.push(`${where} ${key} ${unknown}${suggestion(key)}`);
      else if (earlier !== undefined) problems.push(`${where} ${key} is given already at ${earlier.slice(0, -1)}`);
      else {
        seen.set(key, where);
        try {
          const mapped = rule(value);
          values.push(...(mapped.plain ?? []));
          Object.assign(secrets, mapped.secrets);
        } catch (error) {
          if (!(error instanceof ValueProblem)) throw error;
          problems.push(`${where} ${key} ${error.message}`);
        }
      }
    }
  }
  if (problems.length === 0 && seen.size === 0)
    problems.push(`${files.map(({ name }) => name).join(" and ")}: nothing to import`);
  if (problems.some((problem) => problem.includes(unknown)))
    problems.push(`known keys: ${Object.keys(rules).join(", ")}`);
  if (problems.length > 0)
    throw new UserError(`nothing was imported:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
  return { plain: values, secrets };
}

interface Entry {
  readonly key: string;
  /** `FILE:LINE:`. */
  readonly where: string;
  readonly value: unknown;
}

/** The leaves of a file: sections of the guide are entered, everything else is one value. */
function entries({ name, text }: GuideFile, problems: string[]): Entry[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const where = (offset: number): string => `${name}:${lines.linePos(offset).line}:`;
  for (const { message, pos } of document.errors) problems.push(`${where(pos[0])} ${message}`);
  if (document.errors.length > 0 || document.contents === null) return [];
  const found: Entry[] = [];
  const visit = (node: Node | null, prefix: string, offset: number): void => {
    if (!isMap(node)) {
      problems.push(`${where(offset)} ${prefix === "" ? "the file" : prefix.slice(0, -1)} must hold keys and values`);
      return;
    }
    for (const { key, value } of node.items) {
      const named = isScalar(key) ? key : undefined;
      const start = named?.range?.[0] ?? offset;
      const path = `${prefix}${String(named?.value)}`;
      if (sections.has(path)) visit(value as Node | null, `${path}.`, start);
      else found.push({ key: path, where: where(start), value: toPlain(value) });
    }
  };
  visit(document.contents, "", 0);
  return found;
}

function toPlain(value: unknown): unknown {
  return typeof value === "object" && value !== null && "toJSON" in value ? (value as Node).toJSON() : value;
}

/** The stack's own spelling, and keys of another section, are the likely mistakes. */
function suggestion(key: string): string {
  const bare = (name: string): string => name.replace(/^.*\./, "").replace(/[_-]/g, "").toLowerCase();
  const near = Object.keys(rules).find((known) => bare(known) === bare(key));
  return near === undefined ? "" : `; ${near} is`;
}
