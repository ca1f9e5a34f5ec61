/**
 * Three real Kafka nodes and the five services under load: whatever happens to one node, every order
 * that was accepted is settled. Runs where APACHE_KAFKA_LIBS has the folder with Kafka's jars.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import { ORDER_CREATED_TOPIC } from "#lib/orders/order-created.ts";
import {
  readBacklog,
  readBooks,
  readPieces,
  readTopics,
  stockItems,
} from "../../scripts/chaos/books.ts";
import { startLoad, type Load, type PostedOrder } from "../../scripts/chaos/load.ts";
import { checkOrders } from "../../scripts/chaos/order-checks.ts";
import { stockFor } from "../../scripts/chaos/order-mix.ts";
import { createRandom } from "../../scripts/chaos/random.ts";
import { startDatabase, type TestDatabase } from "../support/database.ts";
import { startKafkaCluster, type KafkaCluster } from "../support/kafka-cluster.ts";
import { until } from "../support/until.ts";

const libsDir = process.env["APACHE_KAFKA_LIBS"];

/** Orders a second. */
const RATE = 100;
const ORDERS_MAX = 100_000;
/** More than a single failure may take, so that it is the waiting that tells. */
const REST_WITHIN_MS = 120_000;
/** The load before a fault, so that it hits orders on their way. */
const WARM_ORDERS = 2 * RATE;
/** For so long a node is frozen: it must be fenced (9 s), and requests to it given up, well before. */
const FROZEN_MS = 35_000;
/** At the thaw all orders are settled that were accepted so long before. */
const SETTLED_AFTER_MS = 12_000;
const POLL_MS = 250;

setDefaultTimeout(300_000);

describe.skipIf(!libsDir)("on three Kafka nodes, of APACHE_KAFKA_LIBS", () => {
  let cluster: KafkaCluster;
  let database: TestDatabase;
  let services: RunningServices | undefined;
  let sql: SQL;
  let pieces: ReadonlyMap<string, number>;
  /** Of all tests: they share the books. */
  const posted: PostedOrder[] = [];

  beforeAll(async () => {
    const starting = await Promise.allSettled([
      startKafkaCluster({ libsDir: libsDir ?? "" }).then((started) => (cluster = started)),
      startDatabase().then((started) => (database = started)),
    ]);
    for (const result of starting) if (result.status === "rejected") throw result.reason;
    sql = new SQL({ url: database.url, max: 2 });
    await stockItems(sql, stockFor(5_000, ORDERS_MAX));
    pieces = await readPieces(sql);
    services = await startServices({
      postgresUrl: database.url,
      kafkaBrokers: cluster.brokers.join(","),
      env: { OTEL_SDK_DISABLED: "true", LOG_LEVEL: "warn", EMAIL_DELAY_MS: "5-20" },
    });
  }, 180_000);
  afterAll(async () => {
    await services?.stop();
    await sql?.close();
    await Promise.all([cluster?.stop(), database?.stop()]);
  }, 60_000);

  /** Posts orders while something is done to the cluster, and checks the books when all has come to rest. */
  async function underLoad(disturb: (load: Load) => Promise<void>): Promise<void> {
    // What another test has lost is that one's failure.
    const lost = new Set(await pendingOrders());
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const load = startLoad({
      url: services?.urls.gateway ?? "",
      seed,
      random: createRandom(seed),
      rate: RATE,
      orders: 1,
      ordersMax: ORDERS_MAX / 4,
    });
    const more = async () => {
      const enough = load.posted.length + WARM_ORDERS;
      await until("orders are placed", () => load.posted.length >= enough, 60_000);
    };
    try {
      await more();
      await disturb(load);
      await more();
    } finally {
      await load.stop();
      posted.push(...load.posted);
    }
    const refused = load.posted.filter(({ status }) => status !== 201);
    expect(refused.map(({ status, problem }) => `${status} ${problem}`)).toEqual([]);
    await atRest();
    const { orders, ...books } = await readBooks(sql, cluster.brokers.join(","));
    const checks = checkOrders(
      posted.filter(({ orderId = "" }) => !lost.has(orderId)),
      { ...books, orders: orders.filter(({ id }) => !lost.has(id)) },
      pieces,
    );
    const red = checks.filter(({ breaches }) => breaches.length > 0);
    expect(
      red.map(({ name, count, breaches }) => [
        name,
        count,
        breaches.length,
        ...breaches.slice(0, 3),
      ]),
    ).toEqual([]);
  }

  /** Nothing waits to be published, and nothing that is published to be handled. */
  async function atRest(): Promise<void> {
    await until(
      "no event is unpublished, no record unhandled",
      async () => {
        if ((await readBacklog(sql)).outboxRows > 0) return false;
        return (await readTopics(cluster.brokers.join(","))).recordsBehind === 0;
      },
      REST_WITHIN_MS,
      POLL_MS,
    );
  }

  async function pendingOrders(): Promise<string[]> {
    const rows: { id: string }[] = await sql`SELECT id FROM orders.orders WHERE status = 'pending'`;
    return rows.map(({ id }) => id);
  }

  test("a rolling restart loses no order", async () => {
    await underLoad(() => cluster.rollingRestart());
  });

  test("a leader that is killed loses no order", async () => {
    await underLoad(async () => {
      const leader = await cluster.leaderOf(ORDER_CREATED_TOPIC, 0);
      await cluster.kill(leader);
      await until(
        "another node leads",
        async () => (await cluster.leaderOf(ORDER_CREATED_TOPIC, 0)) !== leader,
        60_000,
        POLL_MS,
      );
      await cluster.start(leader);
      await cluster.inSync();
    });
  });

  test("a leader that freezes holds up orders only until it is fenced, and loses none", async () => {
    await underLoad(async (load) => {
      const leader = await cluster.leaderOf(ORDER_CREATED_TOPIC, 0);
      cluster.freeze(leader);
      try {
        await Bun.sleep(FROZEN_MS);
        const nowMs = Date.now();
        const pending = new Set(await pendingOrders());
        const due = load.posted.filter(({ endMs }) => endMs < nowMs - SETTLED_AFTER_MS);
        expect(due.length).toBeGreaterThan(RATE);
        expect(due.filter(({ orderId = "" }) => pending.has(orderId)).length).toBe(0);
      } finally {
        cluster.thaw(leader);
      }
      await cluster.inSync();
    });
  });

  test("a controller that is killed loses no order", async () => {
    await underLoad(async () => {
      const controller = cluster.controllerId();
      await cluster.kill(controller);
      await until(
        "another node is the controller",
        () => cluster.controllerId() !== controller,
        60_000,
      );
      await cluster.start(controller);
      await cluster.inSync();
    });
  });

  test("partitions that are added under load lose no order", async () => {
    await underLoad(() => cluster.increasePartitions(ORDER_CREATED_TOPIC, 12));
    // Those of now have been used.
    await underLoad(() => cluster.inSync());
  });
});
