/**
 * Watches for orders that should be settled by now and are not. Together with the outbox and the
 * consumer group's lag it tells whether some order's event has got lost: such an order is pending, and
 * nothing is on its way that would change it.
 */
import type { Database } from "#lib/service/database.ts";
import { gauge } from "#lib/telemetry/metrics/instruments.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { repeatEvery } from "#lib/waiting/repeating.ts";

/** A step that fails is tried again for a minute, and a dependency may be away for longer than that. */
const OVERDUE_AFTER_S = 300;
const LOOK_INTERVAL_MS = 15_000;
/** Enough for an alert, and a bound on what one look costs. */
const COUNT_MAX = 100_000;

/** As of the last look; undefined where that failed. */
let overdue: number | undefined;
gauge(
  "orderflow.orders.overdue",
  "Orders that have been pending for more than 5 minutes.",
  "{order}",
  () => overdue,
);

/** Starts to look, one look after the other. A probe, so it makes no span. */
export function watchOverdueOrders({ untraced }: Pick<Database, "untraced">) {
  const stopping = new AbortController();
  const running = repeatEvery(LOOK_INTERVAL_MS, look, stopping.signal);

  async function look(): Promise<void> {
    try {
      const [found] = await untraced.query<{ count: number }>`
        SELECT count(*)::integer AS count FROM (
          SELECT 1 FROM orders.orders
          WHERE status = 'pending' AND created_at < now() - make_interval(secs => ${OVERDUE_AFTER_S})
          LIMIT ${COUNT_MAX}
        ) AS overdue`;
      overdue = found?.count;
    } catch (error) {
      overdue = undefined;
      logger.debug("the orders cannot be looked at", { error });
    }
  }

  return {
    /** Ends after the look in hand. */
    async stop(): Promise<void> {
      stopping.abort();
      await running;
    },
  };
}
