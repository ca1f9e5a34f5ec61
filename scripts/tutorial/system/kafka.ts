/** A broker of a run's own, with the tutorial's topics, and what is in them. */
import { logLevel, type Consumer, type Kafka, type Producer } from "kafkajs";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { connectRaw } from "#lib/embedded/kafka/testing/raw-client.ts";
import { buildRequest } from "#lib/embedded/kafka/testing/requests.ts";
import { createKafka } from "#lib/kafka/client.ts";
import { settledWithin } from "#lib/waiting/waiting.ts";

/** A record as it stands in a topic. */
export interface SeenRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: string | undefined;
  readonly value: string;
  /** What the value is, where it may be no text. */
  readonly bytes: Buffer;
  /** Of a repeated header the first. */
  readonly headers: Readonly<Record<string, Buffer>>;
}

/** A record to be written. */
export interface NewRecord {
  readonly key?: string;
  readonly value: string | Buffer;
  readonly headers?: Readonly<Record<string, string | Buffer>>;
  /** @default as the key wants it */
  readonly partition?: number;
}

/** See {@link startKafka}. */
export interface RunKafka {
  readonly brokers: string;
  /** Whether each member of a group has its partitions, and there is one. */
  isStable(groupId: string): Promise<boolean>;
  /**
   * Takes all members out of a group: what else happens when their session times out, 30 s after they
   * were killed.
   */
  evictMembers(groupId: string): Promise<void>;
  /** Whether a group has committed all that is in a topic now. */
  hasConsumed(groupId: string, topic: string): Promise<boolean>;
  /** @returns what is in the topic now; of each partition in its order */
  records(topic: string): Promise<readonly SeenRecord[]>;
  /** Writes records, in one request. */
  produce(topic: string, records: readonly NewRecord[]): Promise<void>;
  stop(): Promise<void>;
}

/** The topics that are there before a program starts, with their partitions. */
const TOPICS: Readonly<Record<string, number>> = { "order.created": 3, "order.created.dlq": 1 };

const RECORDS_MAX = 20_000;
const DISCONNECT_TIMEOUT_MS = 2_000;

export async function startKafka(): Promise<RunKafka> {
  const broker = await startKafkaBroker();
  const kafka = createKafka({ connection: { brokers: [broker.brokers] }, clientId: "tutorial" });
  // Who asks gets an error; a line in between is none of the reader's.
  kafka.logger().setLogLevel(logLevel.NOTHING);
  const admin = kafka.admin();
  const taps = new Map<string, Promise<Tap>>();
  let producer: Promise<Producer> | undefined;

  const stop = async () => {
    const connected = await Promise.allSettled([producer, ...taps.values()]);
    const ends = connected.map((one) =>
      one.status === "fulfilled" ? one.value?.disconnect() : undefined,
    );
    await settledWithin(Promise.all([admin.disconnect(), ...ends]), DISCONNECT_TIMEOUT_MS);
    await broker.stop();
  };
  try {
    await admin.connect();
    await admin.createTopics({
      topics: Object.entries(TOPICS).map(([topic, numPartitions]) => ({ topic, numPartitions })),
    });
  } catch (error) {
    await stop();
    throw error;
  }

  const describe = async (groupId: string) => {
    const { groups } = await admin.describeGroups([groupId]);
    return groups[0];
  };
  const endsOf = async (topic: string) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return new Map(offsets.map(({ partition, high }) => [partition, BigInt(high)]));
  };
  return {
    brokers: broker.brokers,
    async isStable(groupId) {
      const group = await describe(groupId);
      return group?.state === "Stable" && group.members.length > 0;
    },
    async evictMembers(groupId) {
      const { members = [] } = (await describe(groupId)) ?? {};
      for (const { memberId } of members) await leaveGroup(broker.port, groupId, memberId);
    },
    async hasConsumed(groupId, topic) {
      const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
      const ends = await endsOf(topic);
      return [...ends].every(([partition, end]) => {
        const own = committed?.partitions.find((one) => one.partition === partition);
        // -1 stands for none.
        return end === 0n || BigInt(own?.offset ?? -1) >= end;
      });
    },
    async records(topic) {
      if (!(await admin.listTopics()).includes(topic)) return [];
      let tap = taps.get(topic);
      if (!tap) taps.set(topic, (tap = startTap(kafka, topic)));
      const started = await tap;
      return await started.upTo(await endsOf(topic));
    },
    async produce(topic, records) {
      producer ??= connect(kafka.producer());
      await (
        await producer
      ).send({
        topic,
        messages: records.map(({ key, headers, ...record }) => ({
          key: key ?? null,
          ...record,
          ...(headers && { headers: { ...headers } }),
        })),
      });
    },
    stop,
  };
}

/** Reads a topic from its beginning on, and keeps what it read. */
interface Tap {
  /** Waits until all before these offsets has been read. @throws Error where it does not come */
  upTo(offsets: ReadonlyMap<number, bigint>): Promise<readonly SeenRecord[]>;
  disconnect(): Promise<void>;
}

const TAP_TIMEOUT_MS = 10_000;
const TAP_POLL_MS = 10;

async function startTap(kafka: Kafka, topic: string): Promise<Tap> {
  const seen: SeenRecord[] = [];
  const next = new Map<number, bigint>();
  const consumer: Consumer = await connect(
    kafka.consumer({ groupId: `tutorial-tap-${topic}`, maxWaitTimeInMs: 100 }),
  );
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      next.set(partition, BigInt(message.offset) + 1n);
      if (seen.length < RECORDS_MAX) {
        seen.push({
          topic,
          partition,
          offset: message.offset,
          key: message.key?.toString(),
          value: message.value?.toString() ?? "",
          bytes: message.value ?? Buffer.alloc(0),
          headers: headersOf(message.headers),
        });
      }
    },
  });
  return {
    async upTo(offsets) {
      const deadlineMs = performance.now() + TAP_TIMEOUT_MS;
      while (![...offsets].every(([partition, offset]) => (next.get(partition) ?? 0n) >= offset)) {
        if (performance.now() > deadlineMs) throw new Error(`topic ${topic} could not be read`);
        await Bun.sleep(TAP_POLL_MS);
      }
      return [...seen];
    },
    disconnect: () => consumer.disconnect(),
  };
}

async function connect<Client extends { connect(): Promise<void> }>(client: Client) {
  await client.connect();
  return client;
}

function headersOf(
  headers: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>> = {},
): Record<string, Buffer> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => {
      const first = Array.isArray(value) ? value[0] : value;
      return first === undefined ? [] : [[name, Buffer.from(first)]];
    }),
  );
}

const LEAVE_GROUP = 13;

/** kafkajs lets a member leave alone, not somebody for it. */
async function leaveGroup(port: number, groupId: string, memberId: string): Promise<void> {
  const client = await connectRaw(port);
  try {
    client.send(buildRequest(LEAVE_GROUP, 0, (out) => void out.string(groupId).string(memberId)));
    await client.receive();
  } finally {
    client.close();
  }
}
