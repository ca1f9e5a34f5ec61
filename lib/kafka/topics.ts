// Topics: made by whichever service needs them first, so that services start in any order.
import {
  ConfigResourceTypes,
  ConfigSource,
  type Admin,
  type Kafka,
  type PartitionMetadata,
} from "kafkajs";
import { withAdmin } from "./client.ts";

/** A topic as a service needs it. */
export interface TopicSpec {
  readonly topic: string;
  /** How many partitions it gets when it has to be made. An existing topic keeps its own number. */
  readonly partitions: number;
  /** Topic settings when it has to be made, by Kafka's names, e.g. `max.message.bytes`. */
  readonly config?: Readonly<Record<string, string>>;
}

/** The topic setting that bounds a batch of records as it is written, so after compression. */
export const MESSAGE_BYTES_MAX = "max.message.bytes";

const CREATE_WITHIN_MS = 10_000;
const LEADERS_WITHIN_MS = 10_000;
const LEADER_POLL_MS = 100;
/** kafkajs asks brokers at random, and fails where the one drawn cannot be reached. */
const ASKED_BROKERS_MAX = 6;

/**
 * Makes the topics that do not exist yet, with the broker's default replication, and waits until
 * their partitions have leaders that know it, so that the caller can produce and consume at once. Topics
 * that are there already are used as they are: while a broker is away some partitions have no leader, and the
 * others have to go on.
 *
 * Does not try again by itself: the caller knows for how long it wants to.
 *
 * @returns how many partitions each of the topics has
 * @throws KafkaJSError when no broker answers; Error when no partition of a topic has a leader after 10 s
 */
export async function ensureTopics(
  kafka: Kafka,
  topics: readonly TopicSpec[],
): Promise<Map<string, number>> {
  return await withAdmin(kafka, async (admin) => {
    const existing = await describeTopics(admin);
    const missing = topics.filter(({ topic }) => !existing.has(topic));
    if (missing.length > 0) {
      // Another service may make them at this moment: kafkajs answers `false` for that, and it is fine.
      await admin.createTopics({
        topics: missing.map(({ topic, partitions, config = {} }) => ({
          topic,
          numPartitions: partitions,
          replicationFactor: -1,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        })),
        timeout: CREATE_WITHIN_MS,
        waitForLeaders: false, // not waited for when the topic existed, and that is needed too
      });
    }
    const partitions = await waitForLeaders(
      admin,
      topics.map(({ topic }) => topic),
    );
    for (const { topic } of missing) await waitUntilLeadersKnow(admin, topic);
    return partitions;
  });
}

/**
 * Lets a topic take records of a size, whoever made it. Its other settings stay.
 *
 * @throws KafkaJSError when the broker has no such request, or does not allow it to us
 */
export async function allowRecordsOf(kafka: Kafka, topic: string, bytes: number): Promise<void> {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
  await withAdmin(kafka, async (admin) => {
    const described = await admin.describeConfigs({
      resources: [resource],
      includeSynonyms: false,
    });
    // The request sets the topic's own settings as a whole: what it leaves out is the default again.
    const own = (described.resources[0]?.configEntries ?? []).filter(
      ({ configName, configSource }) =>
        configSource === ConfigSource.TOPIC_CONFIG && configName !== MESSAGE_BYTES_MAX,
    );
    const configEntries = [
      ...own.map(({ configName, configValue }) => ({ name: configName, value: configValue })),
      { name: MESSAGE_BYTES_MAX, value: String(bytes) },
    ];
    await admin.alterConfigs({ resources: [{ ...resource, configEntries }], validateOnly: false });
  });
}

/** A partition, as far as its leader is concerned. */
type Partition = Pick<PartitionMetadata, "leader">;

/**
 * Waits until every partition has a leader, but no longer than 10 s: then some are enough.
 * @returns how many partitions each of the topics has
 */
async function waitForLeaders(admin: Admin, topics: string[]): Promise<Map<string, number>> {
  const deadlineMs = performance.now() + LEADERS_WITHIN_MS;
  for (;;) {
    const described = await describeTopics(admin);
    const partitionsOf = (topic: string) => described.get(topic) ?? [];
    const isLate = performance.now() > deadlineMs;
    const isUsable = (topic: string) => {
      const led = partitionsOf(topic).filter(({ leader }) => leader >= 0).length;
      return led > 0 && (isLate || led === partitionsOf(topic).length);
    };
    if (topics.every(isUsable)) {
      return new Map(topics.map((topic) => [topic, partitionsOf(topic).length]));
    }
    if (isLate) {
      const unusable = topics.filter((topic) => !isUsable(topic)).join(", ");
      throw new Error(`topic ${unusable} is not usable after ${LEADERS_WITHIN_MS} ms`);
    }
    await Bun.sleep(LEADER_POLL_MS);
  }
}

/**
 * Asks every leader of a topic that was just made for its offsets, for 10 s at most: metadata can name a
 * leader that does not know yet that it is one, and would refuse the first records.
 */
async function waitUntilLeadersKnow(admin: Admin, topic: string): Promise<void> {
  const deadlineMs = performance.now() + LEADERS_WITHIN_MS;
  for (;;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (cause) {
      if (performance.now() > deadlineMs) {
        throw new Error(`topic ${topic} is not usable after ${LEADERS_WITHIN_MS} ms`, { cause });
      }
    }
    await Bun.sleep(LEADER_POLL_MS);
  }
}

/** All topics of the cluster. @throws what the last broker asked failed with */
async function describeTopics(admin: Admin): Promise<Map<string, Partition[]>> {
  for (let asked = 1; ; asked++) {
    try {
      const { topics } = await admin.fetchTopicMetadata();
      return new Map(topics.map(({ name, partitions }) => [name, partitions]));
    } catch (error) {
      if (asked >= ASKED_BROKERS_MAX) throw error;
      await Bun.sleep(LEADER_POLL_MS);
    }
  }
}
