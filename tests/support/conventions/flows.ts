/**
 * The flows whose telemetry is checked: every hop, status and failure that OrderFlow can produce.
 *
 * What works runs on the shared stack, each request in a trace of its own; what has to break runs on
 * a few processes beside it, with a database, a broker and backends of their own.
 */
import { SQL } from "bun";
import { Partitioners, type Kafka } from "kafkajs";
import { startKafkaBroker, type KafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import {
  allCalledAt,
  startServiceProcess,
  type LogLine,
  type ServiceName,
  type ServiceProcess,
} from "../service-process.ts";
import { createItem, stack, type Stack } from "../stack.ts";
import { until } from "../until.ts";
import { startFakeBackend, type FakeBackend } from "./fake-backend.ts";
import {
  recordedPoints,
  recordedSpans,
  type RecordedPoint,
  type RecordedSpan,
} from "./recorded.ts";

export interface Recording {
  spans: readonly RecordedSpan[];
  /** What arrived over OTLP. */
  points: readonly RecordedPoint[];
  /** The texts of `GET /metrics`, by service. */
  scrapes: Readonly<Record<ServiceName, string>>;
  /** What the processes beside the shared stack wrote to their logs. */
  lines: readonly LogLine[];
}

/** How long the flows may take: for a test's time limit. */
export const RECORDING_TIMEOUT_MS = 120_000;

let recording: Promise<Recording> | undefined;

/** Runs the flows, once in a test run, and returns what they emitted. Nothing is left running. */
export function recordedFlows(): Promise<Recording> {
  recording ??= record();
  return recording;
}

async function record(): Promise<Recording> {
  const main = await stack();
  const [mainTraceIds, side] = await Promise.all([runMainFlows(main), runSideFlows(main)]);
  const mainSpans = await until("all spans of the main flows have arrived", () => {
    const spans = spansOfFlows(main.traces, mainTraceIds);
    const arrived = new Set(spans.map(({ traceId }) => traceId));
    return [...mainTraceIds].every((id) => arrived.has(id)) && hasAllParents(spans) && spans;
  });
  const settled = await until("the stack has exported its metrics", async () => {
    const points = recordedPoints(main.traces.metrics());
    const services = new Set(points.map(({ service }) => service));
    return services.size >= 5 && points;
  });
  return {
    spans: [...mainSpans, ...side.spans],
    points: [...settled, ...side.points],
    scrapes: await scrapeAll(main),
    lines: side.lines,
  };
}

async function scrapeAll(main: Stack): Promise<Record<ServiceName, string>> {
  const texts = await Promise.all(
    Object.entries(main.services).map(async ([name, url]) => {
      const response = await fetch(`${url}/metrics`);
      return [name, await response.text()] as const;
    }),
  );
  return Object.fromEntries(texts) as Record<ServiceName, string>;
}

/** The spans of the flows' own traces, and of the relay's that link to them. */
function spansOfFlows(store: TraceStore, traceIds: ReadonlySet<string>): RecordedSpan[] {
  return store
    .traces()
    .map((trace) => recordedSpans(trace))
    .filter((spans) =>
      spans.some(
        ({ traceId, links }) =>
          traceIds.has(traceId) || links.some((link) => traceIds.has(link.traceId)),
      ),
    )
    .flat();
}

/** Whether every parent is there, but for the callers' own, which no process recorded. */
function hasAllParents(spans: readonly RecordedSpan[]): boolean {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  return spans.every(
    ({ parentSpanId }) => parentSpanId === "" || parentSpanId === CALLER || ids.has(parentSpanId),
  );
}

/** The span id of the caller in all flows' `traceparent`. */
const CALLER = "00f067aa0ba902b7";

// --- On the shared stack -------------------------------------------------------------------------

async function runMainFlows(main: Stack): Promise<Set<string>> {
  const { gateway, orders, inventory, email } = main.services;
  const traceIds = new Set<string>();
  /** One request in a trace of its own. */
  const send = async (url: string, init: RequestInit = {}) => {
    const traceId = crypto.randomUUID().replaceAll("-", "");
    traceIds.add(traceId);
    const headers = new Headers(init.headers);
    headers.set("traceparent", `00-${traceId}-${CALLER}-01`);
    headers.set("baggage", "customer.tier=gold");
    const response = await fetch(url, { ...init, headers });
    return { status: response.status, body: await response.text() };
  };
  const post = (url: string, body: unknown) =>
    send(url, { method: "POST", body: JSON.stringify(body) });
  const settledOrder = async (items: { item_id: string; quantity: number }[]) => {
    const { body } = await post(`${gateway}/orders`, {
      customer_id: "convention-check",
      items: items.map((item) => ({ ...item, price: 100 })),
    });
    const { id } = JSON.parse(body) as { id: string };
    const status = await until(`order ${id} is settled`, async () => {
      const [row] = await main.sql`SELECT status FROM orders.orders WHERE id = ${id}`;
      return row.status !== "pending" && (row.status as string);
    });
    return { id, status };
  };

  const plenty = await createItem(100);
  const scarce = await createItem(1);
  const confirmed = await settledOrder([{ item_id: plenty, quantity: 2 }]);
  await settledOrder([{ item_id: "UNKNOWN-ITEM", quantity: 1 }]);
  // The item that can be reserved comes first in the fixed order, so that there is one to release.
  await settledOrder([
    { item_id: await createItem(5, `A-${crypto.randomUUID()}`), quantity: 1 },
    { item_id: scarce, quantity: 2 },
  ]);

  const key = { "idempotency-key": crypto.randomUUID() };
  for (const customer_id of ["first", "first", "another"]) {
    // 201, 201 again, and 422
    const body = { customer_id, items: [{ item_id: "UNKNOWN-ITEM", quantity: 1, price: 1 }] };
    await send(`${gateway}/orders`, { method: "POST", body: JSON.stringify(body), headers: key });
  }
  await oldKey(main.sql);
  await send(`${gateway}/orders?limit=3&access_token=abc`);
  await send(`${gateway}/orders-nplus1?limit=3`);
  await send(`${gateway}/orders/${confirmed.id}`, { method: "HEAD" });
  await send(`${gateway}/inventory`);
  await send(`${gateway}/inventory/${plenty}`);
  await post(`${inventory}/stock/${plenty}/reserve`, { quantity: 1 });
  await post(`${inventory}/stock/${plenty}/release`, { quantity: 1 });
  await post(`${email}/send`, { to: "a@example.com", subject: "s", body: "b" });

  await post(`${gateway}/orders`, { customer_id: "" }); // 400
  await send(`${gateway}/orders/not-a-uuid`); // 400
  await send(`${gateway}/orders/${crypto.randomUUID()}`); // 404 on a route
  await send(`${gateway}/no-such-path/${crypto.randomUUID()}`); // 404 without one
  await send(`${gateway}/orders`, { method: "DELETE" }); // 405
  await send(`${orders}/orders/${confirmed.id}/status`, {
    method: "PATCH",
    body: JSON.stringify({ status: "cancelled" }),
  }); // 409
  await post(`${gateway}/orders`, { customer_id: "x".repeat(1_100_000) }); // 413
  await send(`${gateway}/orders`, { method: "PROPFIND" }); // _OTHER
  return traceIds;
}

// --- Beside it -----------------------------------------------------------------------------------

const CLOSED_PORT_URL = "127.0.0.1:9"; // discard: nothing listens there
const WORKER_RETRY_LIMIT_MS = "1000";

interface Side {
  start(name: ServiceName, env: Record<string, string>): Promise<ServiceProcess>;
  sql: SQL;
  postgresUrl: string;
  broker: KafkaBroker;
  backend: FakeBackend;
}

async function runSideFlows(
  main: Stack,
): Promise<{ spans: RecordedSpan[]; points: RecordedPoint[]; lines: LogLine[] }> {
  const processes: ServiceProcess[] = [];
  const undo: (() => Promise<unknown>)[] = [];
  const stopAll = async () => {
    for (const run of undo.splice(0).toReversed()) await run();
  };
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  try {
    const database = await createDatabase(main);
    undo.push(database.drop);
    const broker = await startKafkaBroker();
    undo.push(() => broker.stop());
    const backend = startFakeBackend();
    undo.push(() => backend.stop());
    const start: Side["start"] = async (name, env) => {
      const service = await startServiceProcess(name, {
        OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
        OTEL_BSP_SCHEDULE_DELAY: "50",
        OTEL_LOGS_EXPORTER: "otlp",
        ORDERFLOW_CODE_LOCATION: "on",
        ...env,
      });
      undo.push(() => service.stop());
      processes.push(service);
      return service;
    };
    const side = { start, broker, backend, ...database };
    await Promise.all([brokenGateway(side), brokenInventory(side), retriesAndDeadLetters(side)]);
    // Their last metrics and spans come with the stop.
    await stopAll();
    return {
      spans: store.traces().flatMap((trace) => recordedSpans(trace)),
      points: recordedPoints(store.metrics()),
      lines: processes.flatMap((service) => service.lines),
    };
  } finally {
    await stopAll();
    await store.stop();
  }
}

/** A migrated database of its own on the stack's server. */
export async function createDatabase(main: Stack) {
  const name = `orderflow_conventions_${crypto.randomUUID().replaceAll("-", "")}`;
  await main.sql.unsafe(`CREATE DATABASE ${name}`);
  const url = new URL(main.postgresUrl);
  url.pathname = `/${name}`;
  await migrateUp({ postgresUrl: url.href });
  const sql = new SQL(url.href, { max: 2 });
  return {
    sql,
    postgresUrl: url.href,
    async drop() {
      await sql.close();
      await main.sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

/** 502, 503 and 504, and a 500 that is passed on. */
async function brokenGateway({ start, backend }: Side): Promise<void> {
  const passingOn = await start("gateway", {
    ...allCalledAt(backend.url, "gateway"),
  });
  await fetch(`${passingOn.url}/orders/BROKEN`);
  const gateway = await start("gateway", {
    ...allCalledAt(`http://${CLOSED_PORT_URL}`, "gateway"),
    ORDERS_SERVICE_URL: backend.hangingUrl,
    HTTP_REQUESTS_MAX: "1",
  });
  await fetch(`${gateway.url}/inventory`); // 502
  const hanging = fetch(`${gateway.url}/orders`); // 504
  await backend.hangs();
  await fetch(`${gateway.url}/inventory`); // 503: one request at a time is all it takes
  await hanging;
}

/** 500 with an SQLSTATE, 503 without one. */
async function brokenInventory({ start, postgresUrl, sql }: Side): Promise<void> {
  await sql`DROP TABLE inventory.items CASCADE`;
  const [withoutTable, withoutDatabase] = await Promise.all([
    start("inventory", { POSTGRES_URL: postgresUrl }),
    start("inventory", { POSTGRES_URL: `postgres://user:hunter2@${CLOSED_PORT_URL}/nowhere` }),
  ]);
  await Promise.all([fetch(`${withoutTable.url}/stock`), fetch(`${withoutDatabase.url}/stock`)]);
}

/** Tries again, gives up, publishes a batch, cannot publish, rolls back. */
async function retriesAndDeadLetters(side: Side): Promise<void> {
  const { start, broker, backend, sql, postgresUrl } = side;
  const orders = await start("orders", {
    POSTGRES_URL: postgresUrl,
    KAFKA_BROKERS: broker.brokers,
    RELAY_POLL_INTERVAL_MS: "100",
    CLEANUP_INTERVAL_MS: "100",
  });
  const worker = await start("worker", {
    KAFKA_BROKERS: broker.brokers,
    ...allCalledAt(backend.url, "worker"),
    WORKER_RETRY_LIMIT_MS,
  });
  await Promise.all([orders.ready(), worker.ready()]);

  // One transaction, so that the relay takes the three of them together.
  await sql`
    INSERT INTO orders.outbox (topic, key, payload, headers)
    SELECT 'order.created', key, payload, jsonb_build_object('traceparent', traceparent)
    FROM unnest(${["a", "b", "c"]}::text[], ${["a", "b", "c"].map(() => eventFor("FLAKY"))}::text[],
      ${["a", "b", "c"].map(() => traceparent())}::text[]) AS event (key, payload, traceparent)`;
  await post(orders.url, "BROKEN"); // answered 500 each time: a dead letter after some tries
  // Without trace context, as others write them: one that is no JSON, and one without a value.
  await produce(broker, [
    { key: "unreadable", value: "{" },
    { key: "tombstone", value: null },
  ]);
  await until("three records were settled", () => backend.mails >= 3);
  await oldKey(sql);
  await until("three records were given up", async () =>
    /orderflow_dead_letters_total\S* 3/.test(await (await fetch(`${worker.url}/metrics`)).text()),
  );

  // Without its topic a dead letter cannot be written, and is tried again.
  await withAdmin(kafkaOf(broker), (admin) =>
    admin.deleteTopics({ topics: ["order.created.dlq"] }),
  );
  await produce(broker, [{ key: "unreadable", value: "{" }]);
  await until("the dead letter could not be written", () =>
    worker.lines.some(({ message }) => message.startsWith("a dead letter could not be written")),
  );

  // A worker that stops gives back what waits for its next try.
  await post(orders.url, "STUCK");
  await until("the stuck order was tried", () => backend.calls("STUCK") > 0);
  await worker.stop();

  await broker.stop();
  await post(orders.url, "PLAIN"); // accepted; its event cannot be published
  await until("the relay has given its send up", () =>
    orders.lines.some(({ message }) => message === "events wait in the outbox"),
  );
  await sql`ALTER TABLE orders.outbox RENAME COLUMN payload TO payload_away`;
  await post(orders.url, "PLAIN"); // 500: the event cannot be written, everything is rolled back
}

/** A key that the clean-up has to take away. */
async function oldKey(sql: SQL): Promise<void> {
  const key = crypto.randomUUID();
  await sql`
    INSERT INTO orders.idempotency_keys (key, fingerprint, order_id, created_at)
    VALUES (${key}, '', ${key}, now() - interval '2 days')`;
  await until("the old key is gone", async () => {
    return (await sql`SELECT 1 FROM orders.idempotency_keys WHERE key = ${key}`).length === 0;
  });
}

async function post(ordersUrl: string, itemId: string): Promise<void> {
  await fetch(`${ordersUrl}/orders`, {
    method: "POST",
    body: JSON.stringify({
      customer_id: "convention-check",
      items: [{ item_id: itemId, quantity: 1, price: 100 }],
    }),
  });
}

function eventFor(itemId: string): string {
  return JSON.stringify({
    order_id: crypto.randomUUID(),
    customer_id: "convention-check",
    items: [{ item_id: itemId, quantity: 1, price: 100 }],
    timestamp: new Date().toISOString(),
  });
}

function traceparent(): string {
  return `00-${crypto.randomUUID().replaceAll("-", "")}-${CALLER}-01`;
}

async function produce(
  broker: KafkaBroker,
  messages: { key: string; value: string | null }[],
): Promise<void> {
  const createPartitioner = Partitioners.DefaultPartitioner;
  const producer = kafkaOf(broker).producer({ createPartitioner });
  await producer.connect();
  await producer.send({ topic: "order.created", messages });
  await producer.disconnect();
}

function kafkaOf(broker: KafkaBroker): Kafka {
  return createKafka({ connection: { brokers: [broker.brokers] }, clientId: "flows" });
}
