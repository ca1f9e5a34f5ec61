/**
 * The outbox relay: publishes to Kafka what the orders' transactions wrote to `orders.outbox`.
 *
 * It takes due events in hand by a lease (`due_at` is put off), publishes them, and deletes those of
 * which Kafka's answer says that they are stored, together with taking the next. No lock and no
 * transaction is held meanwhile: where a relay dies, or is cut off from PostgreSQL or Kafka, its events
 * are due again when the lease is over, and any other relay publishes them. A crash in between publishes
 * an event again (at least once; the worker makes the repeat harmless), and none is lost.
 *
 * Several relays share the work by SKIP LOCKED. Events of one key keep their order, because an event
 * waits while an older one of its key is there. Partitions do not wait for each other: one that cannot
 * be written to has its events put off, and the others go on.
 */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { Kafka } from "kafkajs";
import { createPublisher, type Publisher } from "#lib/kafka/publisher.ts";
import { ORDER_CREATED_TOPIC, ORDER_TOPIC_PARTITIONS } from "#lib/orders/order-created.ts";
import type { Database } from "#lib/service/database.ts";
import { withTimeout } from "#lib/service/timeout.ts";
import { gauge } from "#lib/telemetry/metrics/instruments.ts";
import { traceSend } from "#lib/telemetry/kafka/index.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { errorText } from "#lib/telemetry/error-text.ts";
import { inSpan } from "#lib/telemetry/span.ts";
import { repeatEvery } from "#lib/waiting/repeating.ts";
import { settledWithin, sleep } from "#lib/waiting/waiting.ts";
import { putOff, takeDue, type OutboxEvent } from "./outbox.ts";

/** Kafka refuses a batch of records over 1 MiB; events are cut into sends well below that. */
const SEND_BYTES_MAX = 512 * 1024;
/** A `send` span links to each record, and a span keeps 128 links unless configured otherwise. */
const SEND_RECORDS_MAX = 128;
const LEASE_MS = 10_000;
/** A send under way for longer is told of. */
const SLOW_SEND_MS = 3_000;
/** For so long the sends of a batch are waited for together; slower ones go on by themselves. */
const PATIENCE_MS = 200;
/** Between tries: of everything while Kafka or PostgreSQL is away, of one partition while only that is. */
const RETRY_DELAY_MS = { min: 250, max: 5_000 };
/** How often Kafka is asked whether it is still there, while there is nothing to publish. */
const KAFKA_PROBE_INTERVAL_MS = 5_000;
const KAFKA_PROBE_TIMEOUT_MS = 3_000;
/** When an event has waited for so long, /readyz tells of it. */
const OLD_EVENT_SECONDS = 10;
/** What stopping leaves for the last statement, out of the 5.7 s that it may take. */
const STOP_SENDS_WITHIN_MS = 4_500;
const STOP_POLL_MS = 10;

export interface RelayOptions {
  database: Database;
  kafka: Kafka;
  /** How often to look for events that no ring told of: those of other replicas. */
  pollIntervalMs: number;
  /** Events taken in hand at a time. */
  batchRowsMax: number;
  /**
   * So long an event stays with a relay that is never heard of again, in milliseconds. While its send is
   * under way it is renewed. @default 10000
   */
  leaseMs?: number;
  /** Replaced in tests. @default one on `kafka` */
  publisher?: Publisher;
}

export type Relay = ReturnType<typeof startRelay>;

/** The backlog as of the last look. */
let backlog = { pending: 0, oldestAgeSeconds: 0 };
gauge("orderflow.outbox.pending", "Events that wait to be published.", "{event}", () => {
  return backlog.pending;
});
gauge("orderflow.outbox.oldest.age", "Age of the event that has waited longest.", "s", () => {
  return backlog.oldestAgeSeconds;
});

/** Events that go to one partition. */
interface Batch {
  /** The partition, for a person. */
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
  readonly events: OutboxEvent[];
}

/** A batch on its way. Times are on the clock of performance.now(). */
interface Sending {
  readonly batch: Batch;
  readonly startedMs: number;
}

/** PostgreSQL failed, not Kafka: its own probe tells what is wrong with it. */
class OutboxUnavailableError extends Error {
  override readonly name = "OutboxUnavailableError";
}

/** Starts the relay. It goes on through any failure of PostgreSQL or Kafka until it is stopped. */
export function startRelay(options: RelayOptions) {
  const { database, kafka, pollIntervalMs, batchRowsMax, leaseMs = LEASE_MS } = options;
  const publisher =
    options.publisher ??
    createPublisher(kafka, [{ topic: ORDER_CREATED_TOPIC, partitions: ORDER_TOPIC_PARTITIONS }]);
  const stopping = new AbortController();
  let rung = Promise.withResolvers<void>();
  const ring = () => rung.resolve();

  /** What keeps everything from going on; undefined when nothing does. */
  let problem: string | undefined = "not connected yet";
  /** By partition: what is wrong with it, and how often in a row. */
  const failures = new Map<string, { count: number; text: string }>();
  const sending = new Map<string, Sending>();
  /** Events that Kafka has, to be deleted with the next statement. */
  const stored: string[] = [];
  /** Events that are to be left alone, and until when. */
  const later: { id: string; dueMs: number }[] = [];
  let publishedMs = Number.NEGATIVE_INFINITY;

  const { signal } = stopping;
  ring();
  const running = run();
  void repeatEvery(pollIntervalMs, look, signal);
  void repeatEvery(KAFKA_PROBE_INTERVAL_MS, askKafka, signal);

  async function run(): Promise<void> {
    for (let failed = 0; ;) {
      await rung.promise;
      if (signal.aborted) return;
      rung = Promise.withResolvers();
      try {
        // First at the start, and again when nothing could be sent: no event is in hand while Kafka is away.
        if (problem !== undefined) await publisher.connect();
        if (await relayBatch()) ring();
        if (failed > 0) logger.info("the outbox relay works again");
        failed = 0;
        problem = undefined;
      } catch (error) {
        // PostgreSQL is asked after Kafka has answered.
        problem = error instanceof OutboxUnavailableError ? undefined : errorText(error);
        if (failed === 0) {
          const cause = error instanceof OutboxUnavailableError ? error.cause : error;
          logger.warn("events wait in the outbox", { error: cause });
        }
        await sleep(retryDelayMs(failed), signal).catch(() => undefined);
        failed = Math.min(failed + 1, 10);
        ring();
      }
    }
  }

  /**
   * Takes a batch of events in hand and begins to publish it.
   * @returns whether there may be more
   * @throws where PostgreSQL failed, or where nothing of the batch could be published
   */
  async function relayBatch(): Promise<boolean> {
    // A trace of its own: a batch may hold the events of many orders. Each record's own trace goes on
    // with the `send` span's link (one record: as its child) and the headers it carries.
    return await context.with(ROOT_CONTEXT, () =>
      inSpan("relay outbox", {}, async () => {
        await onOutbox(putOffEvents);
        const events = await onOutbox(() => take());
        const sends = batchesOf(events).flatMap((batch) => {
          if (!sending.has(batch.name)) return [send(batch)];
          putOffLater(batch.events, RETRY_DELAY_MS.max);
          return [];
        });
        const outcomes: unknown[] = [];
        await settledWithin(
          Promise.all(sends.map((one) => one.then((error) => outcomes.push(error)))),
          PATIENCE_MS,
        );
        const [failure] = outcomes;
        if (outcomes.length > 0 && !outcomes.includes(undefined)) throw failure;
        return events.length > 0;
      }),
    );
  }

  async function take(rowsMax = batchRowsMax): Promise<OutboxEvent[]> {
    const deleted = stored.splice(0);
    try {
      return await takeDue(database.sql, deleted, rowsMax, leaseMs);
    } catch (error) {
      stored.push(...deleted);
      throw error;
    }
  }

  /** Publishes a batch. @returns what went wrong; undefined where all is well */
  async function send(batch: Batch): Promise<unknown> {
    const { name } = batch;
    const startedMs = performance.now();
    sending.set(name, { batch, startedMs });
    let left = batch.events;
    try {
      for (const events of inSends(batch.events)) {
        await publish(publisher, batch, events);
        stored.push(...events.map(({ id }) => id));
        left = left.slice(events.length);
      }
      failures.delete(name);
      publishedMs = performance.now();
      return undefined;
    } catch (error) {
      const count = (failures.get(name)?.count ?? 0) + 1;
      if (count === 1) logger.warn(`events for ${name} wait in the outbox`, { error });
      failures.set(name, { count, text: `${name}: ${errorText(error)}` });
      putOffLater(left, retryDelayMs(count - 1));
      return error;
    } finally {
      sending.delete(name);
      if (performance.now() - startedMs > PATIENCE_MS) ring();
    }
  }

  function putOffLater(events: readonly OutboxEvent[], delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    later.push(...events.map(({ id }) => ({ id, dueMs })));
  }

  /** Puts off what cannot be published now, and renews the lease of what is still on its way. */
  async function putOffEvents(): Promise<void> {
    const nowMs = performance.now();
    const slow = [...sending.values()].filter(({ startedMs }) => nowMs - startedMs > leaseMs / 3);
    const renewed = slow.flatMap(({ batch }) =>
      batch.events.map(({ id }) => ({ id, ms: leaseMs })),
    );
    const put = later.splice(0);
    if (put.length + renewed.length === 0) return;
    const waits = put.map(({ id, dueMs }) => ({ id, ms: Math.max(0, dueMs - nowMs) }));
    try {
      await putOff(database.sql, [...waits, ...renewed]);
    } catch (error) {
      later.push(...put);
      throw error;
    }
  }

  /** Nothing is sent while there are no events, so that nothing would tell that Kafka has gone. */
  async function askKafka(): Promise<void> {
    if (problem !== undefined || performance.now() - publishedMs < KAFKA_PROBE_INTERVAL_MS) return;
    try {
      await withTimeout(publisher.connect(), KAFKA_PROBE_TIMEOUT_MS);
    } catch (error) {
      problem = errorText(error);
      ring();
    }
  }

  /** Finds what no ring told of: events of other replicas, and those put off. A probe, so it makes no span. */
  async function look(): Promise<void> {
    try {
      const [found] = await database.untraced.query<{ pending: number; age: number }>`
        SELECT count(*)::float8 AS pending,
               coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
        FROM orders.outbox`;
      backlog = { pending: found?.pending ?? 0, oldestAgeSeconds: found?.age ?? 0 };
      if (backlog.pending > 0) ring();
      else failures.clear();
    } catch (error) {
      logger.debug("the outbox cannot be looked at", { error });
    }
  }

  function problemNow(): string | undefined {
    if (problem !== undefined) return problem;
    const [failure] = failures.values();
    if (failure !== undefined) return failure.text;
    const nowMs = performance.now();
    for (const { batch, startedMs } of sending.values()) {
      const seconds = Math.round((nowMs - startedMs) / 1000);
      if (nowMs - startedMs > SLOW_SEND_MS) return `${batch.name}: no answer for ${seconds} s`;
    }
    return undefined;
  }

  return {
    /** Tells that there is a new event. Rings that come while one is heeded become one. */
    ring,
    /** What is wrong with Kafka, for a person; undefined when all is well. */
    get problem() {
      return problemNow();
    },
    /** How many events wait, and why, where the oldest has waited for long; undefined where none has. */
    get backlog(): string | undefined {
      const { pending, oldestAgeSeconds } = backlog;
      if (oldestAgeSeconds < OLD_EVENT_SECONDS) return undefined;
      const cause = problemNow() ?? "they are being published";
      return `${pending} events wait, the oldest for ${Math.round(oldestAgeSeconds)} s: ${cause}`;
    },
    /** Ends after the sends under way, and gives back what is not published. */
    async stop(): Promise<void> {
      stopping.abort();
      ring();
      await running;
      const giveUpAtMs = performance.now() + STOP_SENDS_WITHIN_MS;
      while (sending.size > 0 && performance.now() < giveUpAtMs) await Bun.sleep(STOP_POLL_MS);
      // What is still not sent may be taken by others at once; what may have been sent, a lease later.
      for (const one of later) one.dueMs = 0;
      await context.with(ROOT_CONTEXT, async () => {
        await putOffEvents();
        if (stored.length > 0) await take(0);
      });
      await publisher.disconnect();
    },
  };

  /** Events by where they go. One whose topic nobody knows is put off, and told of. */
  function batchesOf(events: readonly OutboxEvent[]): Batch[] {
    const batches = new Map<string, Batch>();
    for (const event of events) {
      const { topic, key } = event;
      try {
        const partition = publisher.partitionOf(topic, key);
        const name = `partition ${partition} of ${topic}`;
        const batch = batches.get(name);
        if (batch) batch.events.push(event);
        else batches.set(name, { name, topic, partition, events: [event] });
      } catch (error) {
        failures.set(topic, { count: 1, text: errorText(error) });
        putOffLater([event], RETRY_DELAY_MS.max);
      }
    }
    return [...batches.values()];
  }
}

async function onOutbox<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new OutboxUnavailableError("the outbox cannot be read", { cause });
  }
}

async function publish(
  publisher: Publisher,
  { topic, partition }: Batch,
  events: readonly OutboxEvent[],
): Promise<void> {
  await traceSend(topic, events, () =>
    publisher.publish(
      topic,
      partition,
      events.map(({ key, payload, headers }) => ({ key, value: payload, headers })),
    ),
  );
}

function retryDelayMs(failuresBefore: number): number {
  return Math.min(RETRY_DELAY_MS.min * 2 ** failuresBefore, RETRY_DELAY_MS.max);
}

/** Cuts events into sends within the bounds. */
function inSends(events: readonly OutboxEvent[]): OutboxEvent[][] {
  const sends: OutboxEvent[][] = [];
  let bytes = 0;
  for (const event of events) {
    const size =
      Buffer.byteLength(event.payload) + Buffer.byteLength(JSON.stringify(event.headers));
    const current = sends.at(-1);
    if (current && current.length < SEND_RECORDS_MAX && bytes + size <= SEND_BYTES_MAX) {
      current.push(event);
      bytes += size;
    } else {
      sends.push([event]);
      bytes = size;
    }
  }
  return sends;
}
