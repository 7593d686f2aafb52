// The cloudflare package as a plugin: DNS records, tokens and look-ups over a Cloudflare API.
import { framework } from "../protocol/framework.ts";
import { serve } from "../protocol/main.ts";
import { checkBaseUrl, checkToken, connect, type Api } from "./api.ts";
import { dnsRecord } from "./dns-record.ts";
import { lookups } from "./lookups.ts";
import { accountToken, apiToken } from "./token.ts";

serve<Api>({
  name: "cloudflare",
  style: framework,
  config: { apiToken: { secret: true, check: checkToken }, baseUrl: { check: checkBaseUrl } },
  types: [dnsRecord, apiToken, accountToken],
  functions: lookups,
  open: connect,
});
