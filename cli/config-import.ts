// `vectis config import`: puts the guide's files into Pulumi.<stack>.yaml, all of them or nothing. Values are edited in the
// YAML, so that comments stay; secrets are encrypted by Pulumi, which reads them from its standard input.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { isMap, parseDocument, type Document } from "yaml";
import { ConfigError, parseSettings } from "../infra/config.ts";
import { exitCodes, UserError, type ExitCode } from "./errors.ts";
import { importGuide, type PlainValue } from "./import-guide.ts";
import { result } from "./output.ts";
import { projectFolder, pulumi, stackName } from "./pulumi.ts";

export interface ImportOptions {
  readonly stack?: string;
  readonly json: boolean;
}

export async function configImport(names: readonly string[], { stack, json }: ImportOptions): Promise<ExitCode> {
  const { plain, secrets } = importGuide(names.map((name) => ({ name, text: readText(name) })));
  const name = await stackName(stack);
  // Fails for a stack that does not exist, before anything is written.
  await pulumi(["config", "--json", "--stack", name]);

  const folder = projectFolder();
  const file = join(folder, `Pulumi.${basename(name)}.yaml`);
  const document = parseDocument(existsSync(file) ? readFileSync(file, "utf8") : "config: {}\n");
  for (const { path, value } of plain) set(document, path, value, basename(file));
  const missing = check(document, plain, folder);

  const draft = join(folder, `.vectis-import-${process.pid}.yaml`);
  try {
    writeFileSync(draft, document.toString({ lineWidth: 0 }));
    for (const [key, value] of Object.entries(secrets)) {
      await pulumi(["config", "set", key, "--secret", "--stack", name, "--config-file", draft], value);
    }
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
  const keys = plain.map(({ path, value }) => ({ key: path.join("."), value }));
  result(json, { stack: name, set: keys, secrets: Object.keys(secrets), missing }, () =>
    [
      `${basename(file)} now says:`,
      ...keys.map(({ key, value }) => `  ${key} = ${Array.isArray(value) ? value.join(", ") : String(value)}`),
      ...Object.keys(secrets).map((key) => `  ${key} = (secret)`),
      ...(missing.length === 0 ? [] : ["before the next `vectis up`:", ...missing.map((problem) => `  ${problem}`)]),
    ].join("\n"),
  );
  return exitCodes.ok;
}

function readText(name: string): string {
  try {
    return readFileSync(name, "utf8");
  } catch (error) {
    throw new UserError(`${name} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function set(document: Document, [key, ...rest]: PlainValue["path"], value: unknown, file: string): void {
  const present = document.getIn(["config", key]);
  if (rest.length > 0 && present !== undefined && (!isMap(present) || present.has("secure"))) {
    throw new UserError(
      `${key} in ${file} is encrypted or no map, so nothing can be put into it: remove it there first`,
    );
  }
  document.setIn(["config", key, ...rest], value);
}

/**
 * Judges the configuration as the program will.
 * @returns what is still missing elsewhere
 * @throws UserError if an imported value is refused
 */
function check(document: Document, imported: readonly PlainValue[], folder: string): readonly string[] {
  const config = (document.toJS() as { readonly config: Readonly<Record<string, unknown>> }).config;
  const readable = Object.entries(config)
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const)
    .filter(([, value]) => !value.includes('{"secure":'));
  // Paths in the configuration are relative to the project's folder.
  process.chdir(folder);
  try {
    parseSettings(Object.fromEntries(readable));
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isImported = (problem: string): boolean =>
      imported.some(({ path }) => problem.startsWith(`${path.join(".")} `) || problem.startsWith(`${path.join(".")}.`));
    const refused = error.problems.filter(isImported);
    if (refused.length === 0) return error.problems;
    throw new UserError(`nothing was imported:\n${refused.map((problem) => `  - ${problem}`).join("\n")}`);
  }
}
