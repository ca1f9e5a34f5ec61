/** What waits in `orders.outbox`, as of the last look. */
import type { Database } from "#lib/service/database.ts";
import { gauge } from "#lib/telemetry/metrics/instruments.ts";

let backlog = { pending: 0, oldestAgeSeconds: 0 };
gauge("orderflow.outbox.pending", "Events that wait to be published.", "{event}", () => {
  return backlog.pending;
});
gauge("orderflow.outbox.oldest.age", "Age of the event that has waited longest.", "s", () => {
  return backlog.oldestAgeSeconds;
});

/** When an event has waited for so long, /readyz tells of it. */
const OLD_EVENT_SECONDS = 10;

/** Looks, which makes no span: a probe. @returns how many events wait */
export async function lookAtBacklog({ untraced }: Database): Promise<number> {
  const [found] = await untraced.query<{ pending: number; age: number }>`
    SELECT count(*)::float8 AS pending,
           coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
    FROM orders.outbox`;
  backlog = { pending: found?.pending ?? 0, oldestAgeSeconds: found?.age ?? 0 };
  return backlog.pending;
}

/**
 * How many events wait, and why, where the oldest has waited for long; undefined where none has.
 * @param problem why nothing is published, where that is known
 */
export function longBacklog(problem: string | undefined): string | undefined {
  const { pending, oldestAgeSeconds } = backlog;
  if (oldestAgeSeconds < OLD_EVENT_SECONDS) return undefined;
  const cause = problem ?? "they are being published";
  return `${pending} events wait, the oldest for ${Math.round(oldestAgeSeconds)} s: ${cause}`;
}
