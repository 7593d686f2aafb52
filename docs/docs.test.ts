// What the documents say of the repository is there: files that they point to, and tests that they quote.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const documents = ["README.md", ...globSync("docs/*.md")];
const read = (file: string): string => readFileSync(file, "utf8");

for (const document of documents) {
  test(`${document} points to files that exist`, () => {
    const text = read(document);
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, path = ""]) =>
      join(dirname(document), path),
    );
    const tests = [...text.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, path = ""]) => path);
    assert.deepEqual(
      [...links, ...tests].filter((path) => !existsSync(path)),
      [],
    );
  });

  test(`${document} quotes tests by titles that they have`, () => {
    const quotes = [...read(document).matchAll(/`([\w./-]+\.test\.ts)`: ([^|\n]+?) *\|/g)];
    const wrong = quotes.filter(([, file = "", title = ""]) => !existsSync(file) || !read(file).includes(title));
    assert.deepEqual(
      wrong.map(([quote]) => quote),
      [],
    );
  });
}
