/**
 * The outbox relay: publishes to Kafka what the orders' transactions wrote to `orders.outbox`.
 *
 * A batch of rows is deleted, published, and only then committed: a crash in between publishes it
 * again (at least once; the worker makes the repeat harmless), and no event is lost. Several relays
 * share the work by SKIP LOCKED; events of one key keep their order, because a row waits while an
 * older one of its key is there.
 */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { SQL } from "bun";
import { Partitioners, type Kafka, type Producer } from "kafkajs";
import { ensureTopics } from "#lib/kafka/topics.ts";
import { sleep } from "#lib/waiting/waiting.ts";
import { ORDER_CREATED_TOPIC, ORDER_TOPIC_PARTITIONS } from "#lib/orders/order-created.ts";
import type { Database } from "#lib/service/database.ts";
import { withTimeout } from "#lib/service/timeout.ts";
import { gauge } from "#lib/telemetry/instruments.ts";
import { traceSend } from "#lib/telemetry/kafka-producer.ts";
import { logger } from "#lib/telemetry/logger.ts";
import { inSpan } from "#lib/telemetry/span.ts";
import type { Queryable } from "#lib/telemetry/sql.ts";
import type { OutboxBell } from "./outbox-bell.ts";

/** Kafka refuses a batch of records over 1 MiB; a batch of rows is cut into sends well below that. */
const SEND_BYTES_MAX = 512 * 1024;
/** A `send` span links to each record, and a span keeps 128 links unless configured otherwise. */
const SEND_RECORDS_MAX = 128;
const RETRY_DELAY_MS = { min: 250, max: 5_000 };
/** How often Kafka is asked whether it is still there, while there is nothing to publish. */
const KAFKA_PROBE_INTERVAL_MS = 5_000;
const KAFKA_PROBE_TIMEOUT_MS = 3_000;

interface OutboxRow {
  topic: string;
  key: string;
  payload: string;
  headers: Record<string, string>;
}

export interface RelayOptions {
  database: Database;
  kafka: Kafka;
  bell: OutboxBell;
  /** How often to look for events that no ring told of. */
  pollIntervalMs: number;
  /** Events published at a time. */
  batchRowsMax: number;
}

/** The backlog as of the last look. */
let backlog = { pending: 0, oldestAgeSeconds: 0 };
gauge("orderflow.outbox.pending", "Events that wait to be published.", "{event}", () => {
  return backlog.pending;
});
gauge("orderflow.outbox.oldest.age", "Age of the event that has waited longest.", "s", () => {
  return backlog.oldestAgeSeconds;
});

/** Starts the relay. It goes on through any failure of PostgreSQL or Kafka until it is stopped. */
export function startRelay(options: RelayOptions) {
  const { database, kafka, bell, pollIntervalMs } = options;
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  const stopping = new AbortController();
  let problem: string | undefined = "not connected yet";
  let publishedMs = Number.NEGATIVE_INFINITY;
  const looking = setInterval(look, pollIntervalMs);
  const asking = setInterval(askKafka, KAFKA_PROBE_INTERVAL_MS);
  void look();
  bell.hear();
  const running = run();

  async function run(): Promise<void> {
    let failures = 0;
    for (;;) {
      await bell.heard();
      if (stopping.signal.aborted) return;
      try {
        // First at the start, and again after each failure: no rows are held while Kafka is away.
        if (problem !== undefined) await connect(kafka, producer);
        let taken: number;
        do taken = await relayBatch(options, producer);
        while (taken === options.batchRowsMax && !stopping.signal.aborted);
        if (failures > 0) logger.info("the outbox relay works again");
        failures = 0;
        problem = undefined;
        if (taken > 0) publishedMs = performance.now();
      } catch (error) {
        problem = problemOfKafka(error);
        if (failures === 0) logger.warn("events wait in the outbox", { error });
        const delayMs = Math.min(RETRY_DELAY_MS.min * 2 ** failures, RETRY_DELAY_MS.max);
        failures = Math.min(failures + 1, 10);
        await sleep(delayMs, stopping.signal).catch(() => undefined);
        bell.hear();
      }
    }
  }

  /** Nothing is sent while there are no events, so that nothing would tell that Kafka has gone. */
  async function askKafka(): Promise<void> {
    if (problem !== undefined || performance.now() - publishedMs < KAFKA_PROBE_INTERVAL_MS) return;
    try {
      await withTimeout(ensureOrderTopics(kafka), KAFKA_PROBE_TIMEOUT_MS);
    } catch (error) {
      problem = problemOfKafka(error);
      bell.hear();
    }
  }

  /** The safety net: an event whose ring was lost is seen here. A probe, so it makes no span. */
  async function look(): Promise<void> {
    try {
      const [found] = await database.untraced.query<{ pending: number; age: number }>`
        SELECT count(*)::float8 AS pending,
               coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
        FROM orders.outbox`;
      if (!found) return;
      backlog = { pending: found.pending, oldestAgeSeconds: found.age };
      if (backlog.pending > 0) bell.hear();
    } catch (error) {
      logger.debug("the outbox cannot be looked at", { error });
    }
  }

  return {
    /** What is wrong with Kafka, for a person; undefined when all is well. */
    get problem() {
      return problem;
    },
    /** Ends after the batch in hand. */
    async stop(): Promise<void> {
      stopping.abort();
      clearInterval(looking);
      clearInterval(asking);
      bell.hear();
      await running;
      await producer.disconnect();
    },
  };
}

/** Also where it is connected: then it asks whether Kafka answers. */
async function connect(kafka: Kafka, producer: Producer): Promise<void> {
  await ensureOrderTopics(kafka);
  await producer.connect();
}

async function ensureOrderTopics(kafka: Kafka): Promise<void> {
  await ensureTopics(kafka, [{ topic: ORDER_CREATED_TOPIC, partitions: ORDER_TOPIC_PARTITIONS }]);
}

/** PostgreSQL comes after Kafka has answered, and its own probe tells what is wrong with it. */
function problemOfKafka(error: unknown): string | undefined {
  if (error instanceof SQL.SQLError) return undefined;
  return error instanceof Error ? error.message : String(error);
}

/**
 * Publishes one batch. @returns how many events it took
 * @throws where PostgreSQL or Kafka failed; the events are then still in the outbox
 */
async function relayBatch(options: RelayOptions, producer: Producer): Promise<number> {
  // A trace of its own: a batch may hold the events of many orders. Each record's own trace goes on
  // with the `send` span's link (one record: as its child) and the headers it carries.
  return await context.with(ROOT_CONTEXT, async () => {
    return await inSpan("relay outbox", {}, async () => {
      return await options.database.sql.transaction(async (tx) => {
        const rows = await takeRows(tx, options.batchRowsMax);
        for (const batch of inSends(rows)) await publish(producer, batch);
        return rows.length;
      });
    });
  });
}

async function takeRows(tx: Queryable, rowsMax: number) {
  return await tx.query<OutboxRow>`
    WITH due AS (
      SELECT event.id FROM orders.outbox AS event
      WHERE NOT EXISTS (
        SELECT 1 FROM orders.outbox AS older
        WHERE older.key = event.key AND older.id < event.id)
      ORDER BY event.id LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED
    )
    DELETE FROM orders.outbox AS event USING due WHERE event.id = due.id
    RETURNING event.topic, event.key, event.payload, event.headers`;
}

async function publish(producer: Producer, rows: OutboxRow[]): Promise<void> {
  const topic = rows[0]?.topic ?? "";
  await traceSend(topic, rows, () =>
    producer.send({
      topic,
      acks: -1,
      messages: rows.map(({ key, payload, headers }) => ({ key, value: payload, headers })),
    }),
  );
}

/** Cuts rows into sends: each of one topic, and within the bounds. */
function inSends(rows: OutboxRow[]): OutboxRow[][] {
  const sends: OutboxRow[][] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = Buffer.byteLength(row.payload) + Buffer.byteLength(JSON.stringify(row.headers));
    const current = sends.at(-1);
    const fits = bytes + size <= SEND_BYTES_MAX && (current?.length ?? 0) < SEND_RECORDS_MAX;
    if (current && current[0]?.topic === row.topic && fits) {
      current.push(row);
      bytes += size;
    } else {
      sends.push([row]);
      bytes = size;
    }
  }
  return sends;
}
