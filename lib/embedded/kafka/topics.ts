// All topics and their partition logs, under one memory bound.
import { ErrorCode, RefusedError } from "./errors.ts";
import { Fifo } from "./fifo.ts";
import { limits } from "./limits.ts";
import { PartitionLog } from "./log.ts";
import type { RecordBatch } from "./record-batch.ts";

/** Settings of {@link TopicStore}. */
export interface TopicStoreOptions {
  /** Partitions of a topic whose creator names no number. */
  readonly partitionsDefault: number;
  /** Memory over all logs; beyond it the oldest batches go, whichever partition they are in. */
  readonly retentionBytesMax: number;
}

/** The broker's topics. */
export class TopicStore {
  readonly #options: TopicStoreOptions;
  readonly #topics = new Map<string, readonly PartitionLog[]>();
  // The log of every stored batch, in order of arrival: its front says where the oldest batch lies.
  readonly #arrivals = new Fifo<PartitionLog>();
  #partitionCount = 0;
  #storedBytes = 0;

  constructor(options: TopicStoreOptions) {
    this.#options = options;
  }

  names(): string[] {
    return [...this.#topics.keys()];
  }

  /** @returns the topic's partitions in order, or undefined */
  get(topic: string): readonly PartitionLog[] | undefined {
    return this.#topics.get(topic);
  }

  /** @returns one partition's log, or undefined where topic or partition do not exist */
  partition(topic: string, partition: number): PartitionLog | undefined {
    return this.#topics.get(topic)?.[partition];
  }

  /**
   * Checks whether a topic could be created.
   * @param partitions -1 for the default number
   * @throws RefusedError with the reason why not
   */
  checkCreate(topic: string, partitions: number): void {
    checkTopicName(topic);
    if (this.#topics.has(topic)) {
      throw new RefusedError(ErrorCode.TOPIC_ALREADY_EXISTS, `topic ${topic} exists`);
    }
    if (partitions === 0 || partitions < -1) {
      throw new RefusedError(ErrorCode.INVALID_PARTITIONS, "a topic needs at least one partition");
    }
    const count = partitions === -1 ? this.#options.partitionsDefault : partitions;
    if (
      this.#topics.size >= limits.topicsMax ||
      this.#partitionCount + count > limits.partitionsMax
    ) {
      const reason = `this broker holds at most ${limits.topicsMax} topics and ${limits.partitionsMax} partitions`;
      throw new RefusedError(ErrorCode.POLICY_VIOLATION, reason);
    }
  }

  /**
   * Creates a topic.
   * @param partitions -1 for the default number
   * @throws RefusedError as {@link TopicStore.checkCreate}
   */
  create(topic: string, partitions = -1): readonly PartitionLog[] {
    this.checkCreate(topic, partitions);
    const count = partitions === -1 ? this.#options.partitionsDefault : partitions;
    const logs = Array.from({ length: count }, () => new PartitionLog());
    this.#topics.set(topic, logs);
    this.#partitionCount += count;
    return logs;
  }

  /** Deletes a topic and its records. @returns whether it existed */
  delete(topic: string): boolean {
    const logs = this.#topics.get(topic);
    if (!logs) return false;
    this.#topics.delete(topic);
    this.#partitionCount -= logs.length;
    for (const log of logs) {
      for (let freed = log.dropOldest(); freed > 0; freed = log.dropOldest()) {
        this.#storedBytes -= freed;
      }
      log.close();
    }
    this.#forgetArrivalsOfClosedLogs();
    return true;
  }

  /**
   * Appends a batch to one of this store's logs and keeps the memory bound.
   * @returns the offset of its first record
   * @throws RefusedError as {@link PartitionLog.append}
   */
  append(log: PartitionLog, batch: RecordBatch): number {
    const { baseOffset, storedBytes } = log.append(batch);
    if (storedBytes > 0) {
      this.#arrivals.push(log);
      this.#storedBytes += storedBytes;
      this.#dropExcess();
    }
    return baseOffset;
  }

  #forgetArrivalsOfClosedLogs(): void {
    for (let left = this.#arrivals.length; left > 0; left--) {
      const log = this.#arrivals.shift();
      if (log && !log.closed) this.#arrivals.push(log);
    }
  }

  #dropExcess(): void {
    while (this.#storedBytes > this.#options.retentionBytesMax) {
      const log = this.#arrivals.shift();
      if (!log) return;
      this.#storedBytes -= log.dropOldest();
    }
  }
}

/** @throws RefusedError INVALID_TOPIC_EXCEPTION for a name no topic can have */
export function checkTopicName(topic: string): void {
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(topic) || topic === "." || topic === "..") {
    const reason = "a topic's name is 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'";
    throw new RefusedError(ErrorCode.INVALID_TOPIC_EXCEPTION, reason);
  }
}
