// Topic reader: reads a topic once, from given offsets to its present end, and is done.
import type { Kafka, KafkaMessage } from "kafkajs";
import { settledWithin } from "#lib/waiting/waiting.ts";

/** A part of one partition: from one offset up to, not including, another. */
export interface OffsetRange {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/** Offsets to commit, with a text to keep beside them. */
export interface Commit {
  readonly partition: number;
  readonly offset: string;
  readonly metadata: string;
}

/** See {@link readTopic}. */
export interface TopicReaderOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  /** The consumer group in whose name it reads; nobody else may be in it. */
  readonly groupId: string;
  readonly ranges: readonly OffsetRange[];
  /** Receives the records of one partition, in order; is waited for. */
  readonly onRecords: (
    partition: number,
    records: KafkaMessage[],
    commit: (offset: Commit) => Promise<void>,
  ) => Promise<void>;
}

const PROGRESS_WITHIN_MS = 30_000;
const DISCONNECT_WITHIN_MS = 5_000;

/**
 * Reads the given ranges.
 *
 * @throws Error when another member is in the group, or nothing comes for 30 s; what `onRecords` throws
 */
export async function readTopic(options: TopicReaderOptions): Promise<void> {
  const { kafka, topic, groupId } = options;
  const left = new Map(
    options.ranges.filter(({ from, to }) => from < to).map((range) => [range.partition, range]),
  );
  if (left.size === 0) return;

  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 1_000,
    maxWaitTimeInMs: 200,
    allowAutoTopicCreation: false,
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });
  const done = Promise.withResolvers<void>();
  done.promise.catch(() => {}); // it can fail while `run` is still being waited for; it is awaited below
  const fail = (error: unknown) => done.reject(error);
  let progressTimer = setTimeout(failForSilence, PROGRESS_WITHIN_MS);
  function failForSilence(): void {
    fail(new Error(`nothing came from topic ${topic} for ${PROGRESS_WITHIN_MS / 1000} s`));
  }

  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const assigned = payload.memberAssignment[topic] ?? [];
    if ([...left.keys()].every((partition) => assigned.includes(partition))) {
      for (const { partition, from } of left.values()) {
        consumer.seek({ topic, partition, offset: from.toString() });
      }
      return;
    }
    fail(new Error(`someone else is reading ${topic} as ${groupId}; try again when they are done`));
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch: { partition, messages }, heartbeat }) => {
        const range = left.get(partition);
        if (range === undefined) return;
        clearTimeout(progressTimer);
        progressTimer = setTimeout(failForSilence, PROGRESS_WITHIN_MS);
        const wanted = messages.filter(
          ({ offset }) => BigInt(offset) >= range.from && BigInt(offset) < range.to,
        );
        try {
          if (wanted.length > 0) {
            await options.onRecords(partition, wanted, ({ offset, metadata }) =>
              consumer.commitOffsets([{ topic, partition, offset, metadata }]),
            );
          }
        } catch (error) {
          fail(error);
          throw error;
        }
        const next = BigInt(messages.at(-1)?.offset ?? range.from - 1n) + 1n;
        if (next >= range.to) left.delete(partition);
        else left.set(partition, { ...range, from: next });
        if (left.size === 0) done.resolve();
        await heartbeat();
      },
    });
    await done.promise;
  } finally {
    clearTimeout(progressTimer);
    await settledWithin(consumer.disconnect(), DISCONNECT_WITHIN_MS);
  }
}
