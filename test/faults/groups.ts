// All faults, in the order of docs/faults.md.
import type { FaultGroup } from "./fault-table.ts";
import { caFaults } from "./ca.ts";
import { daemonFaults } from "./daemons.ts";
import { hostFaults } from "./host.ts";
import { storageFaults } from "./storage.ts";

/** Written and not yet rehearsed to the end; they run only when VECTIS_TEST_FAULTS names them. */
export const drafts: ReadonlySet<string> = new Set([
  "the CA hangs up on every request",
  "the CA answers every request with an internal error",
  "the CA refuses every order (rate limited)",
  "the CA refuses the nonce of every second request",
  "the CA is rebuilt: account, certificates and root are gone",
  "Traefik, and with it port 80, is stopped while a certificate is wanted",
  "the disk is full while certd renews",
  "the volume acme-home is read-only while certd renews",
  "everything in the volume mail-certs is deleted",
  "the published key is overwritten",
  "the main processes of Postfix and Dovecot are frozen (SIGSTOP) while a renewal is published",
  "Dovecot crashes",
  "Postfix crashes",
  "Postfix and Dovecot crash at the moment of a switch",
  "certd is killed ten times during a renewal",
  "certd is frozen (SIGSTOP) while a person renews",
  "a second certd is started on the same volumes, and a renewal is published",
  "all containers are stopped and start again in the order dovecot, postfix, traefik, acme",
  "all containers are stopped and start again in the order postfix, acme, dovecot, traefik",
  "all containers are stopped and start again in the order acme, traefik, postfix, dovecot",
  "Traefik is restarted while the CA looks for a challenge",
  "the volumes with certificates and accounts are set back to an older copy, and the containers start again",
  "every container is removed, and an update makes them anew",
  "the engine of an update is killed (SIGKILL) at ten moments, and the update run again each time",
  "the clock jumps 61 days ahead, and back",
  "the clock jumps 100 days ahead, and back",
  "the clock jumps 61 days back, and ahead again",
]);

export const faultGroups: readonly FaultGroup[] = [
  { title: "The CA and the way to it", faults: caFaults },
  { title: "Storage", faults: storageFaults },
  { title: "Daemons, followers and certd", faults: daemonFaults },
  { title: "The host", faults: hostFaults },
];
