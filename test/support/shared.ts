// One site for all suites of a process that leave it as they found it: a lab and a stack take half a minute to start.
import { after } from "node:test";
import { removeSites, Site } from "./site.ts";

after(() => removeSites());

let shared: Promise<Site> | undefined;

/** The shared site, with every port as expected. */
export async function sharedSite(): Promise<Site> {
  shared ??= Site.start("shared");
  const site = await shared;
  await site.asExpected();
  return site;
}
