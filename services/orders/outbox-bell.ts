/**
 * The bell that tells every relay of new events: PostgreSQL's LISTEN and NOTIFY.
 *
 * It is rung after the COMMIT, by a statement of its own: a NOTIFY inside the transaction would make
 * PostgreSQL commit such transactions one at a time. A ring that gets lost costs no event, only the
 * time until the relay's next look. The bell makes no spans: it carries no order.
 */
import { SQL } from "bun";
import { logger } from "#lib/telemetry/logger.ts";

const CHANNEL = "orders_outbox";
const LISTEN_RETRY_MS = 1_000;

export type OutboxBell = ReturnType<typeof hangOutboxBell>;

/** Starts to listen; where the database does not answer yet it tries again. */
export function hangOutboxBell(postgresUrl: string) {
  // Its own: a LISTEN needs one connection for good.
  const pool = new SQL({ url: postgresUrl, max: 2, connectionTimeout: 5 });
  let rung = Promise.withResolvers<void>();
  const stopping = new AbortController();
  let ringing = false;
  let ringAgain = false;
  const hear = () => rung.resolve();
  const listening = listen();

  async function listen() {
    while (!stopping.signal.aborted) {
      try {
        // Bun renews the connection by itself; what was missed meanwhile is caught up by hearing.
        return await pool.listen(CHANNEL, hear, hear);
      } catch (error) {
        logger.debug("LISTEN is not possible yet", { error });
        await Bun.sleep(LISTEN_RETRY_MS);
      }
    }
    return undefined;
  }

  async function notify(): Promise<void> {
    ringing = true;
    do {
      ringAgain = false;
      await pool
        .notify(CHANNEL)
        .catch((error: unknown) => logger.debug("NOTIFY failed", { error }));
    } while (ringAgain);
    ringing = false;
  }

  return {
    /** Wakes the relays of all replicas. Rings that come while one is under way become one. */
    ring(): void {
      if (ringing) ringAgain = true;
      else void notify();
    },
    /** Wakes this process's relay only. */
    hear,
    /** Waits until the bell is heard; what was heard since the last wait counts. */
    async heard(): Promise<void> {
      await rung.promise;
      rung = Promise.withResolvers();
    },
    async stop(): Promise<void> {
      stopping.abort();
      hear();
      await (await listening)?.unlisten();
      await pool.close({ timeout: 0 });
    },
  };
}
