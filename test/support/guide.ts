// Every command of the mail server's guide, verbatim, with what its output has to show; and the one place that says how
// the guide's names and ports are those of a site.
import assert from "node:assert/strict";
import type { StackOutputs } from "../../cli/stack.ts";
import { tlsServices } from "../../cli/verdict.ts";
import type { Outcome } from "./pulumi.ts";

export interface GuideCommand {
  /** Heading in the guide. */
  readonly section: string;
  readonly command: string;
  readonly shows: (outcome: Outcome) => void;
}

const succeeds = ({ code, stdout, stderr }: Outcome): void => assert.equal(code, 0, `${stdout}\n${stderr}`);
/** "Protocol: TLSv1.2 or TLSv1.3 in the output", and "Verify return code: 0 (ok) indicating a valid certificate chain". */
const verified = ({ stdout }: Outcome): void => {
  assert.match(stdout, /TLSv1\.[23]/);
  assert.match(stdout, /Verify return code: 0 \(ok\)/);
};
const dates = ({ stdout }: Outcome): void => {
  const [, until = ""] = /^notBefore=.*\nnotAfter=(.*)$/m.exec(stdout) ?? [];
  assert.ok(Date.parse(until) > Date.now(), stdout);
};
const sidecarLog = (outcome: Outcome): void => {
  succeeds(outcome);
  assert.match(outcome.stdout, /published/i);
};

export const guide: readonly GuideCommand[] = [
  {
    section: "Let's Encrypt (automatic): the mail certificate",
    command: `openssl s_client -connect mail.example.com:993 -servername mail.example.com </dev/null 2>/dev/null | \\
  openssl x509 -noout -dates`,
    shows: dates,
  },
  {
    section: "Let's Encrypt (automatic): the HTTPS certificate",
    command: `openssl s_client -connect mail.example.com:443 -servername mail.example.com </dev/null 2>/dev/null | \\
  openssl x509 -noout -dates`,
    shows: dates,
  },
  {
    section: "Check via the Vectis API",
    command: `curl https://mail.example.com/api/v1/health \\
  -H "Authorization: Bearer YOUR_TOKEN"`,
    shows: (outcome) => {
      succeeds(outcome);
      const { certificates } = JSON.parse(outcome.stdout) as {
        certificates: Record<"mail" | "https", { notAfter: string }>;
      };
      const { mail, https } = certificates;
      for (const { notAfter } of [mail, https]) assert.ok(Date.parse(notAfter) > Date.now());
    },
  },
  {
    section: "Test SMTP TLS: STARTTLS on port 587",
    command: "openssl s_client -starttls smtp -connect mail.example.com:587 -servername mail.example.com",
    shows: verified,
  },
  ...[465, 993, 995, 443].map((port) => ({
    section: `Test TLS on port ${port}`,
    command: `openssl s_client -connect mail.example.com:${port} -servername mail.example.com`,
    shows: verified,
  })),
  { section: "Certificate not found", command: "vectis logs acme", shows: sidecarLog },
  { section: "Certificate not found", command: "docker logs vectis-acme", shows: sidecarLog },
  {
    section: "Certificate expired: force a manual renewal",
    command: "docker exec vectis-acme acme.sh --renew --domain mail.example.com --force",
    shows: succeeds,
  },
  {
    section: "TLS handshake failures: verbose output",
    command: "openssl s_client -connect mail.example.com:993 -servername mail.example.com -debug",
    shows: verified,
  },
  {
    section: "TLS handshake failures: the server's supported protocols",
    command: "nmap --script ssl-enum-ciphers -p 993 mail.example.com",
    shows: (outcome) => {
      succeeds(outcome);
      assert.match(outcome.stdout, /TLSv1\.2:/);
      assert.doesNotMatch(outcome.stdout, /TLSv1\.[01]:|SSLv3/);
      assert.match(outcome.stdout, /least strength: A/);
    },
  },
];

/** What the guide says about certificates from another CA; each in the order in which it is done. */
export const customGuide: readonly GuideCommand[] = [
  {
    section: "Applying custom certificates",
    command: `# Copy your certificate files
cp your-cert.pem /etc/vectis/certs/fullchain.pem
cp your-key.pem /etc/vectis/certs/privkey.pem

# Set permissions
chmod 644 /etc/vectis/certs/fullchain.pem
chmod 600 /etc/vectis/certs/privkey.pem

# Apply the configuration
vectis config apply`,
    shows: succeeds,
  },
  {
    section: "Custom certificates (manual)",
    command: `cp new-fullchain.pem /etc/vectis/certs/fullchain.pem
cp new-privkey.pem /etc/vectis/certs/privkey.pem
vectis config apply`,
    shows: succeeds,
  },
];

/** The guide's config.yaml for custom certificates. */
export const customConfig = `tls:
  provider: custom
  cert_path: /etc/vectis/certs/fullchain.pem
  key_path: /etc/vectis/certs/privkey.pem
`;

/** What stands for the guide's mail.example.com here. */
export interface Place {
  readonly outputs: StackOutputs;
  /** Folder of the Docker host that stands for /etc/vectis/certs. */
  readonly certificates: string;
  /** Address of a container in the Docker network, where it listens on the real port. */
  readonly dovecot: string;
}

/** The only thing that is changed in the guide's commands: whom they are addressed to. */
export function addressed(command: string, { outputs, dovecot, certificates }: Place): string {
  const { hostname, endpoints, containers } = outputs;
  return command
    .replace(/mail\.example\.com:(\d+)/g, (_, port: string) => {
      const service = tlsServices.find((known) => known.port === Number(port));
      assert.ok(service, `the guide knows port ${port}`);
      const { host, port: published } = endpoints[service.key];
      return `${host}:${published}`;
    })
    .replace(/^curl /, `curl -s --connect-to ::${endpoints.https.host}:${endpoints.https.port} `)
    .replace("YOUR_TOKEN", "dev-health-token")
    .replace(/^(nmap .*)mail\.example\.com$/, `$1${dovecot}`)
    .replaceAll("mail.example.com", hostname)
    .replaceAll("/etc/vectis/certs", certificates)
    .replaceAll("vectis-acme", containers.acme);
}
