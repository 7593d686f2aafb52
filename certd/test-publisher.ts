// Child process of generations.test.ts: publishes two pairs in turn as fast as it can, until it is killed.
import { readFileSync } from "node:fs";
import { GenerationStore } from "./generations.ts";
import type { Pair } from "./validate.ts";

const [root = "", pairsFile = ""] = process.argv.slice(2);
const pairs = JSON.parse(readFileSync(pairsFile, "utf8")) as Pair[];
const store = new GenerationStore(root, 3, Date.now);
store.recover();
process.stdout.write("ready\n");
for (let turn = process.pid; ; turn++) {
  const pair = pairs[turn % pairs.length];
  if (pair !== undefined)
    store.publish(pair, ["mail.vectis.test"], { source: "acme", directory: "https://ca.test/dir" });
}
