// Publisher: writes records to Kafka, each send to one partition, and believes only what the answer says.
import {
  CompressionTypes,
  Partitioners,
  type ICustomPartitioner,
  type Kafka,
  type Message,
  type RecordMetadata,
} from "kafkajs";
import { unlessAborted } from "#lib/waiting/waiting.ts";
import { METADATA_MAX_AGE_MS, PRODUCE_TIMEOUT_MS } from "./client.ts";
import { ensureTopics, type TopicSpec } from "./topics.ts";

/** Writes records, see {@link createPublisher}. */
export interface Publisher {
  /**
   * Makes the topics that are missing, connects, and learns how many partitions there are. May be called
   * again: then it asks whether Kafka answers.
   * @throws KafkaJSError when no broker answers
   */
  connect(): Promise<void>;
  /**
   * The partition of a key, the same that every Kafka client's default partitioner chooses.
   * @throws Error before {@link connect} has been fulfilled for the topic
   */
  partitionOf(topic: string, key: Message["key"]): number;
  /**
   * Writes records into one partition. When it returns Kafka has them, on all replicas in sync.
   *
   * @throws UnacknowledgedError where the answer does not say so; KafkaJSError, or TimeoutError after
   *   25 s, where there was none: then they may be stored all the same
   */
  publish(
    topic: string,
    partition: number,
    messages: readonly Message[],
    compression?: CompressionTypes,
  ): Promise<void>;
  disconnect(): Promise<void>;
}

/** Kafka's answer does not say that the records are stored. Another try may store them, again perhaps. */
export class UnacknowledgedError extends Error {
  override readonly name = "UnacknowledgedError";
  readonly code = "UNACKNOWLEDGED";
  readonly retryable = true;
}

const PUBLISH_WITHIN_MS = 25_000;

/**
 * Makes a publisher.
 *
 * Each send goes to one partition, never to several. kafkajs 2.2.4 keeps what it has been answered by
 * broker, not by partition: where a partition moves, in the middle of a send, to a broker that has
 * answered already, its retry passes that broker over, and `send` is fulfilled though the partition's
 * records are nowhere (`src/producer/sendMessages.js`, `brokersWithoutResponse`). With one partition a
 * send has one answer, and that answer is checked here too.
 *
 * @param topics what it writes to; made where they are missing
 */
export function createPublisher(kafka: Kafka, topics: readonly TopicSpec[]): Publisher {
  /** As of the last answer. */
  const partitionCounts = new Map<string, number>();
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    createPartitioner: () => partition,
    retry: { retries: 2 }, // whoever publishes tries on
  });

  /** Every record has its partition already; what comes along is how many there are by now. */
  function partition({ topic, partitionMetadata, message }: Parameters<Partitioner>[0]): number {
    partitionCounts.set(topic, partitionMetadata.length);
    return message.partition ?? 0;
  }

  return {
    async connect() {
      for (const [topic, count] of await ensureTopics(kafka, topics)) {
        partitionCounts.set(topic, count);
      }
      await producer.connect();
    },
    partitionOf(topic, key) {
      const count = partitionCounts.get(topic);
      if (count === undefined) throw new Error(`the partitions of ${topic} are not known yet`);
      return keyPartition(topic, key, count);
    },
    async publish(topic, partition, messages, compression = CompressionTypes.None) {
      const answer = await unlessAborted(
        producer.send({
          topic,
          acks: -1,
          timeout: PRODUCE_TIMEOUT_MS,
          compression,
          messages: messages.map((message) => ({ ...message, partition })),
        }),
        AbortSignal.timeout(PUBLISH_WITHIN_MS),
      );
      assertStored(answer, topic, partition);
    },
    disconnect: () => producer.disconnect(),
  };
}

type Partitioner = ReturnType<ICustomPartitioner>;

const partitionByKey = Partitioners.DefaultPartitioner();

function keyPartition(topic: string, key: Message["key"], count: number): number {
  // All that the partitioner looks at is how many there are, and for a record without a key which of
  // them have a leader.
  const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return partitionByKey({
    topic,
    partitionMetadata,
    message: { key: key ?? null, value: null },
  });
}

/**
 * Holds the answer to a send to one partition against what it has to say: this partition, no error, an
 * offset.
 * @param partition undefined where whoever sent did not choose it
 * @throws UnacknowledgedError
 */
export function assertStored(
  answer: readonly Partial<RecordMetadata>[],
  topic: string,
  partition?: number,
): void {
  const [only, ...others] = answer;
  const isStored =
    others.length === 0 &&
    only?.topicName === topic &&
    only.partition === (partition ?? only.partition) &&
    only.errorCode === 0 &&
    isOffset(only.baseOffset);
  if (isStored) return;
  const where = partition === undefined ? topic : `partition ${partition} of ${topic}`;
  throw new UnacknowledgedError(`Kafka did not say that it has stored the records for ${where}`);
}

function isOffset(text: string | undefined): boolean {
  return text !== undefined && /^\d+$/.test(text);
}
