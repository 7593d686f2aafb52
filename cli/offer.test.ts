// When what lies in the source counts as published, as not yet published, and as refused for good.
import assert from "node:assert/strict";
import { it } from "node:test";
import { judgeOffer, type CertdStatus, type Offer, type SidecarFacts } from "./offer.ts";

const at = "2026-01-01T00:01:00.000Z";
const now = Date.parse(at) / 1000;
const status: CertdStatus = { at, published: { sha256: "old", generation: 1 }, lastError: null };
const settled = { leaf: "new", changedAt: now - 60 };

const cases: readonly {
  readonly what: string;
  readonly facts: SidecarFacts;
  readonly offer: Omit<Offer, "published">;
}[] = [
  {
    what: "a sidecar that has not reported is not ready",
    facts: { status: undefined, files: settled },
    offer: { problems: ["nothing is published yet"], final: false },
  },
  {
    what: "what the sidecar orders is published when it says so",
    facts: { status: { ...status, lastError: "The CA does not answer." }, files: undefined },
    offer: { problems: [], final: false },
  },
  {
    what: "files whose leaf is published are served",
    facts: { status, files: { ...settled, leaf: "old" } },
    offer: { problems: [], final: false },
  },
  {
    what: "files with another leaf are awaited",
    facts: { status, files: settled },
    offer: { problems: ["what the files hold is not published yet"], final: false },
  },
  {
    what: "files that changed a moment ago are not judged by an older error",
    facts: { status: { ...status, lastError: "The key does not fit." }, files: { leaf: "old", changedAt: now - 1 } },
    offer: { problems: ["the files have just changed"], final: false },
  },
  {
    what: "refused files end the wait with the reason, also when only the key is wrong",
    facts: { status: { ...status, lastError: "The key does not fit." }, files: { ...settled, leaf: "old" } },
    offer: { problems: ["The key does not fit."], final: true },
  },
  {
    what: "files that wait behind a pinned generation are not waited for",
    facts: { status: { ...status, pinned: { generation: 1 } }, files: settled },
    offer: { problems: ["generation 000001 is pinned: end that with `vectis certs unpin`"], final: true },
  },
  {
    what: "files that are pinned and published are served",
    facts: { status: { ...status, pinned: { generation: 1 } }, files: { ...settled, leaf: "old" } },
    offer: { problems: [], final: false },
  },
  {
    what: "a reason with advice is given as a whole",
    facts: {
      status: { ...status, lastError: { cause: "The file is missing.", advice: "Put it there." } },
      files: { leaf: undefined, changedAt: 0 },
    },
    offer: { problems: ["The file is missing. Put it there."], final: true },
  },
];
for (const { what, facts, offer } of cases) {
  it(what, () => {
    const { published, ...rest } = judgeOffer(facts);
    assert.deepEqual(rest, offer);
    assert.equal(published, facts.status?.published?.sha256);
  });
}
