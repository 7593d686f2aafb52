// What Cloudflare zones hold now: one listing for each zone. Asks; judges nothing.
import { getDnsRecords } from "@pulumi/cloudflare/getDnsRecords.js";
import type { ZoneFacts, ZoneRecord } from "../checks/zone.ts";

/** Without a limit of its own the provider stops at 1000 records. */
const maxItems = 100_000;

/** Asks the stack's own provider, with its token. A zone that cannot be listed is no failure: the answer says why. */
export async function zoneFacts(zoneIds: readonly string[]): Promise<ZoneFacts> {
  const records: ZoneRecord[] = [];
  const unread: Record<string, string> = {};
  const list = async (zoneId: string): Promise<void> => {
    try {
      const { results } = await getDnsRecords({ zoneId, maxItems });
      records.push(...results.map((record) => ({ ...record, zoneId })));
    } catch (failure) {
      unread[zoneId] = failure instanceof Error ? failure.message : String(failure);
    }
  };
  await Promise.all(zoneIds.map(list));
  return { records, unread };
}
