/** The outbox relay on a real PostgreSQL, with a Kafka that is slow, silent or unsure where the test says so. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import type { Kafka, Message } from "kafkajs";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { UnacknowledgedError, type Publisher } from "#lib/kafka/publisher.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { openDatabase, type Database } from "#lib/service/database.ts";
import { startRelay, type RelayOptions } from "../services/orders/relay.ts";
import { until } from "./support/until.ts";

const START_TIMEOUT_MS = 60_000;
const TOPIC = "order.created";
const PARTITIONS = 6;

setDefaultTimeout(30_000);

let sql: SQL;
let database: Database;
const undo: (() => Promise<unknown>)[] = [];
const afterTest: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const server = await startPostgres();
  undo.push(() => server.stop());
  await migrateUp({ postgresUrl: server.url });
  database = openDatabase({ url: server.url, pooler: "none" }, "relay-test");
  undo.push(() => database.close());
  sql = new SQL(server.url, { max: 2 });
  undo.push(() => sql.close());
}, START_TIMEOUT_MS);

afterEach(async () => {
  for (const run of afterTest.splice(0).toReversed()) await run();
  await sql`DELETE FROM orders.outbox`;
});

afterAll(async () => {
  for (const run of undo.toReversed()) await run();
}, START_TIMEOUT_MS);

/** A Kafka that keeps what it is sent; `answer` says how it takes a send to a partition. */
function fakeKafka(answer: (partition: number, keys: string[]) => Promise<void> = async () => {}) {
  const stored: { partition: number; key: string; value: string }[] = [];
  const publisher: Publisher = {
    connect: async () => {},
    // The last character of a key names its partition.
    partitionOf: (topic, key) => {
      if (topic !== TOPIC) throw new Error(`the partitions of ${topic} are not known yet`);
      return Number(String(key).at(-1)) % PARTITIONS;
    },
    async publish(_topic, partition, messages: readonly Message[]) {
      await answer(
        partition,
        messages.map(({ key }) => String(key)),
      );
      for (const { key, value } of messages) {
        stored.push({ partition, key: String(key), value: String(value) });
      }
    },
    disconnect: async () => {},
  };
  return { publisher, stored };
}

function relayOn(kafka: { publisher: Publisher }, options: Partial<RelayOptions> = {}) {
  const relay = startRelay({
    database,
    kafka: undefined as unknown as Kafka,
    publisher: kafka.publisher,
    pollIntervalMs: 50,
    batchRowsMax: 100,
    ...options,
  });
  afterTest.push(() => relay.stop());
  return relay;
}

async function insertEvents(...keys: string[]): Promise<void> {
  for (const [index, key] of keys.entries()) {
    await sql`INSERT INTO orders.outbox (topic, key, payload) VALUES (${TOPIC}, ${key}, ${String(index)})`;
  }
}

/** The keys of the events that wait, oldest first. */
async function waiting(): Promise<string[]> {
  const rows: { key: string }[] = await sql`SELECT key FROM orders.outbox ORDER BY id`;
  return rows.map(({ key }) => key);
}

/** Until when the one event is in somebody's hand. */
async function heldUntil(): Promise<string> {
  const [found] = await sql`SELECT due_at::text AS due FROM orders.outbox`;
  return String(found.due);
}

const outboxIs = (...keys: string[]) =>
  until(`the outbox holds ${keys.join()}`, async () => Bun.deepEquals(await waiting(), keys));

const never = () => new Promise<void>(() => {});

test("publishes each event once, and leaves none behind", async () => {
  const kafka = fakeKafka();
  const keys = Array.from({ length: 500 }, (_, index) => `k${index}`);
  await sql`
    INSERT INTO orders.outbox (topic, key, payload)
    SELECT ${TOPIC}, 'k' || n, 'x' FROM generate_series(0, 499) AS n`;
  relayOn(kafka);
  await outboxIs();
  expect(kafka.stored.map(({ key }) => key).sort()).toEqual(keys.sort());
});

test("a partition that never answers holds up no other, and its events stay", async () => {
  const kafka = fakeKafka((partition) => (partition === 3 ? never() : Promise.resolve()));
  await insertEvents("a3", "b1", "c3", "d2");
  const relay = relayOn(kafka);
  await until("the others are published", () => kafka.stored.length === 2);
  await insertEvents("e3", "f4", "g3", "h5");
  relay.wake();
  await outboxIs("a3", "c3", "e3", "g3");
  expect(kafka.stored.map(({ key }) => key).sort()).toEqual(["b1", "d2", "f4", "h5"]);
  await until(
    "it is told",
    () => relay.problem === "partition 3 of order.created: no answer for 3 s",
  );
});

test("what Kafka does not acknowledge is not deleted, and published again", async () => {
  let refusals = 3;
  const kafka = fakeKafka(async (partition) => {
    if (partition === 2 && refusals-- > 0) throw new UnacknowledgedError("not stored");
  });
  await insertEvents("a1", "b2");
  relayOn(kafka);
  await outboxIs("b2");
  await outboxIs();
  expect(refusals).toBe(-1);
  expect(kafka.stored.map(({ key }) => key)).toEqual(["a1", "b2"]);
});

test("tries grow rarer while Kafka takes nothing, which is told all the while", async () => {
  const tries: number[] = [];
  let isDown = true;
  const kafka = fakeKafka(async () => {
    tries.push(performance.now());
    if (isDown) throw new Error("not enough replicas");
  });
  await insertEvents("a1");
  const relay = relayOn(kafka);
  await until("it is told", () => relay.problem === "not enough replicas");
  const told = new Set<string | undefined>();
  await until("three tries", () => {
    told.add(relay.problem);
    return tries.length === 3;
  });
  expect([...told]).toEqual(["not enough replicas"]);
  const [first = 0, second = 0, third = 0] = tries;
  expect(second - first).toBeGreaterThan(200);
  expect(third - second).toBeGreaterThan(450);
  isDown = false;
  await outboxIs();
  await until("all is well", () => relay.problem === undefined);
});

test("a failure of PostgreSQL is not told as one of Kafka, and costs no event", async () => {
  const kafka = fakeKafka();
  let isAway = true;
  const failing = {
    ...database,
    sql: {
      ...database.sql,
      query: ((strings: TemplateStringsArray, ...values: unknown[]) => {
        if (isAway) return Promise.reject(new Error("connection closed"));
        return database.sql.query(strings, ...values);
      }) as Database["sql"]["query"],
    },
  };
  await insertEvents("a1");
  const relay = relayOn(kafka, { database: failing });
  await until("it has tried", () => relay.problem === undefined);
  expect(kafka.stored).toEqual([]);
  isAway = false;
  await outboxIs();
  expect(kafka.stored.length).toBe(1);
});

test("the events of a relay that is never heard of again go to another one", async () => {
  const lost = fakeKafka(never);
  let isCutOff = false;
  const cutOff = {
    ...database,
    sql: {
      ...database.sql,
      query: ((strings: TemplateStringsArray, ...values: unknown[]) =>
        isCutOff ? never() : database.sql.query(strings, ...values)) as Database["sql"]["query"],
    },
  };
  await insertEvents("a1", "b2", "c3");
  const dead = startRelay({
    database: cutOff,
    kafka: undefined as unknown as Kafka,
    publisher: { ...lost.publisher, publish: never },
    pollIntervalMs: 50,
    batchRowsMax: 100,
    leaseMs: 600,
  });
  await until("it has all events in hand", async () => {
    const [found] = await sql`SELECT count(*)::int AS held FROM orders.outbox WHERE due_at > now()`;
    return found.held === 3;
  });
  isCutOff = true;
  void dead; // what is cut off cannot be stopped in good order
  const kafka = fakeKafka();
  relayOn(kafka);
  await outboxIs();
  expect(kafka.stored.map(({ key }) => key).sort()).toEqual(["a1", "b2", "c3"]);
});

test("an event on its way for long is not taken by another relay while its own lives", async () => {
  const slow = Promise.withResolvers<void>();
  const first = fakeKafka(() => slow.promise);
  const second = fakeKafka();
  await insertEvents("a1");
  relayOn(first, { leaseMs: 600 });
  await until("it is in hand", async () => {
    const [found] = await sql`SELECT count(*)::int AS held FROM orders.outbox WHERE due_at > now()`;
    return found.held === 1;
  });
  relayOn(second, { leaseMs: 600 });
  // Several leases long.
  for (let renewals = 0; renewals < 4; renewals++) {
    const before = await heldUntil();
    await until("the lease is renewed", async () => (await heldUntil()) !== before);
  }
  slow.resolve();
  await outboxIs();
  expect({ first: first.stored.length, second: second.stored.length }).toEqual({
    first: 1,
    second: 0,
  });
});

test("two events of one key go one after the other, in their order", async () => {
  const gate = Promise.withResolvers<void>();
  const sent: string[][] = [];
  const kafka = fakeKafka(async (_partition, keys) => {
    sent.push(keys);
    if (sent.length === 1) await gate.promise;
  });
  await insertEvents("same1", "same1", "other1", "same1");
  relayOn(kafka);
  await until("the first is on its way", () => sent.length === 1);
  expect(sent).toEqual([["same1", "other1"]]);
  gate.resolve();
  await outboxIs();
  expect(kafka.stored.filter(({ key }) => key === "same1").map(({ value }) => value)).toEqual([
    "0",
    "1",
    "3",
  ]);
});

test("two relays share the work, and publish nothing twice", async () => {
  const one = fakeKafka(() => Bun.sleep(2));
  const other = fakeKafka(() => Bun.sleep(2));
  relayOn(one, { batchRowsMax: 7 });
  relayOn(other, { batchRowsMax: 7 });
  await sql`
    INSERT INTO orders.outbox (topic, key, payload)
    SELECT ${TOPIC}, 'k' || n, 'x' FROM generate_series(1, 400) AS n`;
  await outboxIs();
  const keys = [...one.stored, ...other.stored].map(({ key }) => key);
  expect(keys.length).toBe(400);
  expect(new Set(keys).size).toBe(400);
  expect(Math.min(one.stored.length, other.stored.length)).toBeGreaterThan(0);
});

test("an event for a topic that nobody knows is told of, and holds up no other", async () => {
  const kafka = fakeKafka();
  await sql`INSERT INTO orders.outbox (topic, key, payload) VALUES ('elsewhere', 'a1', 'x')`;
  await insertEvents("b2");
  const relay = relayOn(kafka);
  await outboxIs("a1");
  expect(relay.problem).toContain("elsewhere");
});

test("stopping waits for what is on its way, and gives the rest back at once", async () => {
  const gate = Promise.withResolvers<void>();
  const kafka = fakeKafka(async (partition) => {
    if (partition === 1) await gate.promise;
    if (partition === 2) throw new Error("refused");
  });
  await insertEvents("a1", "b2");
  const relay = relayOn(kafka);
  await until("the second one has failed", () => relay.problem !== undefined);
  const stopped = relay.stop();
  gate.resolve();
  await stopped;
  expect(await waiting()).toEqual(["b2"]);
  const [found] = await sql`SELECT due_at <= now() AS due FROM orders.outbox`;
  expect(found.due).toBe(true);
});

test("a send has no more records than its span can link to", async () => {
  const sizes: number[] = [];
  const kafka = fakeKafka(async (_partition, keys) => void sizes.push(keys.length));
  await sql`
    INSERT INTO orders.outbox (topic, key, payload)
    SELECT ${TOPIC}, 'k' || n || '-1', 'x' FROM generate_series(1, 300) AS n`;
  relayOn(kafka, { batchRowsMax: 1_000 });
  await outboxIs();
  expect(sizes).toEqual([128, 128, 44]);
});
