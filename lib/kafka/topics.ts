// Topics: made by whichever service needs them first, so that services start in any order.
import { ConfigResourceTypes, ConfigSource, type Admin, type Kafka } from "kafkajs";

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

/**
 * Makes the topics that do not exist yet, with the broker's default replication, and waits until
 * every partition has a leader, so that the caller can produce and consume at once.
 *
 * Does not try again by itself: the caller knows for how long it wants to.
 *
 * @throws KafkaJSError when no broker answers; Error when a partition has no leader after 10 s
 */
export async function ensureTopics(kafka: Kafka, topics: readonly TopicSpec[]): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
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
    for (const { topic } of topics) await waitForLeaders(admin, topic);
  } finally {
    await admin.disconnect();
  }
}

/**
 * Lets a topic take records of a size, whoever made it. Its other settings stay.
 *
 * @throws KafkaJSError when the broker has no such request, or does not allow it to us
 */
export async function allowRecordsOf(kafka: Kafka, topic: string, bytes: number): Promise<void> {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
  const admin = kafka.admin();
  try {
    await admin.connect();
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
  } finally {
    await admin.disconnect();
  }
}

/**
 * Asks every partition's leader for its offsets: metadata can name a leader that does not know yet that
 * it is one, and would refuse the first records.
 */
async function waitForLeaders(admin: Admin, topic: string): Promise<void> {
  const deadlineMs = performance.now() + LEADERS_WITHIN_MS;
  for (;;) {
    let cause: unknown;
    try {
      const partitions = await admin.fetchTopicOffsets(topic);
      if (partitions.length > 0) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`topic ${topic} is not usable after ${LEADERS_WITHIN_MS} ms`, { cause });
    }
    await Bun.sleep(LEADER_POLL_MS);
  }
}
