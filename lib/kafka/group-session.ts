// Group session: one membership in a consumer group, from joining until it is left or breaks.
import {
  KafkaJSNonRetriableError,
  PartitionAssigners,
  type Broker,
  type Consumer,
  type EachBatchPayload,
  type Kafka,
  type PartitionAssigner,
} from "kafkajs";
import { settledWithin } from "#lib/waiting/waiting.ts";
import { METADATA_MAX_AGE_MS, unreachableBrokers } from "./client.ts";

/** See {@link startGroupSession}. */
export interface GroupSessionOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  /** After this long without a heartbeat the group gives the member's partitions away, in milliseconds. */
  readonly sessionTimeoutMs: number;
  /** Who this process was in its last session, which broke. */
  readonly formerMemberId: string | undefined;
  /** Called before joining and before each rejoining, which wait for it; it must have a bound of its own. */
  readonly beforeJoin: () => Promise<void>;
  /**
   * Called after each joining, before anything is fetched.
   * @param memberId changes when the group had expelled this member in between
   */
  readonly onAssigned: (partitions: number[], memberId: string) => void;
  /** Asked after each joining: whether to fetch nothing for now, until {@link GroupSession.resume}. */
  readonly isPaused: () => boolean;
  /** Receives what was fetched; has to resolve what it took. */
  readonly onBatch: (payload: EachBatchPayload) => Promise<void>;
}

/** A membership in a consumer group. */
export interface GroupSession {
  /** Resolves with the reason when the session is beyond repair; it does not come back by itself. */
  readonly broken: Promise<Error>;
  /** Up to which offset each partition was fetched since the last joining. */
  readonly fetched: ReadonlyMap<number, bigint>;
  /** Breaks it, for a reason that kafkajs does not see. */
  breakOff(reason: Error): void;
  /** Commits offsets (the next ones to read) by partition, in the name of this membership. */
  commit(offsets: readonly { partition: number; offset: string }[]): Promise<void>;
  /** Stops fetching, also from partitions assigned later, but stays in the group. */
  pause(): void;
  /** Fetches again after {@link pause}. */
  resume(): void;
  /** Leaves the group, so that others take over at once, and disconnects; gives up after `timeoutMs`. */
  leave(timeoutMs: number): Promise<void>;
}

/** A fetch waits this long for records; so a stop or a resume does too. */
const FETCH_WAIT_MS = 500;
/** What one fetch brings from one partition: several hundred orders. */
const FETCH_PARTITION_BYTES_MAX = 256 * 1024;
const HEARTBEAT_INTERVAL_MS = 1_000;
/** More than any single request or retry of kafkajs takes. */
const SILENCE_MAX_MS = 60_000;
const SILENCE_CHECK_MS = 1_000;

/**
 * Joins the group and begins to fetch.
 *
 * kafkajs has a restart of its own; it is switched off, because it covers only some errors and a
 * second mechanism would be needed anyway. Whatever breaks the session ends it, and the caller begins
 * a new one.
 *
 * @throws KafkaJSError when no broker answers or the topic is unknown
 */
export async function startGroupSession(options: GroupSessionOptions): Promise<GroupSession> {
  const { kafka, groupId, topic, sessionTimeoutMs } = options;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: sessionTimeoutMs,
    heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeoutMs / 3)),
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: FETCH_PARTITION_BYTES_MAX,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    partitionAssigners: [hookedAssigner(options)],
    // A group that many join at once takes some tries.
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });

  const broken = Promise.withResolvers<Error>();
  const fetched = new Map<number, bigint>();
  let hasLeft = false; // what a consumer that did not end in time still reports is no longer heard
  consumer.on(consumer.events.CRASH, ({ payload }) => broken.resolve(payload.error));
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    if (hasLeft) return;
    fetched.clear();
    options.onAssigned(payload.memberAssignment[topic] ?? [], payload.memberId);
    if (options.isPaused()) consumer.pause([{ topic }]);
  });
  // Told of batches without any record of ours too: a transaction's end, say.
  consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
    fetched.set(payload.partition, BigInt(payload.lastOffset) + 1n);
  });
  const stopWatching = watchForSilence(consumer, (error) => broken.resolve(error));

  async function leave(timeoutMs: number): Promise<void> {
    hasLeft = true;
    stopWatching();
    await settledWithin(consumer.disconnect(), timeoutMs);
  }

  try {
    await consumer.connect();
    // From the beginning where the group has no offset yet: orders placed before the first start count.
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // Each batch is only handed on, so they can all be at it: a full partition holds up no other.
      partitionsConsumedConcurrently: 64,
      eachBatch: async (payload) => {
        if (!hasLeft) await options.onBatch(payload);
      },
    });
  } catch (error) {
    await leave(sessionTimeoutMs);
    throw error;
  }

  return {
    broken: broken.promise,
    fetched,
    breakOff: broken.resolve,
    leave,
    commit: (offsets) =>
      consumer.commitOffsets(
        offsets.map(({ partition, offset }) => ({ topic, partition, offset })),
      ),
    pause: () => unlessBroken(() => consumer.pause([{ topic }])),
    resume: () => unlessBroken(() => consumer.resume([{ topic }])),
  };
}

/** kafkajs refuses both on a consumer that has crashed; then there is nothing to pause or to resume. */
function unlessBroken(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof KafkaJSNonRetriableError)) throw error;
  }
}

/** The parts of kafkajs's cluster that its type declarations lack. */
interface ClusterInside {
  getNodeIds(): string[];
  readonly brokerPool: {
    readonly brokers: Record<string, { readonly connectionPool: { host: string; port: number } }>;
  };
}

/**
 * kafkajs's own assigner, with two hooks that kafkajs does not have, on the cluster object that it also
 * gives to the assigner:
 *
 * - Before the group is joined the first thing it does is to look for the group's coordinator. (Its
 *   REBALANCING event comes at the same moment, but is not waited for.)
 * - It fetches from all brokers side by side, and where one fails it drops what the others brought and
 *   begins anew. So a broker that is known to be unreachable is not among those it fetches from.
 *
 * @see https://github.com/tulios/kafkajs/blob/v2.2.4/src/consumer/consumerGroup.js
 * @see https://github.com/tulios/kafkajs/blob/v2.2.4/src/consumer/fetchManager.js
 */
function hookedAssigner(options: GroupSessionOptions): PartitionAssigner {
  let { formerMemberId } = options;
  return (config) => {
    const { cluster } = config;
    fetchFromReachable(cluster as unknown as ClusterInside, options.kafka);
    const findGroupCoordinator = cluster.findGroupCoordinator.bind(cluster);
    cluster.findGroupCoordinator = async (group) => {
      await options.beforeJoin();
      const coordinator = await findGroupCoordinator(group);
      if (formerMemberId !== undefined) await leaveAs(coordinator, group.groupId, formerMemberId);
      formerMemberId = undefined;
      return coordinator;
    };
    return PartitionAssigners.roundRobin(config);
  };
}

/** All of them where none can be reached: kafkajs then finds out by itself, and the session ends. */
function fetchFromReachable(cluster: ClusterInside, kafka: Kafka): void {
  const getNodeIds = cluster.getNodeIds.bind(cluster);
  const unreachable = unreachableBrokers(kafka);
  cluster.getNodeIds = () => {
    const all = getNodeIds();
    if (unreachable.size === 0) return all;
    const reachable = all.filter((nodeId) => {
      const { host, port } = cluster.brokerPool.brokers[nodeId]?.connectionPool ?? {};
      return !unreachable.has(`${host}:${port}`);
    });
    return reachable.length > 0 ? reachable : all;
  };
}

/**
 * Leaves the group in the name of our former self, which could not do so because its connection broke.
 * Otherwise the group would wait for that member until its session expires, and we with it.
 */
async function leaveAs(coordinator: Broker, groupId: string, memberId: string): Promise<void> {
  try {
    // kafkajs's own consumers call this method; only its type declarations lack it.
    const { leaveGroup } = coordinator as Broker & {
      leaveGroup(member: { groupId: string; memberId: string }): Promise<unknown>;
    };
    await leaveGroup.call(coordinator, { groupId, memberId });
  } catch {
    // Then it has left or expired already, or will expire.
  }
}

/** A consumer that is alive fetches or sends heartbeats. One that does neither for long is given up. */
function watchForSilence(consumer: Consumer, onSilence: (error: Error) => void): () => void {
  let lastSignMs = performance.now();
  const sign = () => void (lastSignMs = performance.now());
  consumer.on(consumer.events.HEARTBEAT, sign);
  consumer.on(consumer.events.FETCH_START, sign);
  consumer.on(consumer.events.GROUP_JOIN, sign);
  const timer = setInterval(() => {
    if (performance.now() - lastSignMs < SILENCE_MAX_MS) return;
    onSilence(new Error(`the consumer has shown no sign of life for ${SILENCE_MAX_MS} ms`));
  }, SILENCE_CHECK_MS);
  return () => clearInterval(timer);
}
