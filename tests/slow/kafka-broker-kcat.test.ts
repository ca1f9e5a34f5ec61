// What kcat (librdkafka) gets from the in-process broker, so that it is not only kafkajs-shaped.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Kafka, logLevel } from "kafkajs";
import { startKafkaBroker, type KafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { findKcat, runKcat, type KcatOutput } from "../support/kcat.ts";

// A developer may lack kcat; where CI lacks it, these tests fail.
const canRun = findKcat() !== null || Boolean(process.env["CI"]);
const TEST_MS = 60_000;

describe.skipIf(!canRun)("kcat", () => {
  let broker: KafkaBroker;
  let kafka: Kafka;

  beforeAll(async () => {
    broker = await startKafkaBroker();
    const { brokers } = broker;
    kafka = new Kafka({ clientId: "kcat-test", brokers: [brokers], logLevel: logLevel.NOTHING });
  });

  afterAll(() => broker.stop());

  test(
    "lists broker, topics and partitions",
    async () => {
      const topic = await createTopic("listed", 4);
      const { stdout } = await kcat("-L", "-J");
      expect(JSON.parse(stdout)).toMatchObject({
        controllerid: 1,
        brokers: [{ id: 1, name: broker.brokers }],
        topics: expect.arrayContaining([
          {
            topic,
            partitions: [0, 1, 2, 3].map((partition) => ({
              partition,
              leader: 1,
              replicas: [{ id: 1 }],
              isrs: [{ id: 1 }],
            })),
          },
        ]),
      });
    },
    TEST_MS,
  );

  test(
    "reads keys and headers that it produced itself",
    async () => {
      const topic = await createTopic("headers", 1);
      const headers = ["-H", "traceparent=00-abc-def-01", "-H", "empty="];
      await produce("key-1:first\nkey-2:second\n", "-t", topic, "-K", ":", ...headers);
      const { lines } = await consume(topic, "-f", "%k|%s|%h|%o\\n");
      expect(lines).toEqual([
        "key-1|first|traceparent=00-abc-def-01,empty=|0",
        "key-2|second|traceparent=00-abc-def-01,empty=|1",
      ]);
    },
    TEST_MS,
  );

  test(
    "and kafkajs read each other's records",
    async () => {
      const topic = await createTopic("exchanged", 1);
      const producer = kafka.producer({ allowAutoTopicCreation: false });
      const consumer = kafka.consumer({ groupId: "exchange", maxWaitTimeInMs: 100 });
      const received: string[] = [];
      try {
        await Promise.all([producer.connect(), consumer.connect()]);
        const message = { key: "k", value: "from kafkajs", headers: { a: "1" } };
        await producer.send({ topic, messages: [message] });
        const { lines } = await consume(topic, "-f", "%k|%s|%h\\n");
        expect(lines).toEqual(["k|from kafkajs|a=1"]);

        await produce("k:from kcat\n", "-t", topic, "-K", ":", "-H", "b=2");
        await consumer.subscribe({ topic, fromBeginning: true });
        const both = new Promise<void>((resolve) => {
          void consumer.run({
            eachMessage: async ({ message: { key, value, headers } }) => {
              const names = Object.entries(headers ?? {}).map(([name, text]) => `${name}=${text}`);
              received.push(`${key}|${value}|${names.join()}`);
              if (received.length === 2) resolve();
            },
          });
        });
        await both;
        expect(received).toEqual(["k|from kafkajs|a=1", "k|from kcat|b=2"]);
      } finally {
        await Promise.all([producer.disconnect(), consumer.disconnect()]);
      }
    },
    TEST_MS,
  );

  test.each(["gzip", "snappy", "lz4", "zstd"])(
    "gets %s batches back as they were",
    async (codec) => {
      const topic = await createTopic(codec, 1);
      const sent = Array.from({ length: 200 }, (_, index) => `${codec} ${index} ${"x".repeat(99)}`);
      await produce(`${sent.join("\n")}\n`, "-t", topic, "-z", codec);
      expect((await consume(topic)).lines).toEqual(sent);
    },
    TEST_MS,
  );

  test(
    "produces idempotently",
    async () => {
      const topic = await createTopic("idempotent", 1);
      const sent = Array.from({ length: 1_000 }, (_, index) => `record ${index}`);
      const settings = ["-X", "enable.idempotence=true", "-X", "batch.num.messages=10"];
      await produce(`${sent.join("\n")}\n`, "-t", topic, ...settings);
      expect((await consume(topic)).lines).toEqual(sent);
    },
    TEST_MS,
  );

  test(
    "creates a topic by asking for it only where its settings allow that",
    async () => {
      await produce("value\n", "-t", "made-by-kcat");
      expect((await kcat("-L", "-J", "-t", "made-by-kcat")).stdout).toContain('"partition":2');
      // kcat as a consumer does not allow it.
      await expect(consume("not-made-by-kcat")).rejects.toThrow("Unknown topic or partition");
    },
    TEST_MS,
  );

  test(
    "finds the offset for a time, the start and the end",
    async () => {
      const topic = await createTopic("times", 1);
      const producer = kafka.producer({ allowAutoTopicCreation: false });
      await producer.connect();
      try {
        for (const timestamp of ["1000", "2000", "3000"]) {
          await producer.send({ topic, messages: [{ value: timestamp, timestamp }] });
        }
      } finally {
        await producer.disconnect();
      }
      const offsetAt = async (time: number) =>
        (await kcat("-Q", "-t", `${topic}:0:${time}`)).stdout.trim();
      expect(await offsetAt(-2)).toBe(`${topic} [0] offset 0`);
      expect(await offsetAt(-1)).toBe(`${topic} [0] offset 3`);
      expect(await offsetAt(1_500)).toBe(`${topic} [0] offset 1`);
      expect((await consume(topic, "-o", "s@1500")).lines).toEqual(["2000", "3000"]);
      expect((await consume(topic, "-o", "-1")).lines).toEqual(["3000"]);
    },
    TEST_MS,
  );

  test(
    "reads as a member of a group, which goes on where it stopped",
    async () => {
      const topic = await createTopic("grouped", 3);
      const readGroup = async (count: number) => {
        const settings = ["-X", "auto.offset.reset=earliest", "-c", `${count}`, "-q"];
        return (await kcat("-G", "kcat-group", ...settings, topic)).lines.toSorted();
      };
      await produce("a\nb\nc\n", "-t", topic, "-p", "-1");
      expect(await readGroup(3)).toEqual(["a", "b", "c"]);
      await produce("d\ne\n", "-t", topic, "-p", "-1");
      expect(await readGroup(2)).toEqual(["d", "e"]);
    },
    TEST_MS,
  );

  test(
    "shares a topic's partitions between two members of a group",
    async () => {
      const topic = await createTopic("shared", 2);
      const member = () =>
        kcat("-G", "kcat-shared", "-X", "auto.offset.reset=earliest", "-c", "1", "-q", topic);
      const members = Promise.all([member(), member()]);
      await untilStable("kcat-shared", 2);
      // Each ends with its first record, so each must have been given one of the partitions.
      await produce("zero\n", "-t", topic, "-p", "0");
      await produce("one\n", "-t", topic, "-p", "1");
      const lines = (await members).flatMap((output) => output.lines);
      expect(lines.toSorted()).toEqual(["one", "zero"]);
    },
    TEST_MS,
  );

  function kcat(...parameters: string[]): Promise<KcatOutput> {
    return runKcat(broker.brokers, parameters);
  }

  function produce(input: string, ...parameters: string[]): Promise<KcatOutput> {
    return runKcat(broker.brokers, ["-P", ...parameters], input);
  }

  /** Reads a topic from its beginning to its end. */
  function consume(topic: string, ...parameters: string[]): Promise<KcatOutput> {
    return kcat("-C", "-t", topic, "-e", "-q", ...parameters);
  }

  /** Waits until a group has so many members and all know their partitions. */
  async function untilStable(groupId: string, members: number): Promise<void> {
    const admin = kafka.admin();
    await admin.connect();
    try {
      const deadline = Date.now() + TEST_MS / 2;
      for (;;) {
        const group = (await admin.describeGroups([groupId])).groups[0];
        if (group?.state === "Stable" && group.members.length === members) return;
        if (Date.now() > deadline) throw new Error(`group ${groupId} is ${JSON.stringify(group)}`);
        await Bun.sleep(20);
      }
    } finally {
      await admin.disconnect();
    }
  }

  async function createTopic(name: string, numPartitions: number): Promise<string> {
    const admin = kafka.admin();
    await admin.connect();
    try {
      const topic = `kcat-${name}`;
      await admin.createTopics({ topics: [{ topic, numPartitions }] });
      return topic;
    } finally {
      await admin.disconnect();
    }
  }
});
