// The consumer loop against a broker: the embedded one, or KAFKA_BROKERS where that is set.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ConfigResourceTypes, type IHeaders, type KafkaMessage, type Producer } from "kafkajs";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import { startConsumer, type Consumer, type ConsumerOptions } from "#lib/kafka/consumer.ts";
import { listDeadLetters, replayDeadLetters } from "#lib/kafka/dead-letters.ts";
import { UnprocessableRecordError } from "#lib/kafka/errors.ts";
import { readTopic } from "#lib/kafka/topic-reader.ts";
import { ensureTopics } from "#lib/kafka/topics.ts";
import { startApacheKafka } from "./support/apache-kafka.ts";
import { findKcat, runKcat } from "./support/kcat.ts";

const load = createRequire(import.meta.url);

class UnavailableError extends Error {
  readonly retryable = true;
}

// A developer may lack kcat; where CI lacks it, its tests fail.
const canRunKcat = findKcat() !== null || Boolean(process.env["CI"]);

const WAIT_MS = 30_000;
const STOP_WITHIN_MS = 8_000;

let brokers: string[] = [];
let endBroker = () => Promise.resolve();
let producer: Producer;
/** What the running test started, to be ended also when it fails. */
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const given = process.env["KAFKA_BROKERS"];
  if (given === undefined) {
    const embedded = await startKafkaBroker();
    brokers = embedded.brokers.split(",");
    endBroker = () => embedded.stop();
  } else {
    brokers = given.split(",");
  }
  producer = createKafka({ connection: { brokers }, clientId: "test-producer" }).producer({
    allowAutoTopicCreation: false,
    // The key says the partition, so that tests choose where a record goes.
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition ?? Number(String(message.key).split("-")[0]),
  });
  await producer.connect();
});

afterAll(async () => {
  await producer?.disconnect();
  await endBroker();
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
}, 60_000);

/** Names that no other test or run uses. */
function freshNames(): { topic: string; deadLetterTopic: string; groupId: string } {
  const topic = `test.${crypto.randomUUID()}`;
  return { topic, deadLetterTopic: `${topic}.dlq`, groupId: `group-${topic}` };
}

type Names = ReturnType<typeof freshNames>;

/** Starts a consumer with a client of its own and short times. */
function consume(
  names: Names,
  handle: ConsumerOptions["handle"],
  changes: Partial<ConsumerOptions> = {},
): Consumer {
  const consumer = startConsumer({
    kafka: createKafka({ connection: { brokers }, clientId: "test-consumer" }),
    ...names,
    partitions: 1,
    concurrency: 4,
    retryLimitMs: 60_000,
    backoff: { initialMs: 5, maxMs: 50 },
    commitIntervalMs: 20,
    sessionTimeoutMs: 6_000,
    handle,
    ...changes,
  });
  cleanUps.push(() => consumer.stop(STOP_WITHIN_MS));
  return consumer;
}

async function createTopics(names: Names, partitions = 1): Promise<void> {
  await ensureTopics(createKafka({ connection: { brokers }, clientId: "test" }), [
    { topic: names.topic, partitions },
    { topic: names.deadLetterTopic, partitions },
  ]);
}

/** Writes records with keys `partition-number`. */
async function produce(names: Names, keys: readonly string[]): Promise<void> {
  await producer.send({
    topic: names.topic,
    messages: keys.map((key) => ({ key, value: `value of ${key}` })),
  });
}

type BrokerMethod = (request: never) => Promise<unknown>;

/** Has every broker's method of kafkajs go through another one, for as long as the test runs. */
function wrapBroker<Method extends BrokerMethod>(name: string, wrap: (method: Method) => Method) {
  const { prototype }: { prototype: Record<string, Method> } = load("kafkajs/src/broker/index.js");
  const method = prototype[name];
  if (method === undefined) throw new Error(`kafkajs's broker has no ${name}`);
  prototype[name] = function (this: unknown, request: never) {
    return wrap(method.bind(this) as Method)(request);
  } as Method;
  cleanUps.push(() => Promise.resolve(void (prototype[name] = method)));
}

/** Holds back the records that the broker hands to consumers of one of the topic's partitions. */
function holdFetched(topic: string): { readonly held: number; release(): void } {
  type Fetch = (request: {
    topics: { topic: string; partitions: unknown[] }[];
  }) => Promise<unknown>;
  const released = Promise.withResolvers<void>();
  let held = 0;
  wrapBroker<Fetch>("fetch", (fetch) => async (request) => {
    const fetched = await fetch(request);
    const [asked] = request.topics;
    if (asked?.topic === topic && asked.partitions.length === 1) {
      held += 1;
      await released.promise;
    }
    return fetched;
  });
  return {
    get held() {
      return held;
    },
    release: released.resolve,
  };
}

/** Holds back the group's leader, who has joined anew, before it says who gets what; counts refused commits. */
function holdLeader() {
  const released = Promise.withResolvers<void>();
  const seen = { isHeld: false, refusedCommits: 0, release: released.resolve };
  type Join = (request: object) => Promise<{ leaderId: string; memberId: string }>;
  wrapBroker<Join>("joinGroup", (join) => async (request) => {
    const joined = await join(request);
    if (joined.leaderId === joined.memberId) {
      seen.isHeld = true;
      await released.promise;
    }
    return joined;
  });
  wrapBroker<BrokerMethod>("offsetCommit", (commit) => async (request) => {
    try {
      return await commit(request);
    } catch (error) {
      seen.refusedCommits += 1;
      throw error;
    }
  });
  return seen;
}

function keysOf(partition: number, from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `${partition}-${from + i}`);
}

function places(offsets: string[]) {
  return offsets.map((offset) => ({ partition: 0, offset }));
}

/** Waits until something holds; the description is what the failure says. */
async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain until ${what}`);
    await Bun.sleep(10);
  }
}

async function committedOffset(names: Names, partition = 0): Promise<string | undefined> {
  const client = createKafka({ connection: { brokers }, clientId: "test" });
  return await withAdmin(client, async (admin) => {
    const [topic] = await admin.fetchOffsets({ groupId: names.groupId, topics: [names.topic] });
    return topic?.partitions.find((one) => one.partition === partition)?.offset;
  });
}

/** Of partitions 0 and 1. */
async function committedOffsets(names: Names): Promise<(string | undefined)[]> {
  return await Promise.all([0, 1].map((partition) => committedOffset(names, partition)));
}

/** A handler of records some of which need what is down, and how often each record was handled. */
function downDependency(isNeededFor: (key: string) => boolean) {
  const handled = new Map<string, number>();
  const handle: ConsumerOptions["handle"] = async ({ key }, context) => {
    while (isNeededFor(String(key)) && dependency.isDown) {
      dependency.failing += 1;
      await context.retry(new UnavailableError("503"));
    }
    handled.set(String(key), (handled.get(String(key)) ?? 0) + 1);
  };
  const dependency = { isDown: true, failing: 0, handled, handle };
  return dependency;
}

/** Writes ten records a partition every 10 ms until stopped. */
function produceAllTheTime(names: Names, partitions: number): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const producing = (async () => {
    for (let i = 0; !stopping.signal.aborted; i += 10) {
      const keys = Array.from({ length: partitions }, (_, p) => keysOf(p, i, i + 10));
      await produce(names, keys.flat());
      await Bun.sleep(10);
    }
  })();
  const stop = () => {
    stopping.abort();
    return producing;
  };
  cleanUps.push(stop);
  return { stop };
}

async function partitionEnds(topic: string) {
  const client = createKafka({ connection: { brokers }, clientId: "test" });
  return await withAdmin(client, (admin) => admin.fetchTopicOffsets(topic));
}

/** Every record's place, as `partition:offset`. */
async function offsetsOf(topic: string): Promise<string[]> {
  return (await partitionEnds(topic)).flatMap(({ partition, low, high }) =>
    Array.from({ length: Number(high) - Number(low) }, (_, i) => `${partition}:${Number(low) + i}`),
  );
}

/** All records of a topic. */
async function read(topic: string): Promise<KafkaMessage[]> {
  const kafka = createKafka({ connection: { brokers }, clientId: "test" });
  const offsets = await partitionEnds(topic);
  const read: KafkaMessage[] = [];
  await readTopic({
    kafka,
    topic,
    groupId: `read-${crypto.randomUUID()}`,
    ranges: offsets.map(({ partition, low, high }) => ({
      partition,
      from: BigInt(low),
      to: BigInt(high),
    })),
    onRecords: (_, records) => Promise.resolve(void read.push(...records)),
  });
  return read;
}

function headerTexts(headers: IHeaders | undefined): Record<string, string | string[] | undefined> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(String) : value?.toString(),
    ]),
  );
}

/** Makes dead letters of `count` records in one partition. */
async function makeDeadLetters(names: Names, count: number): Promise<void> {
  await createTopics(names);
  const consumer = consume(names, () => Promise.reject(new UnprocessableRecordError("no JSON")));
  await producer.send({
    topic: names.topic,
    messages: keysOf(0, 0, count).map((key) => ({
      key,
      value: `value of ${key}`,
      headers: { traceparent: `trace of ${key}` },
    })),
  });
  await eventually("all are buried", async () => (await committedOffset(names)) === String(count));
  await consumer.stop(STOP_WITHIN_MS);
}

/** Runs the command. */
async function run(args: string[], kafkaBrokers = brokers.join(",")) {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "../scripts/dead-letters.ts"), ...args],
    {
      env: { ...process.env, KAFKA_BROKERS: kafkaBrokers, OTEL_SDK_DISABLED: "true" },
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  cleanUps.push(() => {
    child.kill();
    return child.exited;
  });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, out, error };
}

describe("consumer", () => {
  test("a slow record holds up no other of its partition, and no offset is committed beyond it", async () => {
    const names = freshNames();
    await createTopics(names);
    const handled = new Set<string>();
    const slow = Promise.withResolvers<void>();
    consume(names, async ({ key }) => {
      if (String(key) === "0-3") await slow.promise;
      handled.add(String(key));
    });
    await produce(names, keysOf(0, 0, 50));

    await eventually("all but the slow one are handled", () => handled.size === 49);
    await eventually("the offset is committed", async () => (await committedOffset(names)) === "3");
    slow.resolve();
    await eventually("the rest is committed", async () => (await committedOffset(names)) === "50");
    expect(handled.size).toBe(50);
  }, 60_000);

  test("topics that nobody has made are made, and records from before the first start are handled", async () => {
    const names = freshNames();
    const handled: string[] = [];
    const consumer = consume(names, ({ key }) => Promise.resolve(void handled.push(String(key))), {
      partitions: 3,
    });
    await eventually("it has joined", () => consumer.problem === undefined);
    await consumer.stop(STOP_WITHIN_MS);
    await produce(names, ["0-1", "1-1", "2-1"]);
    consume({ ...names, groupId: `${names.groupId}-late` }, ({ key }) =>
      Promise.resolve(void handled.push(String(key))),
    );
    await eventually("all are handled", () => handled.length === 3);
    expect(handled.sort()).toEqual(["0-1", "1-1", "2-1"]);
  }, 60_000);

  test("it starts without a broker, says so, and consumes once there is one", async () => {
    const names = freshNames();
    const unused = await startKafkaBroker();
    await unused.stop();
    const connection = { brokers: unused.brokers.split(",") };
    const late = { connection, clientId: "test" };
    const handled = Promise.withResolvers<string>();
    const consumer = consume(names, ({ key }) => Promise.resolve(handled.resolve(String(key))), {
      kafka: createKafka(late),
    });
    await eventually("it has tried", () => consumer.problem?.includes("ECONNREFUSED") ?? false);

    const broker = await startKafkaBroker({ port: unused.port });
    cleanUps.unshift(() => broker.stop()); // after the consumer
    await eventually("it has joined", () => consumer.problem === undefined);
    const lateProducer = createKafka(late).producer();
    await lateProducer.connect();
    await lateProducer.send({ topic: names.topic, messages: [{ key: "0-a", value: "a" }] });
    await lateProducer.disconnect();
    expect(await handled.promise).toBe("0-a");
  }, 60_000);

  // librdkafka packs with Snappy and LZ4 for a broker with old requests too, so for Apache Kafka; it
  // sends the embedded one such records unpacked.
  test.skipIf(!canRunKcat).each(["gzip", "snappy", "lz4", "zstd"])(
    "records in %s batches of another producer are handled",
    async (codec) => {
      const names = freshNames();
      await createTopics(names);
      const handled: string[] = [];
      consume(names, ({ value }) => Promise.resolve(void handled.push(String(value))));
      const values = Array.from({ length: 200 }, (_, n) => `value ${n} ${"x".repeat(99)}`);
      const produced = ["-P", "-t", names.topic, "-z", codec];
      await runKcat(brokers.join(","), produced, `${values.join("\n")}\n`);
      await eventually("all are handled", () => handled.length === values.length);
      expect(handled.sort()).toEqual(values.sort());
    },
    60_000,
  );

  test("a record that cannot be parsed becomes a dead letter at once, unchanged, and the others go on", async () => {
    const names = freshNames();
    await createTopics(names);
    const handled: string[] = [];
    consume(names, ({ key }) => {
      if (String(key) === "0-poison") throw new UnprocessableRecordError("no JSON");
      return Promise.resolve(void handled.push(String(key)));
    });
    const value = Buffer.from([0x00, 0xff, 0xfe, 0x7b, 0xc3, 0x28]);
    await producer.send({
      topic: names.topic,
      messages: [
        { key: "0-a", value: "a" },
        {
          key: "0-poison",
          value,
          headers: { traceparent: "00-…-01", repeated: ["first", "second"], empty: "" },
        },
        { key: "0-b", value: "b" },
      ],
    });

    await eventually("all are done", async () => (await committedOffset(names)) === "3");
    expect(handled.sort()).toEqual(["0-a", "0-b"]);
    const letters = await read(names.deadLetterTopic);
    expect(letters).toHaveLength(1);
    expect(String(letters[0]?.key)).toBe("0-poison");
    expect(letters[0]?.value?.equals(value)).toBeTrue();
    expect(headerTexts(letters[0]?.headers)).toEqual({
      traceparent: "00-…-01",
      repeated: ["first", "second"],
      empty: "",
      "dlq-error": "UnprocessableRecordError: no JSON",
      "dlq-topic": names.topic,
      "dlq-partition": "0",
      "dlq-offset": "1",
      "dlq-attempts": "1",
    });
  }, 60_000);

  test("a record as large as its topic allows can become a dead letter, unchanged", async () => {
    const names = freshNames();
    await createTopics(names); // the dead-letter topic by someone else, so with no room for headers
    consume(names, () => Promise.reject(new UnprocessableRecordError("no JSON")));
    const value = "x".repeat(1_048_588 - 110);
    await producer.send({ topic: names.topic, messages: [{ key: "0-large", value }] });
    await eventually("it is done", async () => (await committedOffset(names)) === "1");
    const [letter] = await read(names.deadLetterTopic);
    expect(String(letter?.key)).toBe("0-large");
    expect(letter?.value?.equals(Buffer.from(value))).toBeTrue();
    expect(headerTexts(letter?.headers)).toMatchObject({ "dlq-topic": names.topic });
  }, 60_000);

  test("a record with neither key nor value can become a dead letter too", async () => {
    const names = freshNames();
    await createTopics(names);
    consume(names, () => Promise.reject(new UnprocessableRecordError("empty")));
    await producer.send({
      topic: names.topic,
      messages: [{ key: null, value: null, partition: 0 }],
    });
    await eventually("it is done", async () => (await committedOffset(names)) === "1");
    const [letter] = await read(names.deadLetterTopic);
    expect([letter?.key, letter?.value]).toEqual([null, null]);
  }, 60_000);

  test("what keeps failing is tried until the limit, without holding up others, then becomes a dead letter", async () => {
    const names = freshNames();
    await createTopics(names);
    const handled: string[] = [];
    let tries = 0;
    consume(
      names,
      async ({ key }, context) => {
        while (String(key) === "0-bad") {
          tries += 1;
          await context.retry(new UnavailableError("503 from inventory"));
        }
        handled.push(String(key));
      },
      { concurrency: 1, retryLimitMs: 400 },
    );
    await produce(names, ["0-bad", ...keysOf(0, 0, 20)]);

    await eventually("all are done", async () => (await committedOffset(names)) === "21");
    expect(handled).toHaveLength(20);
    const letters = await read(names.deadLetterTopic);
    expect(letters.map(({ key }) => String(key))).toEqual(["0-bad"]);
    expect(tries).toBeGreaterThan(2);
    expect(headerTexts(letters[0]?.headers)).toMatchObject({
      "dlq-attempts": String(tries),
      "dlq-error": "UnavailableError: 503 from inventory",
    });
  }, 60_000);

  test("while a dependency is down it pauses, and afterwards handles all without a dead letter", async () => {
    const names = freshNames();
    await createTopics(names);
    const dependency = { isDown: true };
    let probes = 0;
    let started = 0;
    const handled = new Set<string>();
    consume(
      names,
      async ({ key }, context) => {
        started += 1;
        while (dependency.isDown) await context.retry(new UnavailableError("connection refused"));
        handled.add(String(key));
      },
      {
        concurrency: 2,
        retryLimitMs: 1, // any time that counted would make dead letters
        probeIntervalMs: 50,
        isDown: () => {
          probes += 1;
          return Promise.resolve(dependency.isDown);
        },
      },
    );
    await produce(names, keysOf(0, 0, 30));

    await eventually("the outage is noticed", () => probes > 2);
    const startedBefore = started;
    await produce(names, keysOf(0, 30, 40));
    const probesBefore = probes;
    await eventually("it still asks", () => probes > probesBefore + 5);
    expect(started).toBe(startedBefore);
    expect(handled.size).toBe(0);
    dependency.isDown = false;
    await eventually("all are handled", () => handled.size === 40);
    expect(await read(names.deadLetterTopic)).toEqual([]);
  }, 60_000);

  test.each([
    ["records", { inHandMax: 10 }],
    ["bytes", { inHandBytesMax: 150 }], // ten records of 15 or 16 bytes, key and value
  ])(
    "no more %s are in hand than allowed, and the others follow",
    async (_, bound) => {
      const names = freshNames();
      await createTopics(names);
      const gate = Promise.withResolvers<void>();
      let handled = 0;
      const consumer = consume(
        names,
        async () => {
          await gate.promise;
          handled += 1;
        },
        bound,
      );
      await produce(names, keysOf(0, 0, 100));
      await eventually("it is full", () => consumer.inHand === 10);
      await produce(names, keysOf(0, 100, 110));
      expect(consumer.inHand).toBe(10);
      gate.resolve();
      await eventually("all are handled", () => handled === 110);
    },
    60_000,
  );

  test("two thousand failing records hold up no other", async () => {
    const names = freshNames();
    await createTopics(names);
    const good = Promise.withResolvers<void>();
    consume(
      names,
      async ({ key }, context) => {
        if (String(key) === "0-good") good.resolve();
        else await context.retry(new UnavailableError("503 from email"));
      },
      { backoff: { initialMs: 3_600_000, maxMs: 3_600_000 }, retryLimitMs: 3_600_000 },
    );
    await produce(names, [...keysOf(0, 0, 2_000), "0-good"]);
    await good.promise;
  }, 60_000);

  test("stopping lets active work finish, gives waiting records back, and loses none", async () => {
    const names = freshNames();
    await createTopics(names);
    const finished: string[] = [];
    const started: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = consume(
      names,
      async ({ key }, context) => {
        started.push(String(key));
        if (String(key) === "0-1") await context.retry(new UnavailableError("503"));
        await gate.promise;
        finished.push(String(key));
      },
      {
        concurrency: 3,
        backoff: { initialMs: 3_600_000, maxMs: 3_600_000 },
        retryLimitMs: 3_600_000,
      },
    );
    await produce(names, keysOf(0, 0, 20));
    await eventually("three are at work and one waits", () => started.length === 4);
    const stopped = first.stop(STOP_WITHIN_MS);
    gate.resolve();
    await stopped;
    expect(finished.sort()).toEqual(["0-0", "0-2", "0-3"]);
    expect(await committedOffset(names)).toBe("1");

    const second = consume(names, ({ key }) => Promise.resolve(void finished.push(String(key))));
    await eventually("the rest is handled", async () => (await committedOffset(names)) === "20");
    expect(new Set(finished)).toEqual(new Set(keysOf(0, 0, 20)));
    // What was finished behind the record that was given back cannot be committed, so it is repeated.
    expect(finished).toHaveLength(22);
    await second.stop(STOP_WITHIN_MS);
  }, 60_000);

  test("stopping keeps to its time although a handler hangs, and the record is delivered again", async () => {
    const names = freshNames();
    await createTopics(names);
    const started = Promise.withResolvers<AbortSignal>();
    const first = consume(names, async (_, { signal }) => {
      started.resolve(signal);
      await new Promise(() => {});
    });
    await produce(names, ["0-hangs"]);
    const signal = await started.promise;
    await first.stop(1_500);
    expect(signal.aborted).toBeTrue();
    const again = Promise.withResolvers<string>();
    consume(names, ({ key }) => Promise.resolve(again.resolve(String(key))));
    expect(await again.promise).toBe("0-hangs");
  }, 60_000);

  test("when consumers come and go under load, no record is lost or handled twice", async () => {
    const names = freshNames();
    await createTopics(names, 4);
    const handled = new Map<string, number>(); // by offset: a producer may write a record twice
    const handle: ConsumerOptions["handle"] = async ({ partition, offset }) => {
      await Bun.sleep(1 + Math.random() * 8);
      const place = `${partition}:${offset}`;
      handled.set(place, (handled.get(place) ?? 0) + 1);
    };
    const load = produceAllTheTime(names, 4);
    const joined = (consumer: Consumer) =>
      eventually("it has joined", () => consumer.problem === undefined);
    const progress = async () => {
      const before = handled.size;
      await eventually("there is progress", () => handled.size > before + 200);
    };

    const first = consume(names, handle, { concurrency: 8 });
    await joined(first);
    await progress();
    const others = [consume(names, handle), consume(names, handle)];
    await Promise.all(others.map(joined));
    await progress();
    for (const other of others) {
      await other.stop(STOP_WITHIN_MS);
      await progress();
    }
    await load.stop();
    const written = await offsetsOf(names.topic);
    await eventually("all are handled", () => handled.size === written.length);
    expect(new Set(handled.keys())).toEqual(new Set(written));
    expect([...handled].filter(([, times]) => times > 1)).toEqual([]);
  }, 120_000);

  test("records that wait for another try stay with a consumer that keeps their partition", async () => {
    const names = freshNames();
    await createTopics(names, 2);
    const dependency = downDependency((key) => key.endsWith("-0"));
    const { handled, handle } = dependency;
    await produce(names, [...keysOf(0, 0, 20), ...keysOf(1, 0, 20)]);
    const first = consume(names, handle);
    await eventually("all but two are handled", () => handled.size === 38);
    const second = consume(names, handle);
    await eventually("both have joined", () => second.problem === undefined);
    await eventually("the first is back", () => first.problem === undefined);
    const failingBefore = dependency.failing;
    await eventually("both still try", () => dependency.failing > failingBefore + 4);
    dependency.isDown = false;
    await eventually("all is committed", async () =>
      (await committedOffsets(names)).every((at) => at === "20"),
    );
    // One partition stayed: nothing of it twice. The other moved with 19 finished but not committable.
    const repeated = [...handled].filter(([, times]) => times > 1).map(([key]) => key.charAt(0));
    expect(new Set(repeated).size).toBe(1);
    expect(repeated).toHaveLength(19);
    expect(handled.size).toBe(40);
  }, 60_000);

  test("what is committed after a rebalance, while the records are on their way once more, is not handled again", async () => {
    const names = freshNames();
    await createTopics(names, 2);
    const dependency = downDependency(() => true);
    const { handled, handle } = dependency;
    await produce(names, [...keysOf(0, 0, 20), ...keysOf(1, 0, 20)]);
    const first = consume(names, handle);
    await eventually("all fail", () => dependency.failing >= 40);

    const fetches = holdFetched(names.topic);
    const second = consume(names, handle);
    await eventually("both have joined", () => second.problem === undefined);
    await eventually("both have asked for the records of one partition", () => fetches.held >= 2);
    dependency.isDown = false; // what the first has kept is finished now, and committed
    await eventually("a partition is committed", async () =>
      (await committedOffsets(names)).includes("20"),
    );
    fetches.release();
    await produce(names, ["0-after", "1-after"]);
    await eventually("all are handled", () => handled.size === 42);
    expect(first.problem).toBeUndefined();
    expect([...handled].filter(([, times]) => times > 1)).toEqual([]);
  }, 60_000);

  test("what finishes while the group is joined anew does not set back who has the partition next", async () => {
    const names = freshNames();
    await createTopics(names, 2);
    const hanging = Promise.withResolvers<void>();
    let hangs = 0;
    const handle: ConsumerOptions["handle"] = async ({ key }) => {
      if (!String(key).endsWith("-0") || hangs === 2) return;
      hangs += 1;
      await hanging.promise;
    };
    await produce(names, [...keysOf(0, 0, 20), ...keysOf(1, 0, 20)]);
    consume(names, handle);
    await eventually("both first records hang", () => hangs === 2);

    const joining = holdLeader();
    const second = consume(names, handle);
    await eventually(
      "the first has joined anew, and knows not yet what it gets",
      () => joining.isHeld,
    );
    hanging.resolve();
    await Bun.sleep(100); // five times as long as a finished record waits for its commit
    joining.release();
    await eventually("all is committed", async () =>
      (await committedOffsets(names)).every((at) => at === "20"),
    );
    expect(second.problem).toBeUndefined();
    expect(joining.refusedCommits).toBe(0);
  }, 60_000);

  test("a handler that hangs does not keep another consumer from taking over its partition", async () => {
    const names = freshNames();
    await createTopics(names, 2);
    const hanging = new Map<number, AbortSignal>();
    consume(names, async ({ partition }, { signal }) => {
      hanging.set(partition, signal);
      await new Promise(() => {});
    });
    await produce(names, ["0-hangs", "1-hangs"]);
    await eventually("both hang", () => hanging.size === 2);
    const taken: number[] = [];
    consume(names, ({ partition }) => Promise.resolve(void taken.push(partition)));
    await eventually("one is taken over", () => taken.length > 0);
    // The one that moved was given back; the other stays where it is.
    const [moved = -1] = taken;
    expect(hanging.get(moved)?.aborted).toBeTrue();
    expect(hanging.get(1 - moved)?.aborted).toBeFalse();
    await eventually("it is committed", async () => (await committedOffset(names, moved)) === "1");
    expect(taken).toEqual([moved]);
  }, 60_000);
});

describe("dead letters", () => {
  test("are listed, the latest ones, with their reason and origin", async () => {
    const names = freshNames();
    await makeDeadLetters(names, 5);
    const kafka = createKafka({ connection: { brokers }, clientId: "test" });
    const letters = await listDeadLetters(kafka, names.deadLetterTopic, 3);
    expect(letters.map(({ offset }) => offset)).toEqual(["2", "3", "4"]);
    expect(letters.every(({ isReplayed }) => !isReplayed)).toBeTrue();
    expect(letters[0]).toMatchObject({
      error: "UnprocessableRecordError: no JSON",
      originalTopic: names.topic,
      originalPartition: "0",
      attempts: "1",
    });
  }, 60_000);

  test("are replayed once, as they were, picked ones and then the rest", async () => {
    const names = freshNames();
    await makeDeadLetters(names, 5);
    const kafka = createKafka({ connection: { brokers }, clientId: "test" });

    const picked = await replayDeadLetters(kafka, names.deadLetterTopic, places(["3", "99"]));
    expect(picked.replayed).toEqual(places(["3"]));
    expect(picked.skipped.map(({ offset }) => offset)).toEqual(["99"]);
    const again = await replayDeadLetters(kafka, names.deadLetterTopic, places(["3"]));
    expect(again.replayed).toEqual([]);
    expect(again.skipped).toHaveLength(1);

    const rest = await replayDeadLetters(kafka, names.deadLetterTopic, "all");
    expect(rest.replayed).toEqual(places(["0", "1", "2", "4"]));
    const nothing = await replayDeadLetters(kafka, names.deadLetterTopic, "all");
    expect(nothing).toEqual({ replayed: [], skipped: [] });
    const listed = await listDeadLetters(kafka, names.deadLetterTopic, 10);
    expect(listed.every(({ isReplayed }) => isReplayed)).toBeTrue();

    const records = (await read(names.topic)).slice(5);
    const replayed = new Map(records.map((record) => [String(record.key), record]));
    expect(records).toHaveLength(5);
    expect([...replayed.keys()].sort()).toEqual(keysOf(0, 0, 5));
    for (const [key, { value, headers }] of replayed) {
      expect(String(value)).toBe(`value of ${key}`);
      expect(headerTexts(headers)).toEqual({ traceparent: `trace of ${key}` });
    }
  }, 60_000);

  test("of a record that was one before keep what it said then, and are listed with what it says now", async () => {
    const names = freshNames();
    await createTopics(names);
    const consumer = consume(names, () => Promise.reject(new UnprocessableRecordError("now")));
    const headers = { "dlq-error": "then", "dlq-topic": "elsewhere" };
    await producer.send({
      topic: names.topic,
      messages: [{ key: "0-0", value: "copied by hand", headers }],
    });
    await eventually("it is buried", async () => (await committedOffset(names)) === "1");
    await consumer.stop(STOP_WITHIN_MS);
    const kafka = createKafka({ connection: { brokers }, clientId: "test" });
    const [letter] = await listDeadLetters(kafka, names.deadLetterTopic, 1);
    expect(letter).toMatchObject({
      error: "UnprocessableRecordError: now",
      originalTopic: names.topic,
    });
    expect((await replayDeadLetters(kafka, names.deadLetterTopic, "all")).replayed).toHaveLength(1);
    const replayed = (await read(names.topic))[1];
    expect(headerTexts(replayed?.headers)).toEqual(headers);
  }, 60_000);

  test("the command lists, replays, and says in one line what is wrong", async () => {
    const names = freshNames();
    await makeDeadLetters(names, 2);
    const topic = ["--topic", names.deadLetterTopic];

    const list = await run(["list", "--json", ...topic]);
    expect(list.exitCode).toBe(0);
    const letters = list.out.trim().split("\n");
    expect(letters.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { offset: "0" },
      { offset: "1" },
    ]);
    expect((await run(["replay", "--offset", "0:1", ...topic])).out).toContain("1 dead letters");
    expect((await run(["replay", "--all", ...topic])).out).toContain("1 dead letters");

    const missing = await run(["list"], "");
    expect(missing.exitCode).toBe(1);
    expect(missing.error).toContain("KAFKA_BROKERS");
    expect(missing.error.trim()).not.toContain("\n");
    expect((await run(["replay"])).exitCode).toBe(1);
    expect((await run(["list", "--limit", "0"])).exitCode).toBe(1);
  }, 60_000);
});

// Its jars come from .ci/apache-kafka/pom.xml; APACHE_KAFKA_LIBS says where they are.
const libsDir = process.env["APACHE_KAFKA_LIBS"];

describe.skipIf(libsDir === undefined)("with Apache Kafka", () => {
  test("a broker that is killed and comes back after a while costs no record", async () => {
    const kafka = await startApacheKafka({ libsDir: libsDir ?? "" });
    cleanUps.push(() => kafka.stop());
    const names = freshNames();
    const client = createKafka({ connection: { brokers: kafka.brokers }, clientId: "test" });
    await ensureTopics(client, [{ topic: names.topic, partitions: 1 }]);
    const producer = client.producer({ allowAutoTopicCreation: false });
    cleanUps.push(() => producer.disconnect());
    await producer.connect();
    const send = (keys: string[]) =>
      producer.send({ topic: names.topic, messages: keys.map((key) => ({ key, value: key })) });

    const handled = new Set<string>();
    const consumer = consume(
      names,
      async ({ key }) => {
        await Bun.sleep(5);
        handled.add(String(key));
      },
      { kafka: createKafka({ connection: { brokers: kafka.brokers }, clientId: "test-consumer" }) },
    );
    await send(keysOf(0, 0, 300));
    await eventually("it works", () => handled.size > 50);
    await kafka.kill();
    await eventually("the loss is noticed", () => consumer.problem !== undefined);
    await kafka.restart();
    await send(keysOf(0, 300, 400));
    await eventually("all are handled", () => handled.size === 400);
    await eventually("it is well again", () => consumer.problem === undefined);
  }, 180_000);

  test("records that the broker packs anew, with any of its codecs, are handled", async () => {
    const { brokers, stop } = await startApacheKafka({ libsDir: libsDir ?? "" });
    cleanUps.push(stop);
    const client = createKafka({ connection: { brokers }, clientId: "test" });
    const producer = client.producer({ allowAutoTopicCreation: false });
    cleanUps.push(() => producer.disconnect());
    await producer.connect();
    for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
      const names = freshNames();
      const config = { "compression.type": codec };
      await ensureTopics(client, [{ topic: names.topic, partitions: 1, config }]);
      const values = Array.from({ length: 2_000 }, (_, n) => `${codec} ${n} ${"x".repeat(99)}`);
      await producer.send({ topic: names.topic, messages: values.map((value) => ({ value })) });
      const handled: string[] = [];
      consume(names, ({ value }) => Promise.resolve(void handled.push(String(value))), {
        kafka: createKafka({ connection: { brokers }, clientId: "test-consumer" }),
      });
      await eventually(`all of ${codec} are handled`, () => handled.length === values.length);
      expect(handled.sort()).toEqual(values.sort());
    }
  }, 180_000);

  test("a dead-letter topic that takes only small records is made to take the letter", async () => {
    const { brokers, stop } = await startApacheKafka({ libsDir: libsDir ?? "" });
    cleanUps.push(stop);
    const names = freshNames();
    const client = createKafka({ connection: { brokers }, clientId: "test" });
    await ensureTopics(client, [
      { topic: names.topic, partitions: 1 },
      {
        topic: names.deadLetterTopic,
        partitions: 1,
        config: { "max.message.bytes": "2000", "retention.ms": "86400000" },
      },
    ]);
    const producer = client.producer({ allowAutoTopicCreation: false });
    cleanUps.push(() => producer.disconnect());
    await producer.connect();
    const value = Buffer.from(crypto.getRandomValues(new Uint8Array(50_000)));
    await producer.send({ topic: names.topic, messages: [{ key: "0-large", value }] });
    consume(names, () => Promise.reject(new UnprocessableRecordError("no JSON")), {
      kafka: createKafka({ connection: { brokers }, clientId: "test-consumer" }),
    });
    const admin = client.admin();
    cleanUps.push(() => admin.disconnect());
    await admin.connect();
    await eventually("it is buried", async () => {
      const [end] = await admin.fetchTopicOffsets(names.deadLetterTopic);
      return end?.high === "1";
    });
    const { resources } = await admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.TOPIC, name: names.deadLetterTopic }],
      includeSynonyms: false,
    });
    const settings = resources[0]?.configEntries.map(({ configName, configValue }) => [
      configName,
      configValue,
    ]);
    expect(Object.fromEntries(settings ?? [])).toMatchObject({
      "max.message.bytes": expect.stringMatching(/^1\d{5}$/),
      "retention.ms": "86400000",
    });
  }, 180_000);
});
