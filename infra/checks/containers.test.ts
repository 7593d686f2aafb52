import assert from "node:assert/strict";
import { test } from "node:test";
import { containerFindings } from "./containers.ts";
import { messages } from "./finding.ts";

const names = ["mx1-acme", "mx1-postfix"];
const container = (name: string, owner?: string, pulumiStack?: string) => ({ name, owner, pulumiStack, ports: [] });
const found = (...containers: ReturnType<typeof container>[]): string[] =>
  containerFindings(names, containers, "mx1", "prod").map(({ key, problem }) => `${key} ${problem}`);

test("the stack's own containers are no finding, nor those of an earlier version, nor any with other names", () => {
  assert.deepEqual(found(container("mx1-acme", "mx1", "prod"), container("mx1-postfix", "mx1")), []);
  assert.deepEqual(found(container("mx2-acme", "mx2", "prod"), container("web")), []);
});

test("another stack with the same name is one finding that names its containers", () => {
  assert.deepEqual(found(container("mx1-acme", "mx1", "dev"), container("mx1-postfix", "mx1", "dev")), [
    "vectis:name mx1 is in use: the Docker host has mx1-acme, mx1-postfix of the stack dev; choose another name, or remove " +
      "what is there",
  ]);
});

test("a container that somebody made by hand is one too", () => {
  const [text = ""] = found(container("mx1-postfix"));
  assert.match(text, /^vectis:name mx1 is in use: the Docker host has mx1-postfix that this stack did not make; /);
  assert.throws(() => messages(containerFindings(names, [container("mx1-postfix")], "mx1", "prod")), /vectis:name/);
});
