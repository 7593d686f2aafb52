// Faults of the CA and of the way to it. Each happens while certd wants a certificate, which is when it matters.
import { caHostname } from "../../lab/addresses.ts";
import { AcmeProxy, moveCa, type Behaviour } from "./acme-proxy.ts";
import { certd, signal } from "./breakage.ts";
import { docker } from "../support/docker.ts";
import { says, type Fault, type Scene, type Shown } from "./rehearsal.ts";
import type { Site } from "../support/site.ts";
import { until } from "../support/wait.ts";

/**
 * Makes certd want a new certificate at once: the one in service is marked as forgotten by its CA, which certd remembers
 * across restarts.
 */
export async function wantCertificate(site: Site): Promise<void> {
  await remember(site, "forgotten: published.sha256, failures: 0");
}

/** Lets the wait after a failed order be over: the failure is an older one to certd. */
export async function ageFailure(site: Site): Promise<void> {
  await remember(site, "lastFailureAt: 0, retryAt: 0");
}

/** Changes what certd remembers across restarts, and has it start anew. */
async function remember(site: Site, change: string): Promise<void> {
  const script = `
    const fs = require("fs");
    const [home] = fs.readdirSync("/acme.sh").filter((name) => fs.existsSync("/acme.sh/" + name + "/certd.json"));
    const file = "/acme.sh/" + home + "/certd.json";
    const { published } = JSON.parse(fs.readFileSync("/run/certd/status.json"));
    const state = { ...JSON.parse(fs.readFileSync(file)), ${change} };
    fs.writeFileSync(file, JSON.stringify(state));`;
  await site.exec("acme", "node", "-e", script);
  await signal(site, "acme", "KILL", certd);
}

/** A fault during which certd wants a certificate and must not get it, and after which it must. */
function wanting(
  title: string,
  shows: Shown,
  { begin, end }: { begin: (scene: Scene) => Promise<void>; end: (scene: Scene) => Promise<void> },
): Fault {
  return {
    ...anyway(title, begin),
    shows,
    heal: end,
    alerts: [shows === silent ? "VectisCaSilent" : "VectisUnreachable"],
  };
}

/** A fault of the CA's answers. */
function answering(title: string, shows: Shown, behaviour: Behaviour): Fault {
  let proxy: AcmeProxy | undefined;
  return wanting(title, shows, {
    begin: async ({ site }) => void (proxy = await AcmeProxy.start(site, behaviour)),
    end: async () => proxy?.stop(),
  });
}

/** A fault in spite of which a wanted certificate comes. */
function anyway(title: string, begin: (scene: Scene) => Promise<void>): Fault {
  let before = "";
  return {
    title,
    inject: async (scene) => {
      before = await scene.site.publishedSerial();
      await begin(scene);
      scene.begins();
      await wantCertificate(scene.site);
    },
    over: async ({ site }) => (await site.publishedSerial()) !== before,
  };
}

const silent = says("the CA does not answer", ({ ca }) => ca?.answers === false);
const failed = (cause: RegExp, words: string): Shown =>
  says(`the last order failed: ${words}`, ({ order }) => order.failures > 0 && cause.test(order.last?.cause ?? ""));

const refusing = answering("the CA refuses every order (rate limited)", failed(/rate limit/, "rate limited"), {
  to: "orders",
  answer: { status: 429, type: "rateLimited", detail: "too many certificates" },
});

/** The second failure in a row is the one that raises the alert; the minute between them is skipped. */
async function failAgain({ site }: Scene): Promise<void> {
  await ageFailure(site);
  await until("the second failure", async () =>
    /"failures": 2/.test(await site.exec("acme", "cat", "/run/certd/status.json")),
  );
}

/** The CA takes orders again, and the ten minutes after two failures are over. */
async function takeBack(scene: Scene): Promise<void> {
  await refusing.heal?.(scene);
  await ageFailure(scene.site);
}

export const caFaults: readonly Fault[] = [
  wanting("the CA hangs while a certificate is wanted", silent, {
    begin: async ({ site }) => void (await docker("pause", site.lab.ca)),
    end: async ({ site }) => void (await docker("unpause", site.lab.ca)),
  }),
  { ...answering("the CA hangs up on every request", silent, { to: "everything", answer: "hang up" }), long: true },
  {
    ...answering("the CA answers every request with an internal error", silent, {
      to: "everything",
      answer: { status: 500, type: "serverInternal", detail: "out of order" },
    }),
    long: true,
  },
  { ...refusing, lasts: failAgain, heal: takeBack, alerts: ["VectisOrdersFail"] },
  {
    ...anyway("the CA refuses the nonce of every second request", async (scene) => {
      const proxy = await AcmeProxy.start(scene.site, {
        to: "every second post",
        answer: { status: 400, type: "badNonce", detail: "JWS has an invalid anti-replay nonce" },
      });
      scene.finally(() => proxy.stop());
    }),
    long: true,
  },
  {
    title: "the CA is rebuilt: account, certificates and root are gone",
    shows: says("the CA no longer knows the certificate", ({ order }) => /no longer knows/.test(order.reason ?? "")),
    // Traefik comes to a new account only by a fresh start.
    stops: [443],
    inject: async ({ site, load, begins }) => {
      await docker("restart", "--time", "10", site.lab.ca);
      load.ca += await until("the CA's new root", () => site.lab.root());
      begins();
    },
    over: async ({ site }) => (await site.verdict()).asExpected,
    patience: 180,
  },
  wanting("DNS does not answer and the CA cannot be found while a certificate is wanted", silent, {
    begin: async ({ site }) => {
      await moveCa(site.lab, "elsewhere.vectis-lab.test");
      await docker("pause", `${site.lab.name}-dns`);
    },
    end: async ({ site }) => {
      await docker("unpause", `${site.lab.name}-dns`);
      await moveCa(site.lab, caHostname);
    },
  }),
  {
    ...wanting(
      "Traefik, and with it port 80, is stopped while a certificate is wanted",
      { words: "no answer", when: ({ health }) => health === undefined },
      {
        begin: async ({ site }) => void (await docker("stop", "--time", "10", site.containers.traefik)),
        end: async ({ site }) => void (await docker("start", site.containers.traefik)),
      },
    ),
    stops: [443],
  },
];
