/**
 * The clean-up: deletes the rows that a table no longer needs, so that nothing grows for ever.
 *
 * It takes small batches with pauses in between, so that nobody waits for it. Replicas share the work
 * by SKIP LOCKED. What fails is logged and tried again at the next round.
 */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { counter, observe } from "#lib/telemetry/metrics/instruments.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { inSpan } from "#lib/telemetry/index.ts";
import type { Queryable, TracedSql } from "#lib/telemetry/sql/sql.ts";
import { sleep } from "#lib/waiting/waiting.ts";
import type { Database } from "./database.ts";

/** A table, and what is old in it. PostgreSQL's clock decides: it set the rows' times, too. */
export interface CleanedTable {
  /** Its name, schema-qualified. */
  readonly table: string;
  /**
   * How long the oldest row has been there beyond its time, in seconds; at most 0 where none has.
   * It is asked often, so an index has to answer it.
   */
  overdueSeconds(db: Queryable): Promise<number>;
  /** Deletes the oldest rows that are beyond their time. @returns how many */
  deleteBatch(db: TracedSql, rowsMax: number): Promise<number>;
}

export interface CleanUpOptions {
  database: Pick<Database, "sql" | "untraced">;
  tables: readonly CleanedTable[];
  /** From one round to the next, on average. */
  intervalMs: number;
}

/** The table that rows were deleted from, schema-qualified. */
const ATTR_CLEANUP_TABLE = "orderflow.cleanup.table";

const cleanUpDeleted = counter(
  "orderflow.cleanup.deleted",
  "Number of rows deleted because their time was over.",
  "{row}",
);

/** Some milliseconds of work for PostgreSQL, and few locks at a time. */
const BATCH_ROWS_MAX = 500;
const BATCH_PAUSE_MS = 50;

/** As of the last look that succeeded, by table. */
const overdue = new Map<string, number>();
observe(
  "createObservableGauge",
  "orderflow.cleanup.overdue",
  "Time by which the oldest row has outstayed its retention.",
  "s",
  () => [...overdue].map(([table, seconds]) => [seconds, { [ATTR_CLEANUP_TABLE]: table }]),
);

/** Starts the clean-up. It goes on through any failure of PostgreSQL until it is stopped. */
export function startCleanUp({ database, tables, intervalMs }: CleanUpOptions) {
  const stopping = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (const table of tables) {
      // A counter that begins with its first row has no increase by that row, to Prometheus.
      cleanUpDeleted.add(0, { [ATTR_CLEANUP_TABLE]: table.table });
      await look(table).catch((error: unknown) =>
        logger.debug(`${table.table} cannot be looked at yet`, { error }),
      );
    }
    while (!stopping.signal.aborted) {
      // Replicas that were started together do not come at the same time.
      await sleep(intervalMs * (0.5 + Math.random()), stopping.signal).catch(() => undefined);
      for (const table of tables) {
        if (stopping.signal.aborted) return;
        await cleanTable(table).catch((error: unknown) =>
          logger.warn(`old rows of ${table.table} could not be deleted`, { error }),
        );
      }
    }
  }

  async function cleanTable(table: CleanedTable): Promise<void> {
    // Where there is nothing to delete, and that is most of the time, it is a probe and makes no span.
    while (!stopping.signal.aborted && (await look(table)) > 0) {
      const deleted = await deleteTraced(table);
      cleanUpDeleted.add(deleted, { [ATTR_CLEANUP_TABLE]: table.table });
      // Less than a batch: the rest is new by now, or another replica has it in hand.
      if (deleted < BATCH_ROWS_MAX) {
        await look(table);
        return;
      }
      await sleep(BATCH_PAUSE_MS, stopping.signal).catch(() => undefined);
    }
  }

  async function look(table: CleanedTable): Promise<number> {
    const seconds = Math.max(0, await table.overdueSeconds(database.untraced));
    overdue.set(table.table, seconds);
    return seconds;
  }

  /** A trace of its own for each batch: it belongs to no request. */
  async function deleteTraced(table: CleanedTable): Promise<number> {
    return await context.with(ROOT_CONTEXT, () =>
      inSpan("clean up", { [ATTR_CLEANUP_TABLE]: table.table }, () =>
        table.deleteBatch(database.sql, BATCH_ROWS_MAX),
      ),
    );
  }

  return {
    /** Ends after the batch in hand. */
    async stop(): Promise<void> {
      stopping.abort();
      await running;
    },
  };
}
