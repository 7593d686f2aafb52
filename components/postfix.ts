// Postfix: mail from other servers on 25, authenticated submission on 465 and 587, the outbound queue.
import * as pulumi from "@pulumi/pulumi";
import { mailContainer, type ServiceArgs, stateVolume } from "./container.ts";
import { opensslConf, opensslPath, postfixTls, type TlsPolicy } from "./tls-policy.ts";

/** Folder of the socket at which Dovecot authenticates Postfix's clients, in both containers. */
export const saslFolder = "/run/sasl";

export interface PostfixConfig {
  readonly hostname: string;
  readonly domains: readonly string[];
  /** Addresses that mail is accepted for; everything else in the domains is refused at once. */
  readonly mailboxes: readonly string[];
  /** Host and port of Dovecot's LMTP listener, for example `dovecot:24`. */
  readonly lmtp: string;
  readonly policy: TlsPolicy;
}

const mailboxMap = "/etc/postfix/mailboxes";

/** `/etc/postfix/main.cf`: one parameter a line, in a fixed order. */
export function mainCf(config: PostfixConfig): string {
  const parameters: [string, string][] = [
    ["compatibility_level", "3.10"],
    ["maillog_file", "/dev/stdout"],
    ["myhostname", config.hostname],
    ["myorigin", config.hostname],
    ["mydestination", ""],
    ["mynetworks", "127.0.0.0/8"],
    ["inet_interfaces", "all"],
    ["inet_protocols", "ipv4"],
    ["alias_maps", ""],
    ["biff", "no"],
    ["message_size_limit", "52428800"],
    ["smtpd_banner", "$myhostname ESMTP"],
    // Slow PTR look-ups hold smtpd processes, and with them the old certificate, for seconds.
    ["smtpd_peername_lookup", "no"],
    ["disable_vrfy_command", "yes"],
    ["virtual_mailbox_domains", config.domains.join(" ")],
    ["virtual_mailbox_maps", `texthash:${mailboxMap}`],
    ["virtual_transport", `lmtp:inet:${config.lmtp}`],
    ["lmtp_host_lookup", "native"],
    // The follower replaces this table after a rotation: every smtpd that has it open then makes way for a new one.
    ["smtpd_client_restrictions", "check_client_access btree:/run/vectis/generation"],
    ["smtpd_relay_restrictions", "permit_sasl_authenticated, reject_unauth_destination"],
    ["smtpd_sasl_auth_enable", "yes"],
    ["smtpd_sasl_type", "dovecot"],
    ["smtpd_sasl_path", `unix:${saslFolder}/auth`],
    ["smtpd_sasl_security_options", "noanonymous"],
    // An smtpd that starts while Dovecot does ends with "no SASL authentication mechanisms"; by default master would
    // then hold the port back for a minute.
    ["service_throttle_time", "1s"],
    // While master is stopped, postlogd waits to tell it of each line. Ended by its watchdog (10 s by default) it would
    // leave a socket behind that is full: master's first line after that would wait for a postlogd that only master starts.
    ["postlogd_watchdog_timeout", "1d"],
    ...postfixTls(config.policy),
  ];
  return parameters.map(([key, value]) => `${key} = ${value}`.trimEnd() + "\n").join("");
}

/** `/etc/postfix/master.cf`: no service is chrooted, and only three listen on the network. */
export function masterCf(): string {
  const submission = [
    "-o syslog_name=postfix/SERVICE",
    "-o smtpd_tls_security_level=encrypt",
    "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    "-o smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
  ];
  const options = (service: string, more: readonly string[] = []): string =>
    [...submission, ...more].map((option) => `\n  ${option.replace("SERVICE", service)}`).join("");
  // service type private unpriv chroot wakeup maxproc command
  return `smtp inet n - n - - smtpd
submissions inet n - n - - smtpd${options("submissions", ["-o smtpd_tls_wrappermode=yes"])}
submission inet n - n - - smtpd${options("submission")}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}

/** The table of deliverable addresses, sorted, so that its text follows only from their set. */
export function mailboxTable(addresses: readonly string[]): string {
  const lines = [...addresses].sort().map((address) => `${address} ${address}\n`);
  return `# Addresses that mail is accepted for.\n${lines.join("")}`;
}

export interface PostfixArgs extends ServiceArgs {
  /** Name of the volume with the mail queue on the Docker host. */
  readonly spoolVolumeName: string;
  /** Volume with the published certificate generations. */
  readonly certsVolume: pulumi.Input<string>;
  /** Volume with Dovecot's authentication socket. */
  readonly saslVolume: pulumi.Input<string>;
  readonly config: PostfixConfig;
}

export class Postfix extends pulumi.ComponentResource {
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: PostfixArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:mail:Postfix", name, args, opts);
    const spool = stateVolume(
      `${name}-spool`,
      { volumeName: args.spoolVolumeName, owner: args.owner, data: args.data },
      { parent: this },
    );
    const container = mailContainer(
      name,
      args,
      {
        volumes: [
          { volume: args.certsVolume, path: "/etc/ssl/mail", access: "read-only" },
          { volume: args.saslVolume, path: saslFolder, access: "read-only" },
          { volume: spool.name, path: "/var/spool/postfix", access: "read-write" },
        ],
        tmpfs: {
          "/run": "rw,nosuid,nodev,size=16m,mode=0755",
          "/tmp": "rw,nosuid,nodev,noexec,size=64m,mode=1777",
        },
        files: [
          { path: "/etc/postfix/main.cf", content: mainCf(args.config) },
          { path: "/etc/postfix/master.cf", content: masterCf() },
          { path: mailboxMap, content: mailboxTable(args.config.mailboxes) },
          { path: opensslPath.postfix, content: opensslConf(args.config.policy) },
        ],
        // CHOWN, DAC_OVERRIDE, FOWNER: master sets up the queue's folders for their owners. SETGID, SETUID: its
        // services then run as the user postfix.
        capabilities: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"],
        memory: 512,
        health: ["/usr/local/lib/vectis/healthy"],
      },
      { parent: this },
    );
    this.containerName = container.name;
    this.registerOutputs({ containerName: this.containerName });
  }
}
