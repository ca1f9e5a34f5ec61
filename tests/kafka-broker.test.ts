// What kafkajs gets from a broker: the in-process stand-in always, a real Kafka where configured.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { Kafka, logLevel, type Admin, type Consumer, type KafkaMessage } from "kafkajs";
import { startKafkaBroker, type KafkaBroker } from "#lib/embedded/kafka/broker.ts";

interface Received {
  readonly partition: number;
  readonly offset: string;
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: Record<string, string>;
}

const externalBrokers = process.env["KAFKA_BROKERS"];
const WAIT_MS = 30_000;
const TEST_MS = 60_000;

describeBroker("in-process broker", async () => {
  const broker = await startKafkaBroker();
  // Far below Apache Kafka's least session timeout, so that the test of a dead member is quick.
  return { brokers: [broker.brokers], sessionTimeoutMs: 1_000, stop: () => broker.stop() };
});
if (externalBrokers) {
  const brokers = externalBrokers.split(",");
  describeBroker("broker of KAFKA_BROKERS", async () => {
    return { brokers, sessionTimeoutMs: 6_000, stop: () => Promise.resolve() };
  });
}

interface BrokerUnderTest {
  readonly brokers: string[];
  /** Of the member that is killed. */
  readonly sessionTimeoutMs: number;
  stop(): Promise<void>;
}

function describeBroker(name: string, start: () => Promise<BrokerUnderTest>): void {
  describe(name, () => {
    let broker: BrokerUnderTest;
    let kafka: Kafka;
    let admin: Admin;
    let topic: string;
    /** Undone in reverse order after each test, also after a failed one. */
    let cleanups: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      broker = await start();
      kafka = kafkaFor(broker.brokers);
      admin = kafka.admin();
      await admin.connect();
    }, TEST_MS);

    afterEach(async () => {
      for (const cleanup of cleanups.toReversed()) await cleanup();
      cleanups = [];
    }, TEST_MS);

    afterAll(async () => {
      await admin.disconnect();
      await broker.stop();
    }, TEST_MS);

    test(
      "creates a topic once, with the partitions asked for, and lists it until it is deleted",
      async () => {
        await createTopic(4);
        expect(await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] })).toBe(false);
        expect(await admin.listTopics()).toContain(topic);
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        expect(topics[0]?.partitions.map((one) => one.partitionId).sort()).toEqual([0, 1, 2, 3]);
        await admin.deleteTopics({ topics: [topic] });
        await until(async () => !(await admin.listTopics()).includes(topic));
      },
      TEST_MS,
    );

    test(
      "does not create a topic by mere asking where the client forbids it",
      async () => {
        const unknown = `unknown-${crypto.randomUUID()}`;
        const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 0 } });
        await producer.connect();
        cleanups.push(() => producer.disconnect());
        const sending = producer.send({ topic: unknown, messages: [{ value: "lost" }] });
        await expect(sending).rejects.toThrow("does not host this topic-partition");
        expect(await admin.listTopics()).not.toContain(unknown);
      },
      TEST_MS,
    );

    test(
      "brings keys, values and headers of several partitions to a consumer group, in order",
      async () => {
        await createTopic(3);
        await send(
          Array.from({ length: 60 }, (_, index) => ({
            key: `key-${index % 6}`,
            value: `value-${index}`,
            headers: { traceparent: `00-${index}`, ünicode: "grüße" },
          })),
        );
        const received = await receive(await startConsumer("readers"), 60);

        expect(received.map(({ value }) => value).sort()).toEqual(
          Array.from({ length: 60 }, (_, index) => `value-${index}`).sort(),
        );
        expect(new Set(received.map(({ partition }) => partition)).size).toBeGreaterThan(1);
        for (const { value, headers } of received) {
          const index = value?.replace("value-", "");
          expect(headers).toEqual({ traceparent: `00-${index}`, ünicode: "grüße" });
        }
        for (let key = 0; key < 6; key++) {
          const ofKey = received.filter((one) => one.key === `key-${key}`);
          expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
          const order = Array.from({ length: 10 }, (_, round) => `value-${key + 6 * round}`);
          expect(ofKey.map(({ value }) => value)).toEqual(order);
        }
      },
      TEST_MS,
    );

    test(
      "keeps null keys, null values and bytes that are no text",
      async () => {
        await createTopic(1);
        const bytes = Buffer.from([0, 255, 128, 10]);
        const messages: Pick<KafkaMessage, "key" | "value">[] = [];
        await send([{ key: null, value: bytes }, { key: bytes, value: null }, { value: "" }]);
        const consumer = kafka.consumer(consumerOptions("raw"));
        await consumer.connect();
        cleanups.push(() => consumer.disconnect());
        await consumer.subscribe({ topic, fromBeginning: true });
        await consumer.run({
          eachMessage: async ({ message: { key, value } }) => void messages.push({ key, value }),
        });
        await until(() => messages.length === 3);
        expect(messages).toEqual([
          { key: null, value: bytes },
          { key: bytes, value: null },
          { key: null, value: Buffer.alloc(0) },
        ]);
      },
      TEST_MS,
    );

    test(
      "wakes a waiting consumer as soon as there is a record",
      async () => {
        await createTopic(1);
        // It waits for records longer than this test may take.
        const running = await startConsumer("waiting", { maxWaitTimeInMs: 10 * TEST_MS });
        await until(() => running.fetches.started > 0);
        await send([{ value: "now" }]);
        const received = await receive(running, 1);
        expect(received[0]?.value).toBe("now");
        // kafkajs lets the fetch that waits end before it disconnects: wake it again.
        const disconnecting = running.consumer.disconnect();
        await send([{ value: "end" }]);
        await disconnecting;
      },
      TEST_MS,
    );

    test(
      "goes on behind the committed offset when a group comes back",
      async () => {
        await createTopic(1);
        await send(values("first", 10));
        const first = await startConsumer("resuming");
        await receive(first, 10);
        await first.consumer.disconnect();
        const offsets = await admin.fetchOffsets({ groupId: first.groupId, topics: [topic] });
        expect(offsets[0]?.partitions).toMatchObject([{ partition: 0, offset: "10" }]);

        await send(values("second", 5));
        const second = await startConsumer("resuming");
        const received = await receive(second, 5);
        expect(received.map(({ value }) => value)).toEqual(
          values("second", 5).map(({ value }) => value),
        );
      },
      TEST_MS,
    );

    test(
      "starts at the end, at the beginning or at a time, as the consumer wishes",
      async () => {
        await createTopic(1);
        // Of just now: a broker deletes what is older than its retention, whenever it looks.
        const baseMs = Date.now() - 60_000;
        await send([{ value: "old", timestamp: String(baseMs + 1_000) }]);
        await send([{ value: "new", timestamp: String(baseMs + 3_000) }]);
        expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ low: "0", high: "2" }]);
        const at = async (afterMs: number) =>
          (await admin.fetchTopicOffsetsByTimestamp(topic, baseMs + afterMs))[0]?.offset;
        expect(await at(500)).toBe("0");
        expect(await at(1_001)).toBe("1");
        expect(await at(3_001)).toBe("2"); // nothing is that late: kafkajs takes the end

        const groupId = `${topic}-set`;
        await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "1" }] });
        const received = await receive(await startConsumer("set"), 1);
        expect(received[0]?.value).toBe("new");
      },
      TEST_MS,
    );

    test(
      "shares the partitions when a consumer comes, and gives them back when it leaves",
      async () => {
        await createTopic(4);
        const one = await startConsumer("sharing");
        await until(() => one.partitions().length === 4);
        const two = await startConsumer("sharing");
        await until(() => one.partitions().length === 2 && two.partitions().length === 2);
        expect([...one.partitions(), ...two.partitions()].sort()).toEqual([0, 1, 2, 3]);
        const groups = await admin.describeGroups([one.groupId]);
        expect(groups.groups[0]).toMatchObject({ state: "Stable", protocolType: "consumer" });
        expect(groups.groups[0]?.members).toHaveLength(2);

        await sendToEveryPartition(4, "shared");
        await until(() => one.received.length + two.received.length === 4);
        expect(partitionsOf(one.received)).toEqual(one.partitions());
        expect(partitionsOf(two.received)).toEqual(two.partitions());

        await two.consumer.disconnect();
        await until(() => one.partitions().length === 4);
        const before = one.received.length;
        await sendToEveryPartition(4, "alone");
        await until(() => one.received.length === before + 4);
      },
      TEST_MS,
    );

    test(
      "gives a killed consumer's partitions to the others when its session times out",
      async () => {
        await createTopic(2);
        const member = Bun.spawn([process.execPath, "-e", memberProgram], {
          env: {
            ...process.env,
            MEMBER: JSON.stringify({
              brokers: broker.brokers,
              topic,
              options: { ...consumerOptions("killed"), sessionTimeout: broker.sessionTimeoutMs },
            }),
          },
          stdout: "pipe",
          stderr: "inherit",
        });
        cleanups.push(() => {
          member.kill("SIGKILL");
          return member.exited;
        });
        await firstLine(member.stdout); // it has joined
        const survivor = await startConsumer("killed");
        await until(() => survivor.partitions().length === 1);

        member.kill("SIGKILL");
        await until(() => survivor.partitions().length === 2);
        await sendToEveryPartition(2, "taken over");
        await receive(survivor, 2);
      },
      TEST_MS,
    );

    test(
      "stores a batch once though its producer lost the answer and sent it again",
      async () => {
        await createTopic(1);
        let answersToLose = 0;
        let answersLost = 0;
        const cutting = kafkaFor(broker.brokers, ({ host, port, onConnect }) => {
          const socket = connectTcp(port, host, onConnect);
          const emit = socket.emit.bind(socket);
          socket.emit = (event: string | symbol, ...values: unknown[]) => {
            if (event !== "data" || answersToLose === 0) return emit(event, ...values);
            answersToLose -= 1;
            answersLost += 1;
            socket.destroy();
            return true;
          };
          return socket;
        });
        const producer = cutting.producer({
          idempotent: true,
          maxInFlightRequests: 1,
          allowAutoTopicCreation: false,
          retry: { initialRetryTime: 20, retries: 10 },
        });
        await producer.connect();
        cleanups.push(() => producer.disconnect());
        await producer.send({ topic, messages: [{ value: "one" }] });
        answersToLose = 1;
        await producer.send({ topic, messages: [{ value: "two" }, { value: "three" }] });
        await producer.send({ topic, messages: [{ value: "four" }] });

        expect(answersLost).toBe(1);
        const received = await receive(await startConsumer("once"), 4);
        expect(received.map(({ value }) => value)).toEqual(["one", "two", "three", "four"]);
        expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ high: "4" }]);
      },
      TEST_MS,
    );

    test(
      "takes gzip batches and gives them back as they were",
      async () => {
        await createTopic(1);
        const producer = kafka.producer({ allowAutoTopicCreation: false });
        await producer.connect();
        cleanups.push(() => producer.disconnect());
        await producer.send({ topic, compression: 1, messages: values("zipped", 50) });
        const received = await receive(await startConsumer("zipped"), 50);
        expect(received.map(({ value }) => value)).toEqual(
          values("zipped", 50).map(({ value }) => value),
        );
      },
      TEST_MS,
    );

    async function createTopic(numPartitions: number): Promise<void> {
      topic = `broker-test-${crypto.randomUUID()}`;
      const created = topic;
      await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true });
      cleanups.push(async () => {
        const exists = (await admin.listTopics()).includes(created);
        if (exists) await admin.deleteTopics({ topics: [created] });
      });
    }

    async function send(
      messages: {
        key?: string | Buffer | null;
        value: string | Buffer | null;
        partition?: number;
        timestamp?: string;
        headers?: Record<string, string>;
      }[],
    ): Promise<void> {
      const producer = kafka.producer({ allowAutoTopicCreation: false });
      await producer.connect();
      try {
        await producer.send({ topic, messages });
      } finally {
        await producer.disconnect();
      }
    }

    function sendToEveryPartition(count: number, value: string): Promise<void> {
      return send(Array.from({ length: count }, (_, partition) => ({ partition, value })));
    }

    function consumerOptions(group: string) {
      return {
        groupId: `${topic}-${group}`,
        sessionTimeout: 15_000,
        rebalanceTimeout: 10_000,
        heartbeatInterval: 200,
        maxWaitTimeInMs: 100,
        allowAutoTopicCreation: false,
      };
    }

    /** Starts a consumer that reads from the beginning; it is stopped after the test. */
    async function startConsumer(group: string, changes: { maxWaitTimeInMs?: number } = {}) {
      const options = { ...consumerOptions(group), ...changes };
      const consumer = kafka.consumer(options);
      const received: Received[] = [];
      const fetches = { started: 0 };
      let assigned: number[] = [];
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        assigned = (payload.memberAssignment[topic] ?? []).toSorted();
      });
      consumer.on(consumer.events.FETCH_START, () => {
        fetches.started += 1;
      });
      await consumer.connect();
      cleanups.push(() => consumer.disconnect());
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          received.push(toReceived(partition, message));
        },
      });
      return { consumer, groupId: options.groupId, received, fetches, partitions: () => assigned };
    }
  });
}

test(
  "resumes at the oldest record that is left when the in-process broker dropped some",
  async () => {
    const broker: KafkaBroker = await startKafkaBroker({
      partitions: 1,
      retentionBytesMax: 200_000,
    });
    const kafka = kafkaFor([broker.brokers]);
    const producer = kafka.producer({ allowAutoTopicCreation: true });
    const consumer = kafka.consumer({ groupId: "late", maxWaitTimeInMs: 100 });
    const admin = kafka.admin();
    try {
      await Promise.all([producer.connect(), consumer.connect(), admin.connect()]);
      const value = "x".repeat(10_000);
      for (let index = 0; index < 100; index++) {
        await producer.send({ topic: "full", messages: [{ key: `${index}`, value }] });
      }
      const [offsets] = await admin.fetchTopicOffsets("full");
      const low = Number(offsets?.low);
      expect(offsets?.high).toBe("100");
      expect(low).toBeGreaterThan(80); // 200 kB hold less than twenty of them
      expect(low).toBeLessThan(90);
      const received: Received[] = [];
      await consumer.subscribe({ topic: "full", fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          received.push(toReceived(partition, message));
        },
      });
      // A position that fell out of the log meanwhile.
      consumer.seek({ topic: "full", partition: 0, offset: "3" });
      await until(() => received.at(-1)?.key === "99");
      expect(received[0]?.offset).toBe(`${low}`);
      expect(received.at(-1)?.key).toBe("99");
    } finally {
      await Promise.all([producer.disconnect(), consumer.disconnect(), admin.disconnect()]);
      await broker.stop();
    }
  },
  TEST_MS,
);

/** A consumer in a process of its own, so that it can be killed; says when it has joined. */
const memberProgram = `
  const { Kafka, logLevel } = require("kafkajs");
  const { brokers, topic, options } = JSON.parse(process.env.MEMBER);
  const consumer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).consumer(options);
  consumer.on(consumer.events.GROUP_JOIN, () => console.log("joined"));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({ eachMessage: async () => {} });
`;

type SocketFactory = NonNullable<ConstructorParameters<typeof Kafka>[0]["socketFactory"]>;

function kafkaFor(brokers: string[], socketFactory?: SocketFactory): Kafka {
  return new Kafka({
    clientId: "broker-test",
    brokers,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 10 },
    ...(socketFactory ? { socketFactory } : {}),
  });
}

function toReceived(partition: number, message: KafkaMessage): Received {
  const headers = Object.entries(message.headers ?? {});
  return {
    partition,
    offset: message.offset,
    key: message.key?.toString(),
    value: message.value?.toString(),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
  };
}

function partitionsOf(received: readonly Received[]): number[] {
  return received.map(({ partition }) => partition).toSorted();
}

function values(prefix: string, count: number): { value: string }[] {
  return Array.from({ length: count }, (_, index) => ({ value: `${prefix}-${index}` }));
}

async function receive(
  running: { readonly consumer: Consumer; readonly received: readonly Received[] },
  count: number,
): Promise<readonly Received[]> {
  await until(() => running.received.length >= count);
  expect(running.received).toHaveLength(count);
  return running.received;
}

/** Waits until something is true. @throws Error when it does not become true */
async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not true within ${WAIT_MS} ms: ${isTrue}`);
    await Bun.sleep(10);
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += Buffer.from(chunk).toString();
    if (text.includes("\n")) break;
  }
  return text;
}
