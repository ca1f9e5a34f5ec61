// bun run bench sizes: what one settled order leaves behind, in PostgreSQL and in Kafka, and how often a
// second one item can be reserved.
import { startServices } from "#lib/embedded/services.ts";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import { readTopic } from "#lib/kafka/topic-reader.ts";
import { ORDER_CREATED_TOPIC } from "#lib/orders/order-created.ts";
import { wholeNumber } from "../shared/command-line.ts";
import { whole } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { allSettled, ORDER_BODIES } from "./flow.ts";
import { startInfrastructure, stopOnSignal, type BenchDatabase } from "./infrastructure.ts";
import { sendLoad } from "./load.ts";
import { readFlags } from "./options.ts";

const CONNECTIONS = 16;
const LOAD_SECONDS = 5;
/** More than are answered in that time. */
const RESERVATIONS = 60_000;
const ITEMS = 10;

/** Makes the orders, and prints the tables. @param args see the usage text */
export async function benchSizes(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["orders"]);
  const wanted = wholeNumber("orders", flags.orders, 20_000, { min: 100, max: 1_000_000 });
  const infrastructure = await startInfrastructure();
  stopOnSignal(infrastructure.stop);
  try {
    const database = await infrastructure.createDatabase("sizes");
    const { sql } = database;
    const services = await startServices({
      postgresUrl: database.url,
      kafkaBrokers: infrastructure.kafkaBrokers,
      env: { OTEL_SDK_DISABLED: "true", EMAIL_DELAY_MS: "0-0" },
    });
    try {
      await sql`CHECKPOINT`;
      const walBefore = await walBytes(database);
      let orders = 0;
      while (orders < wanted) {
        const { answered, statuses } = await sendLoad({
          url: `${services.urls.gateway}/orders`,
          method: "POST",
          bodies: ORDER_BODIES,
          connections: CONNECTIONS,
          seconds: LOAD_SECONDS,
        });
        if (statuses["201"] !== answered) throw new Error(`answers: ${JSON.stringify(statuses)}`);
        orders += answered;
        await allSettled(sql);
      }
      const wal = (await walBytes(database)) - walBefore;
      await printSizes(database, orders, wal);
      await printRecords(infrastructure.kafkaBrokers);
      await printReserving(services.urls.inventory);
    } finally {
      await services.stop();
    }
  } finally {
    await infrastructure.stop();
  }
}

async function walBytes({ sql }: BenchDatabase): Promise<number> {
  const [found] = await sql`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS bytes`;
  return found.bytes;
}

async function printSizes({ sql }: BenchDatabase, orders: number, wal: number): Promise<void> {
  const relations: { name: string; bytes: number; index_bytes: number }[] = await sql`
    SELECT schemaname || '.' || relname AS name,
           pg_table_size(relid)::float8 AS bytes,
           pg_indexes_size(relid)::float8 AS index_bytes
    FROM pg_stat_user_tables
    WHERE schemaname IN ('orders', 'inventory') AND relname <> 'items'
    ORDER BY 1`;
  const rows: string[][] = [];
  for (const { name, bytes, index_bytes } of relations) {
    const [found] = await sql.unsafe(`SELECT count(*)::float8 AS rows FROM ${name}`);
    rows.push([
      name,
      (found.rows / orders).toFixed(2),
      whole(bytes / orders),
      whole(index_bytes / orders),
    ]);
  }
  const sum = (key: "bytes" | "index_bytes") =>
    whole(relations.reduce((total, relation) => total + relation[key], 0) / orders);
  rows.push(["sum", "", sum("bytes"), sum("index_bytes")]);
  console.log(`\n${whole(orders)} orders, settled; bytes an order:\n`);
  console.log(figuresTable(["", "rows", "table", "indexes"], rows));
  console.log(`\nWAL: ${whole(wal / orders)} bytes an order`);
}

/** Keys, values and headers of the topic's records, as they were given to Kafka. */
async function printRecords(brokers: string): Promise<void> {
  const kafka = createKafka({
    connection: { brokers: brokers.split(",") },
    clientId: "bench-sizes",
  });
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(ORDER_CREATED_TOPIC));
  let records = 0;
  let bytes = 0;
  await readTopic({
    kafka,
    topic: ORDER_CREATED_TOPIC,
    groupId: `bench-sizes-${crypto.randomUUID()}`,
    ranges: offsets.map(({ partition, low, high }) => ({
      partition,
      from: BigInt(low),
      to: BigInt(high),
    })),
    async onRecords(_partition, messages) {
      for (const { key, value, headers = {} } of messages) {
        records++;
        bytes += (key?.length ?? 0) + (value?.length ?? 0);
        for (const [name, header] of Object.entries(headers)) {
          bytes += name.length + Buffer.byteLength(String(header));
        }
      }
    },
  });
  console.log(`Kafka: ${whole(bytes / records)} bytes a record (${whole(records)} read)`);
}

/** Reserves as the worker does, each for an order of its own: all of one item, then of ten. */
async function printReserving(inventoryUrl: string): Promise<void> {
  for (const items of [1, ITEMS]) {
    const run = crypto.randomUUID();
    const { perSecond, statuses, latencyMs } = await sendLoad({
      url: `${inventoryUrl}/stock`,
      method: "POST",
      paths: Array.from(
        { length: items },
        (_, index) => `/stock/ITEM-0${String(index + 1).padStart(2, "0")}/reserve`,
      ),
      bodies: Array.from({ length: RESERVATIONS }, (_, index) =>
        JSON.stringify({ quantity: 1, order_id: `${run}-${index}` }),
      ),
      connections: CONNECTIONS,
      seconds: LOAD_SECONDS,
    });
    console.log(
      `reserve, ${items === 1 ? "one item" : `${items} items`}: ${whole(perSecond)} a second, p95 ` +
        `${latencyMs.p95.toFixed(1)} ms, ${JSON.stringify(statuses)}`,
    );
  }
}
