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
import type { Kafka } from "#lib/kafka/client.ts";
import { createPublisher, type Publisher } from "#lib/kafka/publisher.ts";
import { ORDER_CREATED_TOPIC, ORDER_TOPIC_PARTITIONS } from "#lib/orders/order-created.ts";
import type { Database } from "#lib/service/database.ts";
import { traceSend } from "#lib/telemetry/kafka/index.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { errorText } from "#lib/telemetry/error-text.ts";
import { inSpan } from "#lib/telemetry/span.ts";
import { repeatEvery } from "#lib/waiting/repeating.ts";
import { settledWithin, sleep, withTimeout } from "#lib/waiting/waiting.ts";
import { longBacklog, lookAtBacklog } from "./backlog.ts";
import { Leases } from "./leases.ts";
import type { OutboxEvent } from "./outbox.ts";

/** Kafka refuses a batch of records over 1 MiB; events are cut into sends well below that. */
const SEND_BYTES_MAX = 512 * 1024;
/** A `send` span links to each record, and a span keeps 128 links unless configured otherwise. */
const SEND_RECORDS_MAX = 128;
const LEASE_MS = 10_000;
/** A send under way for longer is told of. */
const SLOW_SEND_MS = 3_000;
/** For so long the sends of a batch are waited for together; slower ones go on by themselves. */
const BATCH_WAIT_MS = 200;
/** Between tries: of everything while Kafka or PostgreSQL is away, of one partition while only that is. */
const RETRY_DELAY_MS = { min: 250, max: 5_000 };
/** How often Kafka is asked whether it is still there, while there is nothing to publish. */
const KAFKA_PROBE_INTERVAL_MS = 5_000;
const KAFKA_PROBE_TIMEOUT_MS = 3_000;
/** What stopping leaves for the last statement, out of the 5.7 s that it may take. */
const STOP_SENDS_WITHIN_MS = 4_500;
const STOP_POLL_MS = 10;

export interface RelayOptions {
  database: Database;
  kafka: Kafka;
  /** How often to look for events that nobody woke it for: those of other replicas. */
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
export function startRelay(options: RelayOptions): Relay {
  return new Relay(options);
}

export class Relay {
  readonly #database: Database;
  readonly #publisher: Publisher;
  readonly #batchRowsMax: number;
  readonly #leaseMs: number;
  readonly #leases: Leases;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #woken = Promise.withResolvers<void>();
  /** What keeps everything from going on; undefined when nothing does. */
  #problem: string | undefined = "not connected yet";
  /** By partition: what is wrong with it, and how often in a row. */
  readonly #failures = new Map<string, { count: number; text: string }>();
  readonly #sending = new Map<string, Sending>();
  #publishedMs = Number.NEGATIVE_INFINITY;

  constructor({ database, kafka, pollIntervalMs, ...options }: RelayOptions) {
    this.#database = database;
    this.#publisher =
      options.publisher ??
      createPublisher(kafka, [{ topic: ORDER_CREATED_TOPIC, partitions: ORDER_TOPIC_PARTITIONS }]);
    this.#batchRowsMax = options.batchRowsMax;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#leases = new Leases(database.sql, this.#leaseMs);
    this.wake();
    this.#running = this.#run();
    const { signal } = this.#stopping;
    void repeatEvery(pollIntervalMs, () => this.#look(), signal);
    void repeatEvery(KAFKA_PROBE_INTERVAL_MS, () => this.#askKafka(), signal);
  }

  /** Tells that there is a new event. Calls that come while one is heeded become one. */
  wake(): void {
    this.#woken.resolve();
  }

  /** What is wrong with Kafka, for a person; undefined when all is well. */
  get problem(): string | undefined {
    if (this.#problem !== undefined) return this.#problem;
    const [failure] = this.#failures.values();
    if (failure !== undefined) return failure.text;
    const nowMs = performance.now();
    for (const { batch, startedMs } of this.#sending.values()) {
      const seconds = Math.round((nowMs - startedMs) / 1000);
      if (nowMs - startedMs > SLOW_SEND_MS) return `${batch.name}: no answer for ${seconds} s`;
    }
    return undefined;
  }

  /** How many events wait, and why, where the oldest has waited for long; undefined where none has. */
  get backlog(): string | undefined {
    return longBacklog(this.problem);
  }

  /** Ends after the sends under way, and gives back what is not published. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#running;
    const giveUpAtMs = performance.now() + STOP_SENDS_WITHIN_MS;
    while (this.#sending.size > 0 && performance.now() < giveUpAtMs) await Bun.sleep(STOP_POLL_MS);
    // What is still not sent may be taken by others at once; what may have been sent, a lease later.
    await context.with(ROOT_CONTEXT, () => this.#leases.giveBack(this.#slowEvents()));
    await this.#publisher.disconnect();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failed = 0; ;) {
      await this.#woken.promise;
      if (signal.aborted) return;
      this.#woken = Promise.withResolvers();
      try {
        // First at the start, and again when nothing could be sent: no event is in hand while Kafka is away.
        if (this.#problem !== undefined) await this.#publisher.connect();
        if (await this.#relayBatch()) this.wake();
        if (failed > 0) logger.info("the outbox relay works again");
        failed = 0;
        this.#problem = undefined;
      } catch (error) {
        // PostgreSQL is asked after Kafka has answered.
        this.#problem = error instanceof OutboxUnavailableError ? undefined : errorText(error);
        if (failed === 0) {
          const cause = error instanceof OutboxUnavailableError ? error.cause : error;
          logger.warn("events wait in the outbox", { error: cause });
        }
        await sleep(retryDelayMs(failed), signal).catch(() => undefined);
        failed = Math.min(failed + 1, 10);
        this.wake();
      }
    }
  }

  /**
   * Takes a batch of events in hand and begins to publish it.
   * @returns whether there may be more
   * @throws where PostgreSQL failed, or where nothing of the batch could be published
   */
  async #relayBatch(): Promise<boolean> {
    // A trace of its own: a batch may hold the events of many orders. Each record's own trace goes on
    // with the `send` span's link (one record: as its child) and the headers it carries.
    return await context.with(ROOT_CONTEXT, () =>
      inSpan("relay outbox", {}, async () => {
        await onOutbox(() => this.#leases.putOff(this.#slowEvents()));
        const events = await onOutbox(() => this.#leases.take(this.#batchRowsMax));
        const sends = this.#batchesOf(events).flatMap((batch) => {
          if (!this.#sending.has(batch.name)) return [this.#send(batch)];
          this.#leases.noteLater(batch.events, RETRY_DELAY_MS.max);
          return [];
        });
        const outcomes: unknown[] = [];
        await settledWithin(
          Promise.all(sends.map((one) => one.then((error) => outcomes.push(error)))),
          BATCH_WAIT_MS,
        );
        const [failure] = outcomes;
        if (outcomes.length > 0 && !outcomes.includes(undefined)) throw failure;
        return events.length > 0;
      }),
    );
  }

  /** Publishes a batch. @returns what went wrong; undefined where all is well */
  async #send(batch: Batch): Promise<unknown> {
    const { name } = batch;
    const startedMs = performance.now();
    this.#sending.set(name, { batch, startedMs });
    let left = batch.events;
    try {
      for (const events of inSends(batch.events)) {
        await publish(this.#publisher, batch, events);
        this.#leases.noteStored(events);
        left = left.slice(events.length);
      }
      this.#failures.delete(name);
      this.#publishedMs = performance.now();
      return undefined;
    } catch (error) {
      const count = (this.#failures.get(name)?.count ?? 0) + 1;
      if (count === 1) logger.warn(`events for ${name} wait in the outbox`, { error });
      this.#failures.set(name, { count, text: `${name}: ${errorText(error)}` });
      this.#leases.noteLater(left, retryDelayMs(count - 1));
      return error;
    } finally {
      this.#sending.delete(name);
      if (performance.now() - startedMs > BATCH_WAIT_MS) this.wake();
    }
  }

  /** Those that have been on their way for a good part of their lease. */
  #slowEvents(): OutboxEvent[] {
    const nowMs = performance.now();
    const slow = [...this.#sending.values()].filter(
      ({ startedMs }) => nowMs - startedMs > this.#leaseMs / 3,
    );
    return slow.flatMap(({ batch }) => batch.events);
  }

  /** Nothing is sent while there are no events, so that nothing would tell that Kafka has gone. */
  async #askKafka(): Promise<void> {
    if (this.#problem !== undefined) return;
    if (performance.now() - this.#publishedMs < KAFKA_PROBE_INTERVAL_MS) return;
    try {
      await withTimeout(this.#publisher.connect(), KAFKA_PROBE_TIMEOUT_MS);
    } catch (error) {
      this.#problem = errorText(error);
      this.wake();
    }
  }

  /** Finds what nobody woke it for: events of other replicas, and those put off. */
  async #look(): Promise<void> {
    try {
      if ((await lookAtBacklog(this.#database)) > 0) this.wake();
      else this.#failures.clear();
    } catch (error) {
      logger.debug("the outbox cannot be looked at", { error });
    }
  }

  /** Events by where they go. One whose topic nobody knows is put off, and told of. */
  #batchesOf(events: readonly OutboxEvent[]): Batch[] {
    const batches = new Map<string, Batch>();
    for (const event of events) {
      const { topic, key } = event;
      try {
        const partition = this.#publisher.partitionOf(topic, key);
        const name = `partition ${partition} of ${topic}`;
        const batch = batches.get(name);
        if (batch) batch.events.push(event);
        else batches.set(name, { name, topic, partition, events: [event] });
      } catch (error) {
        this.#failures.set(topic, { count: 1, text: errorText(error) });
        this.#leases.noteLater([event], RETRY_DELAY_MS.max);
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
