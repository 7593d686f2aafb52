// The composition root: settings become a topology, the topology becomes resources. No decision is made here.
import * as pulumi from "@pulumi/pulumi";
import { bundle } from "../certd/bundle.ts";
import { ChallengeToken } from "../components/challenge-token.ts";
import { Dovecot } from "../components/dovecot.ts";
import { HostNetwork } from "../components/host-network.ts";
import { InternalCa } from "../components/internal-ca.ts";
import { MailCerts, sha256 } from "../components/mail-certs.ts";
import { MailKeys } from "../components/mail-keys.ts";
import { Postfix } from "../components/postfix.ts";
import { MailRecords } from "../components/records.ts";
import { TlsaRecords } from "../components/tlsa-records.ts";
import { Traefik } from "../components/traefik.ts";
import { printed, zoneFile } from "../components/zone-file.ts";
import { daneFindings } from "./checks/dane.ts";
import { messages } from "./checks/finding.ts";
import { passphraseFindings } from "./checks/passphrase.ts";
import { ConfigError, parseSettings } from "./config.ts";
import { danePlan, keysPlan } from "./dane-plan.ts";
import { access } from "./facts/cloudflare.ts";
import { type ChallengeTokenSource, dnsPlan, recordsName } from "./dns-plan.ts";
import { dockerHost } from "./facts/docker.ts";
import { imageSpecs, type ServiceName } from "./images.ts";
import { gather, judge, recordsToMake, subject } from "./preflight.ts";
import { topology } from "./topology.ts";

// The SDK takes a stack trace for each of its promises, and maps it back through source maps that this program has none of:
// Node.js strips types in place. Without the mapping an update without changes takes a fifth less of the processor.
Reflect.deleteProperty(Error, "prepareStackTrace");

/** RunError: the engine prints its message without a stack trace. */
function orRunError<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof ConfigError ? new pulumi.RunError(error.message) : error;
  }
}

const settings = orRunError(() => parseSettings(pulumi.runtime.allConfig(), pulumi.getProject()));
const plan = topology(settings);
const dns = dnsPlan(settings, plan.certificateNames);
// Facts come in while the images are looked at. No resource is declared before all of them have been judged.
const cloudflare = access(pulumi.runtime.allConfig(), process.env);
const docker = dockerHost(pulumi.runtime.allConfig(), process.env);
const dane = danePlan(settings);
const checked = subject(settings, plan, dns, dane, docker, cloudflare, pulumi.getStack());
const facts = gather(checked, docker, cloudflare);
bundle();
const images = imageSpecs(settings.images);
const findings = [...passphraseFindings(process.env, pulumi.getStack()), ...judge(checked, await facts)];
for (const { level, text } of orRunError(() => messages(findings))) await pulumi.log[level](text);

const records = checked.zones === undefined ? dns.records : recordsToMake(checked.zones, await facts);

const keysArgs = keysPlan(settings);
const mailKeys = keysArgs && new MailKeys("mail-key", keysArgs);
// The first TLSA records must match what is served. The keys are known at an update only, and touched by nothing yet.
if (mailKeys && dane && !pulumi.runtime.isDryRun()) {
  const { dane: seen, now } = await facts;
  if (seen?.published?.length === 0) {
    const keys = await mailKeys.publicKeys();
    orRunError(() => messages(daneFindings(dane.wish, { ...seen, keys }, now)));
  }
}

const network = new HostNetwork("network", { networkName: plan.networkName, owner: settings.name });

/** What every service has in common. Joined networks know the published services by the names that lead here, too. */
const common = (service: ServiceName) => ({
  containerName: plan.containerNames[service],
  owner: settings.name,
  data: settings.data,
  image: images[service],
  ports: plan.ports[service],
  resolvers: settings.resolvers,
  networks: [
    { network: network.networkName, aliases: [service] },
    ...settings.publish.networks.map((joined) => ({
      network: joined,
      aliases: service === "traefik" ? [...plan.traefik.mailNames, ...dns.mtaStsHosts] : [],
    })),
  ],
});

if (dns.zones !== undefined) {
  new MailRecords(recordsName, { records, owner: dns.owner, zoneId: dns.zones.idOf });
}

if (mailKeys && dane?.zoneId !== undefined) {
  new TlsaRecords("tlsa", { ...dane, zoneId: dane.zoneId, generations: mailKeys.generations });
}

function challengeToken(source: ChallengeTokenSource | undefined): pulumi.Output<string> | undefined {
  switch (source?.from) {
    case undefined:
      return undefined;
    case "operator":
      return pulumi.secret(source.value);
    case "stack":
      return new ChallengeToken("challenge-token", source).value;
  }
}

const ownCa = plan.internalCa && new InternalCa("internal", plan.internalCa);
const mailCerts = new MailCerts("acme", {
  ...common("acme"),
  volumeNames: plan.volumeNames,
  certd: plan.certd,
  challengeToken: challengeToken(dns.challengeToken),
  mailKey: mailKeys?.currentKey,
  customFolder: plan.customFolder,
  internal: ownCa,
  healthTokenSha256: settings.healthToken === undefined ? undefined : sha256(settings.healthToken),
});
const traefik = new Traefik("traefik", {
  ...common("traefik"),
  acmeVolumeName: plan.volumeNames.traefikAcme,
  dynamicVolume: mailCerts.traefikDynamicVolume,
  config: plan.traefik,
});
const dovecot = new Dovecot("dovecot", {
  ...common("dovecot"),
  volumeNames: plan.volumeNames,
  certsVolume: mailCerts.certsVolume,
  mailboxes: plan.mailboxes,
  config: plan.dovecot,
});
const postfix = new Postfix("postfix", {
  ...common("postfix"),
  spoolVolumeName: plan.volumeNames.spool,
  certsVolume: mailCerts.certsVolume,
  saslVolume: dovecot.saslVolume,
  config: plan.postfix,
});

const tlsa = pulumi.output(dane && mailKeys ? mailKeys.records(dane) : []);
const { provider, acme } = settings.tls;

/** Stack outputs. Of an option that is off there is none. */
export default {
  hostname: settings.hostname,
  endpoints: plan.endpoints,
  certificateNames: plan.certificateNames,
  /** Key type of the second certificate of the mail ports. */
  ...(acme.alsoKeyType === undefined ? {} : { alsoKeyType: acme.alsoKeyType }),
  dnsRecords: tlsa.apply((more) => printed([...records, ...more])),
  dnsZone: tlsa.apply((more) => zoneFile([...records, ...more])),
  /** Whether 443 has a certificate of its own or shares that of the mail ports. */
  https: plan.traefik.certificate,
  /** Root of the stack's own CA, for the trust stores of clients. */
  ...(ownCa === undefined ? {} : { internalCa: ownCa.root }),
  ...(provider === "letsencrypt" ? { acmeDirectory: acme.directory } : {}),
  containers: {
    traefik: traefik.containerName,
    postfix: postfix.containerName,
    dovecot: dovecot.containerName,
    acme: mailCerts.containerName,
  },
};
