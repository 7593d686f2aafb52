// Dovecot: the mailboxes, IMAP on 993, POP3 on 995, delivery by LMTP, and the passwords of everyone who submits mail.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { mailContainer, type ServiceArgs, stateVolume } from "./container.ts";
import { saslFolder } from "./postfix.ts";
import { dovecotTls, opensslConf, opensslPath, type TlsPolicy } from "./tls-policy.ts";

/** Uid and gid of the user that owns all mail; made in images/dovecot/Dockerfile. */
const vmail = 5000;
/** Where the password file arrives, readable by root alone, and where the entrypoint makes it readable to Dovecot's auth. */
const uploadedPasswdFile = "/etc/dovecot/users";
const passwdFile = "/run/vectis/users";

export interface DovecotConfig {
  readonly hostname: string;
  readonly policy: TlsPolicy;
  /** Whether a second certificate, with an RSA key, is served to clients that take no ECDSA. Default: no. */
  readonly alsoRsa?: boolean;
}

const versions = "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n";

// Fields in Dovecot's own order; a passwd-file without uid and gid ends in "missing userdb info".
const users = `passdb passwd-file {
  passwd_file_path = ${passwdFile}
}
userdb passwd-file {
  passwd_file_path = ${passwdFile}
}
`;

const mail = `mail_uid = ${vmail}
mail_gid = ${vmail}
mail_home = /srv/mail/%{user | domain}/%{user | username}
mail_driver = maildir
mail_path = ~/Maildir
`;

/** Configuration of the instance that serves IMAP and POP3; the one that a certificate reloads. */
export function dovecotConf(config: DovecotConfig): string {
  const tls = dovecotTls(config.policy, config.alsoRsa).map(([key, value]) => `${key} = ${value}\n`);
  // Login processes that live on and take many clients: faster, and none is forked in the moment of a reload.
  const login = (protocol: "imap" | "pop3", port: number): string => `service ${protocol}-login {
  process_min_avail = 2
  client_limit = 1000
  restart_request_count = unlimited
  inet_listener ${protocol} {
    port = 0
  }
  inet_listener ${protocol}s {
    port = ${port}
    ssl = yes
  }
}
`;
  return `${versions}
log_path = /dev/stderr
hostname = ${config.hostname}
protocols = imap pop3
base_dir = /run/dovecot
import_environment {
  OPENSSL_CONF = ${opensslPath.dovecot}
}

${tls.join("")}
# A reload must not hang up on anybody: sessions keep the certificate they began with.
shutdown_clients = no

auth_allow_cleartext = no
${users}
${mail}
${login("imap", 993)}${login("pop3", 995)}`;
}

/**
 * Configuration of the instance that serves Postfix: it authenticates its clients and takes its mail. A certificate never
 * touches it, because a reload would refuse a delivery now and then, which Postfix tries again only minutes later.
 */
export function dovecotAuthConf(): string {
  return `${versions}
log_path = /dev/stderr
instance_name = auth
base_dir = /run/dovecot-auth
protocols = lmtp
ssl = no

${users}
${mail}
service lmtp {
  inet_listener lmtp {
    port = 24
  }
}
service auth {
  unix_listener ${saslFolder}/auth {
    mode = 0666
  }
}
`;
}

export interface Mailbox {
  readonly address: string;
  /** In Dovecot's notation, for example `{SHA512-CRYPT}$6$…`. */
  readonly passwordHash: string;
}

/** The passwd-file, sorted, with every field that Dovecot wants filled in. */
export function passwdFileText(mailboxes: readonly Mailbox[]): string {
  const lines = mailboxes.map(({ address, passwordHash }) => `${address}:${passwordHash}:${vmail}:${vmail}::::\n`);
  return `# user:password:uid:gid\n${lines.sort().join("")}`;
}

export interface DovecotArgs extends ServiceArgs {
  /** Names of the volumes on the Docker host. */
  readonly volumeNames: { readonly mailboxes: string; readonly sasl: string };
  /** Volume with the published certificate generations. */
  readonly certsVolume: pulumi.Input<string>;
  /** Who may log in; their password hashes are kept secret. */
  readonly mailboxes: readonly Mailbox[];
  readonly config: DovecotConfig;
}

export class Dovecot extends pulumi.ComponentResource {
  /** Volume with the authentication socket, for Postfix. */
  readonly saslVolume: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: DovecotArgs, opts?: pulumi.ComponentResourceOptions) {
    super("vectis:mail:Dovecot", name, { ...args, mailboxes: pulumi.secret(args.mailboxes) }, opts);
    const { owner, data, volumeNames } = args;
    const volume = (suffix: string, volumeName: string): docker.Volume =>
      stateVolume(`${name}-${suffix}`, { volumeName, owner, data }, { parent: this });
    const mailboxes = volume("mailboxes", volumeNames.mailboxes);
    const sasl = volume("sasl", volumeNames.sasl);
    const container = mailContainer(
      name,
      args,
      {
        volumes: [
          { volume: args.certsVolume, path: "/etc/ssl/mail", access: "read-only" },
          { volume: sasl.name, path: saslFolder, access: "read-write" },
          { volume: mailboxes.name, path: "/srv/mail", access: "read-write" },
        ],
        tmpfs: {
          "/run": "rw,nosuid,nodev,size=16m,mode=0755",
          "/tmp": "rw,nosuid,nodev,noexec,size=64m,mode=1777",
        },
        // One secret hides a whole property in a preview: what may be seen travels as environment, the rest as a file.
        envs: {
          DOVECOT_CONF: dovecotConf(args.config),
          DOVECOT_AUTH_CONF: dovecotAuthConf(),
          OPENSSL_CNF: opensslConf(args.config.policy),
        },
        files: [{ path: uploadedPasswdFile, content: pulumi.secret(passwdFileText(args.mailboxes)), mode: "0600" }],
        // CHOWN: run directories for their users. SETGID, SETUID: login and mail processes. SYS_CHROOT: login processes.
        capabilities: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"],
        memory: 512,
        health: ["/usr/local/lib/vectis/healthy"],
      },
      { parent: this },
    );
    this.saslVolume = sasl.name;
    this.containerName = container.name;
    this.registerOutputs({ saslVolume: this.saslVolume, containerName: this.containerName });
  }
}
