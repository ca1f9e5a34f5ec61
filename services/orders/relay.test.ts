import { afterEach, expect, test } from "bun:test";
import { SQL } from "bun";
import type { Kafka } from "kafkajs";
import type { Database } from "#lib/service/database.ts";
import type { OutboxBell } from "./outbox-bell.ts";
import { startRelay } from "./relay.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

const EVENT = { topic: "order.created", key: "k", payload: "{}", headers: {} };

/** A relay whose PostgreSQL and Kafka do what the test says; all else of it is real. */
function relayWith(faults: { publish?: () => Error; take?: () => Error }, events = 1) {
  const sends: number[] = [];
  const sizes: number[] = [];
  const outbox = Array.from({ length: events }, () => EVENT);
  const take = async () => {
    if (faults.take) throw faults.take();
    return [...outbox];
  };
  const database = {
    pool: async () => [{ pending: outbox.length, age: 0 }],
    sql: { transaction: (work: (tx: unknown) => Promise<unknown>) => work({ query: take }) },
  };
  const admin = {
    connect: async () => undefined,
    listTopics: async () => ["order.created"],
    fetchTopicOffsets: async () => [{}],
    disconnect: async () => undefined,
  };
  const producer = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    async send({ messages }: { messages: unknown[] }) {
      sends.push(performance.now());
      sizes.push(messages.length);
      await Bun.sleep(20);
      if (faults.publish) throw faults.publish();
      outbox.splice(0, messages.length);
    },
  };
  let rung = Promise.withResolvers<void>();
  const bell = {
    hear: () => rung.resolve(),
    async heard() {
      await rung.promise;
      rung = Promise.withResolvers();
    },
  };
  const relay = startRelay({
    database: database as unknown as Database,
    kafka: { admin: () => admin, producer: () => producer } as unknown as Kafka,
    bell: bell as OutboxBell,
    pollIntervalMs: 50,
    batchRowsMax: 1_000,
  });
  cleanUps.push(() => relay.stop());
  return { relay, sends, sizes, outbox };
}

type Relay = ReturnType<typeof relayWith>["relay"];

/** Every different problem that is told until `isOver`. */
async function problemsUntil(relay: Relay, isOver: () => boolean) {
  const told = new Set<string | undefined>();
  do {
    told.add(relay.problem);
    await Bun.sleep(2);
  } while (!isOver());
  return [...told];
}

test("while Kafka takes no events that is told without a break, and tries grow rarer", async () => {
  const faults: Parameters<typeof relayWith>[0] = { publish: () => new Error("not enough") };
  const { relay, sends, outbox } = relayWith(faults);
  await problemsUntil(relay, () => relay.problem === "not enough");
  expect(await problemsUntil(relay, () => sends.length === 3)).toEqual(["not enough"]);
  const [first = 0, second = 0, third = 0] = sends;
  expect(second - first).toBeGreaterThan(200);
  expect(third - second).toBeGreaterThan(450);

  delete faults.publish;
  await problemsUntil(relay, () => outbox.length === 0);
  await problemsUntil(relay, () => relay.problem === undefined);
});

test("a failure of PostgreSQL is not told as one of Kafka", async () => {
  const error = new SQL.PostgresError("gone", { code: "ERR_POSTGRES_CONNECTION_CLOSED" } as never);
  const { relay } = relayWith({ take: () => error });
  await problemsUntil(relay, () => relay.problem !== "not connected yet");
  const endMs = performance.now() + 600;
  expect(await problemsUntil(relay, () => performance.now() > endMs)).toEqual([undefined]);
});

test("no send has more records than its span can link to", async () => {
  const { relay, sizes, outbox } = relayWith({}, 300);
  await problemsUntil(relay, () => outbox.length === 0);
  expect(sizes).toEqual([128, 128, 44]);
});
