// A folder as the build context that is sent to the engine: sorted, owned by root, without what .dockerignore excludes.
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { tar, type Entry } from "./tar.ts";

/** @param keep paths sent even if .dockerignore excludes them (the Dockerfile) */
export async function packContext(folder: string, keep: readonly string[]): Promise<Buffer> {
  const rules = await readFile(join(folder, ".dockerignore"), "utf8").then(ignoreRules, () => []);
  const entries: Entry[] = [];
  const walk = async (below: string): Promise<void> => {
    const found = await readdir(join(folder, below), { withFileTypes: true });
    for (const item of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = posix.join(below, item.name);
      const at = join(folder, path);
      const excluded = ignored(rules, path) && !keep.includes(path);
      if (item.isSymbolicLink()) {
        if (!excluded)
          entries.push({ name: path, mode: 0o777, modified: 0, content: { is: "link", to: await readlink(at) } });
      } else if (item.isDirectory()) {
        if (!excluded)
          entries.push({ name: `${path}/`, mode: (await stat(at)).mode, modified: 0, content: { is: "folder" } });
        // An exception below an excluded folder still counts, and so does a kept file.
        if (!excluded || rules.some((rule) => rule.except) || keep.some((kept) => kept.startsWith(`${path}/`)))
          await walk(path);
      } else if (item.isFile() && !excluded) {
        const info = await stat(at);
        const modified = Math.floor(info.mtimeMs / 1000);
        entries.push({ name: path, mode: info.mode, modified, content: { is: "file", data: await readFile(at) } });
      }
    }
  };
  await walk("");
  return tar(entries);
}

interface Rule {
  readonly pattern: RegExp;
  readonly except: boolean;
}

/** Lines of a .dockerignore: `*` and `?` within a folder, `**` across folders, `!` takes back, the last match wins. */
export function ignoreRules(text: string): Rule[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const except = line.startsWith("!");
      const path = posix.normalize(line.slice(except ? 1 : 0).trim()).replace(/^\/+|\/+$/g, "");
      const source = path
        .split(/(\*\*\/?|\*|\?|\[[^\]]*\])/)
        .map((part) => {
          if (part === "**/") return "(?:.*/)?";
          if (part === "**") return ".*";
          if (part === "*") return "[^/]*";
          if (part === "?") return "[^/]";
          return part.startsWith("[") ? part : part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
        })
        .join("");
      return { except, pattern: new RegExp(`^${source}(?:/.*)?$`) };
    });
}

export function ignored(rules: readonly Rule[], path: string): boolean {
  return rules.reduce((excluded, rule) => (rule.pattern.test(path) ? !rule.except : excluded), false);
}
