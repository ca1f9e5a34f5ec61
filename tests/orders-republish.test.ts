// `bun run orders republish`: an order whose event got lost is settled after all, and nothing is done twice.
import { afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Partitioners } from "kafkajs";
import { createKafka } from "#lib/kafka/client.ts";
import { ensureTopics } from "#lib/kafka/topics.ts";
import { attribute } from "#lib/embedded/traces/otlp.ts";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { insertOrder, waitForStatus } from "./support/api.ts";
import { createDatabase } from "./support/conventions/flows.ts";
import { startServiceProcess } from "./support/service-process.ts";
import {
  createItem,
  stack,
  startStack,
  STACK_START_TIMEOUT_MS,
  stockOf,
  TEST_TIMEOUT_MS,
} from "./support/stack.ts";
import { settledTraceOf } from "./support/traces.ts";
import { until } from "./support/until.ts";

setDefaultTimeout(2 * TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

interface Servers {
  postgresUrl: string;
  brokers: string;
}

/** Runs the command. @throws where it fails */
async function orders(servers: Servers, args: string[], env: Record<string, string> = {}) {
  const { exitCode, out, complaint } = await run(args, {
    POSTGRES_URL: servers.postgresUrl,
    KAFKA_BROKERS: servers.brokers,
    ...env,
  });
  expect({ exitCode, complaint }).toEqual({ exitCode: 0, complaint: "" });
  return out;
}

async function run(args: string[], env: Record<string, string>) {
  const child = Bun.spawn([process.execPath, "scripts/orders.ts", ...args], {
    cwd: join(import.meta.dir, ".."),
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [exitCode, out, complaint] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  return { exitCode, out, complaint };
}

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
const lineOf = (text: string, id: string) => text.split("\n").find((line) => line.startsWith(id));

/** Servers that no service is connected to: what is put there stays. */
async function quietServers() {
  const database = await createDatabase(await stack());
  undo.push(() => database.drop());
  const broker = await startKafkaBroker();
  undo.push(() => broker.stop());
  const { sql, postgresUrl } = database;
  const kafka = createKafka({ connection: { brokers: [broker.brokers] }, clientId: "test" });
  const lose = async (minutes = 10) => {
    const id = Bun.randomUUIDv7();
    const at = minutesAgo(minutes);
    await sql`
      INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
      VALUES (${id}, 'lost', 'pending', 250, ${at}::timestamptz, ${at}::timestamptz)`;
    await sql`
      INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
      VALUES (${Bun.randomUUIDv7()}, ${id}, 'ITEM-001', 1, 250)`;
    return id;
  };
  const send = async (topic: string, key: string) => {
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const headers = { "dlq-topic": "order.created" };
    await producer.send({ topic, messages: [{ key, value: "{}", headers }] });
    await producer.disconnect();
  };
  const outboxOf = async (id: string) =>
    await sql`SELECT topic, key, payload, headers FROM orders.outbox WHERE key = ${id}`;
  return { sql, postgresUrl, brokers: broker.brokers, kafka, lose, send, outboxOf };
}

test("an order whose event got lost is listed, and settled once it is republished", async () => {
  const main = await stack();
  const item = await createItem(5);
  const id = await insertOrder({ createdAt: minutesAgo(10) });
  await main.sql`UPDATE orders.order_items SET item_id = ${item} WHERE order_id = ${id}`;

  expect(lineOf(await orders(main, ["list"]), id)).toMatch(/pending since .* nowhere/);
  const dry = await orders(main, ["republish", "--dry-run"]);
  expect(lineOf(dry, id)).toBeDefined();
  expect(dry).toMatch(/\d+ events would be put/);
  expect((await main.sql`SELECT 1 FROM orders.outbox WHERE key = ${id}`).length).toBe(0);

  expect(await orders(main, ["republish"])).toMatch(/^\d+ events put into the outbox again$/m);
  await waitForStatus(id, "confirmed");
  expect(await stockOf(item)).toEqual({ available: 4, reserved: 1 });
  // Settled orders are none of its business.
  expect(lineOf(await orders(main, ["list", "--older-than", "0"]), id)).toBeUndefined();
});

test("the event is the one that was lost, to the byte, and begins a trace where there is a collector", async () => {
  const main = await stack();
  const quiet = await quietServers();
  const lost = await quiet.lose();
  await quiet.sql`
    UPDATE orders.order_items SET item_id = 'ITEM-"ü"', quantity = 3 WHERE order_id = ${lost}`;
  await orders(quiet, ["republish"], { OTEL_EXPORTER_OTLP_ENDPOINT: main.traces.otlpUrl });
  const [event] = await quiet.outboxOf(lost);
  const [row] = await quiet.sql`SELECT created_at FROM orders.orders WHERE id = ${lost}`;
  expect(event.topic).toBe("order.created");
  expect(event.payload).toBe(
    JSON.stringify({
      order_id: lost,
      customer_id: "lost",
      items: [{ item_id: 'ITEM-"ü"', quantity: 3, price: 250 }],
      timestamp: row.created_at.toISOString(),
    }),
  );
  const [, traceId = "", spanId] = String(event.headers.traceparent).split("-");
  const spans = await settledTraceOf(traceId, (all) =>
    all.some(({ name }) => name === "republish order"),
  );
  const names = spans.map(({ name }) => name).sort();
  expect(names).toEqual([
    "BEGIN",
    "COMMIT",
    "INSERT orders.outbox",
    "SELECT orders.order_items",
    "UPDATE orders.orders SELECT orders.outbox",
    "create order.created",
    "republish order",
  ]);
  expect(spans.find(({ name }) => name === "create order.created")?.spanId).toBe(spanId!);
  const { resourceSpans = [] } = main.traces.trace(traceId) ?? {};
  for (const { resource } of resourceSpans) {
    expect(attribute(resource?.attributes, "service.name")).toBe("orders-republish");
    expect(attribute(resource?.attributes, "service.namespace")).toBe("orderflow");
  }
});

test("an order that is young, in the outbox, behind the lag or a dead letter is left alone, and told apart", async () => {
  const quiet = await quietServers();
  const { kafka, lose, send, outboxOf, sql } = quiet;
  await ensureTopics(kafka, [
    { topic: "order.created", partitions: 6 },
    { topic: "order.created.dlq", partitions: 6 },
  ]);
  const young = await lose(4);
  const waiting = await lose();
  await sql`
    INSERT INTO orders.outbox (topic, key, payload) VALUES ('order.created', ${waiting}, '{}')`;
  // Consumed without an effect: nothing of it is on its way any more.
  const consumed = await lose();
  await send("order.created", consumed);
  await commitUpTo(kafka, consumed);
  const behind = await lose();
  await send("order.created", behind);
  const given = await lose();
  await send("order.created.dlq", given);
  const lost = await lose();

  const listed = await orders(quiet, ["list"]);
  expect(lineOf(listed, young)).toBeUndefined();
  expect(lineOf(listed, waiting)).toBeUndefined();
  expect(lineOf(listed, behind)).toMatch(/waits for the worker at \d+:\d+$/);
  expect(lineOf(listed, given)).toMatch(/dead letter: bun run dead-letters replay --offset \d+:0$/);
  for (const id of [consumed, lost]) expect(lineOf(listed, id)).toMatch(/nowhere$/);

  expect(await orders(quiet, ["republish"])).toMatch(/^2 events put into the outbox again$/m);
  const counts = await Promise.all(
    [young, waiting, behind, given, consumed, lost].map(async (id) => (await outboxOf(id)).length),
  );
  expect(counts).toEqual([0, 1, 0, 0, 1, 1]);

  // A letter that was replayed does not wait for its replay any more: its event is in the topic.
  await Bun.spawn([process.execPath, "scripts/dead-letters.ts", "replay", "--all"], {
    cwd: join(import.meta.dir, ".."),
    env: { ...process.env, KAFKA_BROKERS: quiet.brokers },
    stdout: "ignore",
  }).exited;
  expect(lineOf(await orders(quiet, ["list"]), given)).toMatch(/waits for the worker/);
});

test("run again at once, and at the same time, it makes one event for each order", async () => {
  const quiet = await quietServers();
  const ids = await Promise.all(Array.from({ length: 20 }, () => quiet.lose()));
  const runs = () =>
    Promise.all(Array.from({ length: 4 }, () => orders(quiet, ["republish", "--older-than", "0"])));
  const outputs = await runs();
  const put = outputs.map((out) => Number(/^(\d+) events put/m.exec(out)?.[1]));
  expect(put.reduce((sum, count) => sum + count)).toBe(ids.length);
  for (const id of ids) expect((await quiet.outboxOf(id)).length).toBe(1);

  // As if the relay had published them: still on their way, and no event in the outbox tells.
  await quiet.sql`DELETE FROM orders.outbox`;
  expect(await orders(quiet, ["republish"])).toMatch(/^0 events put/m);
});

test("without topics, and with nothing to do, it says so", async () => {
  const quiet = await quietServers();
  expect(await orders(quiet, ["republish"])).toBe(
    "no order has been pending for over 300 s without an event in the outbox\n0 events put into the outbox again\n",
  );
  const id = await quiet.lose();
  const [listed] = (await orders(quiet, ["list", "--json"])).trim().split("\n");
  expect(JSON.parse(listed!)).toMatchObject({ id, event: { kind: "nowhere" } });
});

test.each([
  [["publish"], {}, /unknown: publish\nUsage/],
  [[], {}, /no command given\nUsage/],
  [["list", "x"], {}, /unknown: list x\nUsage/],
  [["republish", "--older-than", "-1"], {}, /Usage/],
  [["republish", "--older-than", "1.5"], {}, /--older-than has to be/],
  [["list", "--all"], {}, /--all/],
  [
    ["list"],
    { POSTGRES_URL: "" },
    /^POSTGRES_URL is required and not set, nor is POSTGRES_URL_FILE\n$/,
  ],
  [["list"], { KAFKA_BROKERS: "kafka" }, /^KAFKA_BROKERS must be/],
  [["list"], {}, /^the database does not answer.*\n$/],
])("%j with %j is refused with one clear text", async (args, env, text) => {
  const { exitCode, out, complaint } = await run(args, {
    POSTGRES_URL: "postgres://u:hunter2@127.0.0.1:9/none",
    KAFKA_BROKERS: "127.0.0.1:9",
    ...env,
  });
  expect({ exitCode, out }).toEqual({ exitCode: 1, out: "" });
  expect(complaint).toMatch(text);
  expect(complaint).not.toContain("hunter2");
});

test("orders counts what is overdue for its metrics: pending for more than 5 minutes", async () => {
  const quiet = await quietServers();
  await Promise.all([quiet.lose(6), quiet.lose(10), quiet.lose(4)]);
  const service = await startServiceProcess("orders", {
    POSTGRES_URL: quiet.postgresUrl,
    KAFKA_BROKERS: quiet.brokers,
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
  undo.push(() => service.stop());
  await until("it has looked", async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return /^orderflow_orders_overdue\S* 2$/m.test(text);
  });
});

/** Lets the group of the worker have got as far as the last record. */
async function commitUpTo(kafka: ReturnType<typeof createKafka>, key: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const consumer = kafka.consumer({ groupId: `find-${key}` });
    await consumer.connect();
    await consumer.subscribe({ topic: "order.created", fromBeginning: true });
    const { promise, resolve } = Promise.withResolvers<{ partition: number; offset: string }>();
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        if (message.key?.toString() === key) resolve({ partition, offset: message.offset });
      },
    });
    const { partition, offset } = await promise;
    await consumer.disconnect();
    await admin.setOffsets({
      groupId: "notification-worker",
      topic: "order.created",
      partitions: [{ partition, offset: String(Number(offset) + 1) }],
    });
  } finally {
    await admin.disconnect();
  }
}
