// Tests of the publisher: what it believes, and what kafkajs alone would have lost.
import { expect, test } from "bun:test";
import { createRequire } from "node:module";
import { KafkaJSProtocolError, Partitioners, type Kafka, type Message } from "kafkajs";
import { assertStored, createPublisher, UnacknowledgedError } from "./publisher.ts";

const TOPIC = "t";
const load = createRequire(import.meta.url);

interface Send {
  topic: string;
  acks: number;
  timeout: number;
  messages: (Message & { partition: number })[];
}

/**
 * kafkajs's own `send` on two brokers that lead a partition each. The second refuses, and its
 * partition moves to the first, which may have answered already.
 * @returns what it stored, and a send for any of kafkajs's producers
 */
function movingCluster() {
  const stored: string[] = [];
  let leaders: Record<number, number> = { 0: 1, 1: 2 };
  let known = { ...leaders };
  const broker = (nodeId: number) => ({
    nodeId,
    async produce({ topicData }: { topicData: { partitions: Produced[] }[] }) {
      const partitions = topicData.flatMap((topic) => topic.partitions);
      if (nodeId === 2 || partitions.some(({ partition }) => leaders[partition] !== nodeId)) {
        leaders = { 0: 1, 1: 1 };
        throw notLeader();
      }
      for (const { messages } of partitions) stored.push(...messages.map(({ value }) => value));
      return {
        topics: [
          {
            topicName: TOPIC,
            partitions: partitions.map(({ partition }) => ({
              partition,
              errorCode: 0,
              baseOffset: "0",
            })),
          },
        ],
      };
    },
  });
  interface Produced {
    partition: number;
    messages: { value: string }[];
  }
  const brokers: Record<number, ReturnType<typeof broker>> = { 1: broker(1), 2: broker(2) };
  const createSendMessages = load("kafkajs/src/producer/sendMessages");
  const createRetry = load("kafkajs/src/retry");
  const partitionMetadata = [0, 1];
  const send = createSendMessages({
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    partitioner: Partitioners.DefaultPartitioner(),
    retrier: createRetry({ initialRetryTime: 1, retries: 5 }),
    eosManager: {
      acquireBrokerLock: async () => {},
      releaseBrokerLock: async () => {},
      isTransactional: () => false,
      getSequence: () => 0,
      updateSequence: () => {},
      getProducerId: () => -1,
      getProducerEpoch: () => 0,
    },
    cluster: {
      refreshMetadataIfNecessary: async () => {},
      addMultipleTargetTopics: async () => {},
      isConnected: () => true,
      refreshMetadata: async () => void (known = { ...leaders }),
      findTopicPartitionMetadata: () =>
        partitionMetadata.map((partitionId) => ({ partitionId, leader: known[partitionId] })),
      findLeaderForPartitions: (_topic: string, partitions: string[]) =>
        Object.groupBy(partitions.map(Number), (partition) => String(known[partition])),
      findBroker: async ({ nodeId }: { nodeId: string }) => brokers[Number(nodeId)],
    },
  });
  return {
    stored,
    send: ({ topic, messages, ...rest }: Send) =>
      send({ ...rest, compression: 0, topicMessages: [{ topic, messages }] }),
  };
}

function notLeader(): Error {
  return new (KafkaJSProtocolError as unknown as new (what: object) => Error)({
    type: "NOT_LEADER_FOR_PARTITION",
    code: 6,
    retriable: true,
    message: "moved",
  });
}

/** A client whose topic has two partitions and whose sends go where the test says. */
function publisherOn(send: (what: Send) => Promise<unknown>, partitions = 2) {
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    fetchTopicMetadata: async () => ({
      topics: [
        { name: TOPIC, partitions: Array.from({ length: partitions }, () => ({ leader: 1 })) },
      ],
    }),
  };
  const producer = { connect: async () => {}, disconnect: async () => {}, send };
  const kafka = { admin: () => admin, producer: () => producer } as unknown as Kafka;
  return createPublisher(kafka, [{ topic: TOPIC, partitions }]);
}

test("kafkajs alone is content with one of two partitions, where the other moves in between", async () => {
  const { send, stored } = movingCluster();
  const messages = [
    { partition: 0, value: "A" },
    { partition: 1, value: "B" },
  ];
  await send({ topic: TOPIC, acks: -1, timeout: 1_000, messages });
  // The day this fails, kafkajs has been mended: then read publisher.ts anew.
  expect(stored).toEqual(["A"]);
});

test("a record whose partition moves in the middle of a send is stored", async () => {
  const { send, stored } = movingCluster();
  const publisher = publisherOn(send);
  await publisher.connect();
  await Promise.all([
    publisher.publish(TOPIC, 0, [{ value: "A" }]),
    publisher.publish(TOPIC, 1, [{ value: "B" }]),
  ]);
  expect(stored.sort()).toEqual(["A", "B"]);
});

const STORED = { topicName: TOPIC, partition: 1, errorCode: 0, baseOffset: "42" };

test("an answer that names the partition, no error and an offset is believed", () => {
  assertStored([STORED], TOPIC, 1);
});

test.each([
  ["nothing", []],
  ["another partition", [{ ...STORED, partition: 0 }]],
  ["another topic", [{ ...STORED, topicName: "u" }]],
  ["an error", [{ ...STORED, errorCode: 6 }]],
  ["no offset", [{ topicName: TOPIC, partition: 1, errorCode: 0 }]],
  ["an offset of -1", [{ ...STORED, baseOffset: "-1" }]],
  ["more than was sent", [STORED, { ...STORED, partition: 2 }]],
])("an answer that names %s is not", async (_, answer) => {
  expect(() => assertStored(answer, TOPIC, 1)).toThrow(UnacknowledgedError);
  const publisher = publisherOn(async () => answer);
  await publisher.connect();
  await expect(publisher.publish(TOPIC, 1, [{ value: "A" }])).rejects.toThrow(UnacknowledgedError);
});

// Apache Kafka's own test vectors of murmur2, which its clients choose among partitions by.
// https://github.com/apache/kafka/blob/4.1.1/clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java
test.each([
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
])("the key %s goes where other clients send it", async (key, hash) => {
  const publisher = publisherOn(async () => [], 6);
  await publisher.connect();
  expect(publisher.partitionOf(TOPIC, key)).toBe((hash & 0x7fffffff) % 6);
});

test("before it has connected it knows of no partition", () => {
  expect(() => publisherOn(async () => []).partitionOf(TOPIC, "k")).toThrow("not known yet");
});
