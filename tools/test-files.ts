// Loads the test files it is given into one process, so that they can share what is costly to set up: for tools/test.ts.
import { resolve } from "node:path";

for (const file of process.argv.slice(2)) await import(resolve(file));
