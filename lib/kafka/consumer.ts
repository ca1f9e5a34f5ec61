// Consumer: handles a topic's records side by side, retries, buries what fails for good, loses none.
import {
  CompressionTypes,
  type EachBatchPayload,
  type Kafka,
  type KafkaMessage,
  type Message,
} from "kafkajs";
import { context } from "@opentelemetry/api";
import { callerLocation } from "#lib/telemetry/optional.ts";
import { counter } from "#lib/telemetry/metrics/instruments.ts";
import { traceSend } from "#lib/telemetry/kafka/index.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { backoffMs, type Backoff } from "./backoff.ts";
import { deadLetterHeaders } from "./dead-letter-headers.ts";
import { describeError, isTooLarge } from "./errors.ts";
import { startGroupSession, type GroupSession } from "./group-session.ts";
import { startLagWatch, type LagWatch } from "./lag-watch.ts";
import { OffsetTracker } from "./offset-tracker.ts";
import { Outage } from "./outage.ts";
import { ownRecord, recordBytes, type ConsumedRecord } from "./owned-record.ts";
import { createPublisher, type Publisher } from "./publisher.ts";
import {
  handleRecord,
  type Outcome,
  type RecordHandler,
  type RecordHandlingOptions,
  type RecordInHand,
} from "./record-handling.ts";
import { Slots } from "#lib/waiting/slots.ts";
import { allowRecordsOf, ensureTopics, MESSAGE_BYTES_MAX, type TopicSpec } from "./topics.ts";
import { settledWithin, sleep } from "#lib/waiting/waiting.ts";

/** How to consume; see {@link startConsumer}. */
export interface ConsumerOptions {
  /** A client that no other member of the same group uses (see createKafka). */
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  /** Where records go that cannot be handled. */
  readonly deadLetterTopic: string;
  /** How many partitions both topics get if they have to be made. */
  readonly partitions: number;
  /** Handles one record. What it throws decides: see {@link RecordHandler} and HandlingContext.retry. */
  readonly handle: RecordHandler;
  /** How many records are worked on at once; those that wait for their next try do not count. */
  readonly concurrency: number;
  /**
   * How many records may be in hand: worked on, in line, or waiting for their next try. So many have to
   * fail at once before they hold up others. One that waits takes 8 KB beside its own bytes.
   * @default 10,000
   */
  readonly inHandMax?: number;
  /** How many bytes the records in hand may have, one more than fits into it. @default 32 MiB */
  readonly inHandBytesMax?: number;
  /** For how long a failing step of a record is tried at least, in milliseconds, from its first failure on. */
  readonly retryLimitMs: number;
  /** The waits between tries. @default 200 ms doubling to at most 10 s, with full jitter */
  readonly backoff?: Backoff;
  /**
   * Says whether a failure is because something all records need is down. While it is, nothing is
   * fetched, started or given up; the time does not count as trying.
   * @default no failure is
   */
  readonly isDown?: (error: unknown) => Promise<boolean>;
  /** How long between two questions to `isDown` while it says yes, in milliseconds. @default 1000 */
  readonly probeIntervalMs?: number;
  /** How long a finished record may wait for its commit, in milliseconds. @default 250 */
  readonly commitIntervalMs?: number;
  /**
   * How long a member that vanished keeps its partitions, in milliseconds. The broker sets the least
   * it accepts (6 s unless configured). @default 10000
   */
  readonly sessionTimeoutMs?: number;
}

/** A running consumer. */
export interface Consumer {
  /** Why it consumes nothing at present, for a person; undefined when all is well. */
  readonly problem: string | undefined;
  /** How many records are in hand. */
  readonly inHand: number;
  /**
   * Stops: fetches no more, gives waiting records back, lets active ones finish, commits, leaves the
   * group so that others take over at once. What does not finish in time is given back too.
   *
   * @param timeoutMs bound of the whole
   */
  stop(timeoutMs: number): Promise<void>;
}

const deadLetters = counter(
  "orderflow.dead_letters",
  "Number of records given to the dead-letter topic.",
  "{message}",
);

/** Finished records that wait behind an unfinished one; beyond it, that one holds up its partition. */
const TRACKED_PER_PARTITION_MAX = 50_000;
/** While a batch waits for room: how often it looks whether it still may be handed on. */
const ROOM_CHECK_MS = 200;
const RESTART_BACKOFF: Backoff = { initialMs: 500, maxMs: 5_000 };
/** What stopping keeps for the last commit and for leaving, out of its time. */
const LEAVE_WITHIN_MS = 2_000;
/** Room for our headers and the batch's own in a dead letter, beside its record. */
const DEAD_LETTER_EXTRA_BYTES = 64 * 1024;
/** A record as large as a topic takes unless told otherwise, as a dead letter. */
const DEAD_LETTER_BYTES_MAX = 1_048_588 + DEAD_LETTER_EXTRA_BYTES;

/**
 * Starts to consume, as a member of a group, and keeps at it until stopped: no error ends it. It
 * returns at once, also when no broker answers yet; `problem` tells how it goes.
 *
 * What it promises:
 * - No record is lost. One is handled again after a crash or when its partition moves while it is
 *   being worked on or retried; when a partition moves in good order, what was finished is not.
 * - Records of one partition start in order but run side by side: a slow or failing one holds up none.
 */
export function startConsumer(options: ConsumerOptions): Consumer {
  const consumer = new RecordConsumer(options);
  consumer.start();
  return consumer;
}

/** A partition that is ours at present. */
interface Assignment {
  readonly tracker: OffsetTracker;
  readonly inHand: Set<RecordInHand>;
}

class RecordConsumer implements Consumer {
  readonly #options: Required<Omit<ConsumerOptions, "isDown">> & Pick<ConsumerOptions, "isDown">;
  readonly #slots: Slots;
  readonly #outage: Outage | undefined;
  readonly #handling: RecordHandlingOptions;
  readonly #topics: { readonly own: TopicSpec; readonly deadLetters: TopicSpec };
  readonly #deadLetters: Publisher;
  #deadLettersConnected: Promise<void> | undefined;
  #lagWatch: LagWatch | undefined;
  readonly #stopping = new AbortController();

  readonly #assignments = new Map<number, Assignment>();
  #session: GroupSession | undefined;
  #memberId: string | undefined;
  #isPaused = false;
  #inHand = 0;
  #inHandBytes = 0;
  /** Resolves when the next record leaves our hands. */
  #roomFreed = Promise.withResolvers<void>();
  /** Ends the hold on new work that a rebalance put up; see {@link #handOver}. */
  #endHandOver: (() => void) | undefined;
  /** From a hand-over until we know which partitions are ours. */
  #isJoining = false;
  #problem: string | undefined = "has not joined its consumer group yet";
  #commitTimer: Timer | undefined;
  #commits = Promise.resolve();
  #isCommitting = false;
  #life = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(options: ConsumerOptions) {
    this.#options = {
      inHandMax: 10_000,
      inHandBytesMax: 32 * 1024 * 1024,
      backoff: { initialMs: 200, maxMs: 10_000 },
      probeIntervalMs: 1_000,
      commitIntervalMs: 250,
      sessionTimeoutMs: 10_000,
      ...options,
    };
    const { kafka, groupId, handle, concurrency, backoff, retryLimitMs } = this.#options;
    const { topic, deadLetterTopic, partitions } = this.#options;
    this.#slots = new Slots(concurrency);
    this.#outage = this.#createOutage();
    this.#topics = {
      own: { topic, partitions },
      deadLetters: {
        topic: deadLetterTopic,
        partitions,
        config: { [MESSAGE_BYTES_MAX]: String(DEAD_LETTER_BYTES_MAX) },
      },
    };
    this.#deadLetters = createPublisher(kafka, [this.#topics.deadLetters]);
    this.#handling = {
      groupId,
      location: callerLocation(),
      handle,
      slots: this.#slots,
      outage: this.#outage,
      backoff,
      retryLimitMs,
      sendDeadLetter: (record, failure) => this.#sendDeadLetter(record, failure),
      onDeadLetterFailure: (error) =>
        logger.warn("a dead letter could not be written; trying again", {
          error: describeError(error),
        }),
    };
  }

  get problem(): string | undefined {
    return this.#problem ?? this.#lagWatch?.problem;
  }

  get inHand(): number {
    return this.#inHand;
  }

  start(): void {
    const { kafka, groupId, topic } = this.#options;
    this.#life = this.#live();
    this.#lagWatch = startLagWatch({
      kafka,
      groupId,
      topic,
      assigned: () => {
        const fetched = this.#session?.fetched;
        return new Map([...this.#assignments.keys()].map((one) => [one, fetched?.get(one)]));
      },
      isHeldBack: (partition) => this.#isHeldBack(this.#assignments.get(partition)),
      onStalled: (error) => this.#session?.breakOff(error),
    });
    this.#commitTimer = setInterval(() => {
      if (!this.#isCommitting) void this.#commitFinished();
    }, this.#options.commitIntervalMs);
  }

  stop(timeoutMs: number): Promise<void> {
    this.#stopped ??= this.#stop(timeoutMs);
    return this.#stopped;
  }

  // --- Membership: join, and join again whatever happens -------------------------------------------

  async #live(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        const session = await this.#join();
        failures = 0;
        if (await this.#hasStoppedBefore(session.broken)) return; // `stop` leaves the group
        throw await session.broken;
      } catch (error) {
        this.#problem = `is not in its consumer group: ${describeError(error)}`;
        const session = this.#session;
        this.#session = undefined;
        await session?.leave(LEAVE_WITHIN_MS);
        this.#giveBackAll("the connection to Kafka was lost");
        if (this.#stopping.signal.aborted) return;
        failures += 1;
        const delayMs = backoffMs(failures, RESTART_BACKOFF);
        logger.warn("the consumer has to join its group anew", {
          error: describeError(error),
          "orderflow.retry.delay_ms": delayMs,
        });
        await settledWithin(sleep(delayMs, this.#stopping.signal), delayMs + 1);
      }
    }
  }

  async #join(): Promise<GroupSession> {
    const { kafka, groupId, topic, sessionTimeoutMs } = this.#options;
    await ensureTopics(kafka, Object.values(this.#topics));
    const session = await startGroupSession({
      kafka,
      groupId,
      topic,
      sessionTimeoutMs,
      formerMemberId: this.#memberId,
      beforeJoin: () => this.#handOver(),
      onAssigned: (assigned, memberId) => this.#take(assigned, memberId),
      isPaused: () => this.#isPaused,
      onBatch: (payload) => this.#dispatch(payload),
    });
    if (this.#stopping.signal.aborted) await session.leave(LEAVE_WITHIN_MS);
    this.#session = session;
    return session;
  }

  async #hasStoppedBefore(broken: Promise<Error>): Promise<boolean> {
    const stopped = Promise.withResolvers<void>();
    const stop = () => stopped.resolve();
    this.#stopping.signal.addEventListener("abort", stop, { once: true });
    if (this.#stopping.signal.aborted) stop();
    await Promise.race([broken, stopped.promise]);
    this.#stopping.signal.removeEventListener("abort", stop);
    return this.#stopping.signal.aborted;
  }

  /**
   * Before partitions may move: starts no further record, lets those at work finish, and commits them,
   * so that the next owner begins right behind. Bounded, because the whole group waits. Commits also
   * count as a sign of life, so the broker does not expel us meanwhile.
   */
  async #handOver(): Promise<void> {
    this.#endHandOver ??= this.#slots.hold();
    if (this.#assignments.size === 0) return;
    const finishActive = async () => {
      await this.#slots.idle();
      await this.#commitFinished();
    };
    await settledWithin(finishActive(), this.#options.sessionTimeoutMs / 2);
    this.#isJoining = true;
  }

  /**
   * Partitions have been assigned. Those we keep go on as they are. What we lost is forgotten at once:
   * kafkajs would commit its offsets under our new membership, and the broker does not check whose
   * partition it is.
   */
  #take(assigned: number[], memberId: string): void {
    if (memberId !== this.#memberId) this.#giveBackAll("this consumer was expelled from its group");
    this.#memberId = memberId;
    for (const partition of this.#assignments.keys()) {
      if (!assigned.includes(partition)) this.#giveBack(partition, "its partition was reassigned");
    }
    for (const partition of assigned) {
      const kept = this.#assignments.get(partition);
      if (kept) kept.tracker.rejoined();
      else this.#assignments.set(partition, newAssignment());
    }
    this.#problem = undefined;
    this.#goOn();
    logger.info("the consumer has joined its group", {
      "messaging.consumer.group.name": this.#options.groupId,
      "orderflow.partitions": assigned.join(","),
    });
  }

  #giveBack(partition: number, reason: string): void {
    const assignment = this.#assignments.get(partition);
    this.#assignments.delete(partition);
    for (const record of assignment?.inHand ?? []) record.abandon(reason);
  }

  #giveBackAll(reason: string): void {
    for (const partition of this.#assignments.keys()) this.#giveBack(partition, reason);
    this.#goOn();
  }

  /** Ends what {@link #handOver} began. */
  #goOn(): void {
    this.#endHandOver?.();
    this.#endHandOver = undefined;
    this.#isJoining = false;
  }

  // --- Records: hand them on, and commit what is finished -----------------------------------------

  /**
   * Takes a batch's records in hand as there is room, without waiting for any to finish. Records that are
   * left when it returns are fetched again, from the last one resolved.
   */
  async #dispatch(payload: EachBatchPayload): Promise<void> {
    const { partition, messages } = payload.batch;
    let assignment = this.#assignments.get(partition);
    for (const message of messages) {
      if (assignment === undefined) return;
      const place = assignment.tracker.place(message.offset);
      if (place === "rewound") {
        this.#giveBack(partition, "the group's offset was set back");
        assignment = newAssignment();
        this.#assignments.set(partition, assignment);
      }
      if (place !== "known") {
        if (!(await this.#hasRoom(assignment, payload))) return;
        this.#start(message, partition, assignment);
      }
      payload.resolveOffset(message.offset);
      assignment.tracker.delivered(message.offset);
    }
  }

  /**
   * Waits for room for one more record.
   *
   * @returns false when the batch is no longer to be handed on
   * @throws KafkaJSError when the group rebalances; kafkajs needs to see it
   */
  async #hasRoom(assignment: Assignment, payload: EachBatchPayload): Promise<boolean> {
    for (;;) {
      const isWanted =
        payload.isRunning() &&
        !payload.isStale() &&
        !this.#isPaused &&
        !this.#stopping.signal.aborted &&
        this.#assignments.get(payload.batch.partition) === assignment;
      if (!isWanted) return false;
      if (!this.#isFull(assignment)) return true;
      await payload.heartbeat();
      await settledWithin(this.#roomFreed.promise, ROOM_CHECK_MS);
    }
  }

  #isFull(assignment: Assignment): boolean {
    const { inHandMax, inHandBytesMax } = this.#options;
    const isFull = this.#inHand >= inHandMax || this.#inHandBytes >= inHandBytesMax;
    return isFull || assignment.tracker.isFull;
  }

  /** Whether a partition is left alone on purpose, for as long as it is so. */
  #isHeldBack(assignment: Assignment | undefined): boolean {
    return this.#isPaused || assignment === undefined || this.#isFull(assignment);
  }

  #start(message: KafkaMessage, partition: number, assignment: Assignment): void {
    const { offset } = message;
    const record = ownRecord(this.#options.topic, partition, message);
    const bytes = recordBytes(record);
    assignment.tracker.start(offset);
    this.#inHand += 1;
    this.#inHandBytes += bytes;
    const inHand = handleRecord(record, this.#handling, (outcome: Outcome) => {
      if (outcome === "finished") assignment.tracker.finish(offset);
      assignment.inHand.delete(inHand);
      this.#inHand -= 1;
      this.#inHandBytes -= bytes;
      this.#roomFreed.resolve();
      this.#roomFreed = Promise.withResolvers();
    });
    assignment.inHand.add(inHand);
  }

  /**
   * Commits what is finished; one commit after the other. A failure is left to the next commit. Nothing is
   * committed while the group is joined anew: the broker refuses, and kafkajs would try again as the member
   * that it is by then, in a partition that another has taken over and is ahead in.
   */
  #commitFinished(): Promise<void> {
    this.#isCommitting = true;
    this.#commits = this.#commits
      .then(() => this.#commitOnce())
      .finally(() => (this.#isCommitting = false));
    return this.#commits;
  }

  async #commitOnce(): Promise<void> {
    const positions = [...this.#assignments].flatMap(([partition, { tracker }]) => {
      const offset = tracker.committable();
      return offset === undefined ? [] : [{ partition, offset, tracker }];
    });
    if (positions.length === 0 || this.#session === undefined || this.#isJoining) return;
    try {
      await this.#session.commit(positions);
      for (const { tracker, offset } of positions) tracker.commit(offset);
    } catch (error) {
      logger.info("offsets could not be committed; trying again", { error: describeError(error) });
    }
  }

  async #sendDeadLetter(
    record: ConsumedRecord,
    failure: { error: unknown; attempts: number },
  ): Promise<void> {
    const { deadLetterTopic } = this.#options;
    // The letter keeps its record's creation context; what is done here belongs to the handling.
    const send = async () => {
      await this.#connectDeadLetters();
      const { key, value } = record;
      await this.#writeDeadLetter({ key, value, headers: deadLetterHeaders(record, failure) });
    };
    await traceSend(deadLetterTopic, [record], send, { parent: context.active() });
    deadLetters.add(1);
    logger.error("a record could not be handled; it is now a dead letter", {
      error: describeError(failure.error),
      "messaging.destination.partition.id": String(record.partition),
      "kafka.offset": Number(record.offset),
      "orderflow.attempts": failure.attempts,
    });
  }

  /** Once, unless it fails. */
  async #connectDeadLetters(): Promise<void> {
    this.#deadLettersConnected ??= this.#deadLetters.connect();
    try {
      await this.#deadLettersConnected;
    } catch (error) {
      this.#deadLettersConnected = undefined;
      throw error;
    }
  }

  /**
   * Writes the letter as it is; compressed where that is too large, since a topic's limit counts bytes
   * as they are written; and raises the limit where that is too large as well, for the next try.
   */
  async #writeDeadLetter(letter: Message): Promise<void> {
    const { kafka, deadLetterTopic: topic } = this.#options;
    const partition = this.#deadLetters.partitionOf(topic, letter.key);
    const send = (compression: CompressionTypes) =>
      this.#deadLetters.publish(topic, partition, [letter], compression);
    try {
      await send(CompressionTypes.None);
      return;
    } catch (error) {
      if (!isTooLarge(error)) throw error;
    }
    try {
      await send(CompressionTypes.GZIP);
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      const bytes = recordBytes(letter) + DEAD_LETTER_EXTRA_BYTES;
      await allowRecordsOf(kafka, topic, bytes).catch((refusal: unknown) => {
        const text = `${topic} takes no record of ${bytes} bytes, and cannot be made to`;
        throw new Error(`${text}: ${describeError(refusal)}`, { cause: error });
      });
      throw error;
    }
  }

  // --- Pausing and stopping -----------------------------------------------------------------------

  #createOutage(): Outage | undefined {
    const { isDown, probeIntervalMs } = this.#options;
    if (isDown === undefined) return undefined;
    let endHold: (() => void) | undefined;
    return new Outage({
      isDown,
      probeIntervalMs,
      signal: this.#stopping.signal,
      onDown: () => {
        endHold = this.#slots.hold();
        this.#isPaused = true;
        this.#session?.pause();
      },
      onUp: () => {
        endHold?.();
        this.#isPaused = false;
        this.#session?.resume();
      },
    });
  }

  async #stop(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const remainingMs = () => Math.max(0, deadlineMs - performance.now());

    this.#isPaused = true;
    this.#problem = "is stopping";
    this.#session?.pause();
    this.#slots.hold();
    this.#stopping.abort();
    const all = [...this.#assignments.values()].flatMap(({ inHand }) => [...inHand]);
    for (const record of all) record.abandonBeforeWaiting("the consumer stops");
    await settledWithin(this.#slots.idle(), timeoutMs - Math.min(LEAVE_WITHIN_MS, timeoutMs / 2));
    for (const record of all) record.abandon("the consumer stopped before it was finished");

    clearInterval(this.#commitTimer);
    await settledWithin(this.#commitFinished(), remainingMs() / 2);
    await this.#session?.leave(remainingMs());
    const rest = [this.#life, this.#deadLetters.disconnect(), this.#lagWatch?.stop()];
    await settledWithin(Promise.all(rest), remainingMs());
  }
}

function newAssignment(): Assignment {
  return { tracker: new OffsetTracker(TRACKED_PER_PARTITION_MAX), inHand: new Set() };
}
