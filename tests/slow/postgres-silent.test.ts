// Connections to PostgreSQL that go silent, break or crawl: the services go on without a restart.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { startPostgres, type EmbeddedPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { openDatabase } from "#lib/service/database.ts";
import { expectError } from "../support/api.ts";
import { startDatabaseServices, type DatabaseServices } from "../support/database-services.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 90_000;
/** One limit's time and a new connection. Before, no order was accepted any more: 108 s were waited. */
const HEALED_WITHIN_MS = 9_000;
/** Longer than a connection is trusted without a word. */
const QUIET_MS = 1_200;

let postgres: EmbeddedPostgres;
let proxy: TcpProxy;
let services: DatabaseServices;
/** Past the proxy. */
let sql: SQL;
let proxiedUrl = "";

beforeAll(async () => {
  postgres = await startPostgres();
  await migrateUp({ postgresUrl: postgres.url });
  sql = new SQL(postgres.url, { max: 3 });
  proxy = await startTcpProxy({ port: postgres.port });
  const url = new URL(postgres.url);
  url.port = String(proxy.port);
  proxiedUrl = url.href;
  services = await startDatabaseServices({
    POSTGRES_URL: proxiedUrl,
    RELAY_POLL_INTERVAL_MS: "60000", // its looks are statements, too
  });
}, TIMEOUT_MS);

afterEach(async () => {
  await proxy.onNew("forward");
  proxy.drip(undefined);
  // The server has not heard yet that anybody has gone, and has no more than 100 connections.
  proxy.reset();
});

afterAll(async () => {
  await services?.stop();
  await proxy?.stop();
  await sql?.close({ timeout: 0 });
  await postgres?.stop();
}, TIMEOUT_MS);

/** Opens every connection that the services may have, or many of them. */
async function warm(): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, i) =>
      i % 2 ? services.placeOrder() : services.reserve("ITEM-003"),
    ),
  );
  expect(answers.map((answer) => answer?.status).toSorted()).toEqual(
    Array.from({ length: 24 }, (_, i) => (i < 12 ? 200 : 201)),
  );
}

/** @returns milliseconds until an order and a reserve are answered as they should be */
async function healed(): Promise<number> {
  const startedMs = performance.now();
  await until(
    "both services answer again",
    async () => {
      const [order, move] = await Promise.all([
        services.placeOrder(),
        services.reserve("ITEM-003"),
      ]);
      return order?.status === 201 && move?.status === 200;
    },
    60_000,
  );
  return performance.now() - startedMs;
}

/** Who is at the other end of each connection, by the port that the server sees. */
async function connectionsOf(application: string) {
  const backends: { client_port: number }[] = await sql`
    SELECT client_port FROM pg_stat_activity WHERE application_name = ${application}`;
  const ports = new Set(backends.map(({ client_port }) => client_port));
  return proxy.connections.filter(({ upstreamPort }) => ports.has(upstreamPort ?? -1));
}

const readiness = async () => (await fetch(`${services.inventory.url}/readyz`)).status;

describe("all connections go silent at once", () => {
  test(
    "under load: every request is answered, and orders are accepted again within one limit's time",
    async () => {
      await warm();
      const before = await connectionsOf("orders");
      expect(before.length).toBeGreaterThan(1);
      proxy.silence();
      const inHand = Array.from({ length: 20 }, (_, i) =>
        i % 2 ? services.placeOrder() : services.reserve("ITEM-003"),
      );
      const healedMs = await healed();
      for (const answer of await Promise.all(inHand)) {
        if (!answer || answer.status === 503) expectError(answer as never, 503);
        else expect([200, 201]).toContain(answer.status);
      }
      console.log(`healed after ${healedMs.toFixed(0)} ms`);
      expect(healedMs).toBeLessThan(HEALED_WITHIN_MS);
      // None is kept, and none waits for its turn to cost a request its time.
      expect(before.filter(({ isOpen }) => isOpen)).toEqual([]);
      await warm();
    },
    TIMEOUT_MS,
  );

  test(
    "while nobody asks anything: the next request is answered as if nothing were",
    async () => {
      await warm();
      await until("the relay has nothing to do, either", async () => {
        // A statement whose answer was lost took events in hand: they are due again a lease later, and
        // without its looks the relay hears of them with the next order.
        const left: { due: boolean }[] = await sql`
          SELECT due_at <= clock_timestamp() AS due FROM orders.outbox`;
        if (left.some(({ due }) => due)) await services.placeOrder();
        return left.length === 0;
      });
      await Bun.sleep(QUIET_MS);
      proxy.silence();
      const startedMs = performance.now();
      const [order, move] = await Promise.all([
        services.placeOrder(),
        services.reserve("ITEM-003"),
      ]);
      expect([order?.status, move?.status]).toEqual([201, 200]);
      console.log(`answered after ${(performance.now() - startedMs).toFixed(0)} ms`);
      await warm();
    },
    TIMEOUT_MS,
  );

  test(
    "readiness says so, and says ready again by itself",
    async () => {
      await warm();
      proxy.silence();
      await proxy.onNew("silence");
      await until("not ready", async () => (await readiness()) === 503);
      await proxy.onNew("forward");
      await until("ready", async () => (await readiness()) === 200);
      await warm();
    },
    TIMEOUT_MS,
  );
});

test(
  "one connection goes silent: at most the request on it fails",
  async () => {
    await warm();
    const connections = await connectionsOf("inventory");
    connections.at(-1)?.silence();
    const answers = await Promise.all(
      // Of several items: one row would be waited for in turn.
      Array.from({ length: 60 }, (_, i) => services.reserve(`ITEM-00${1 + (i % 9)}`)),
    );
    const statuses = answers.map((answer) => answer?.status);
    expect(statuses.filter((status) => status !== 200).length).toBeLessThan(2);
    await until("it is given up", () => connections.at(-1)?.isOpen === false);
    await warm();
  },
  TIMEOUT_MS,
);

test(
  "all connections are reset: the next requests get new ones",
  async () => {
    await warm();
    proxy.reset();
    expect(await healed()).toBeLessThan(HEALED_WITHIN_MS);
    await warm();
  },
  TIMEOUT_MS,
);

test(
  "an answer that drips in over minutes is not waited for",
  async () => {
    await warm();
    proxy.drip({ bytes: 1, pauseMs: 250 });
    const startedMs = performance.now();
    expectError((await services.reserve("ITEM-003")) as never, 503);
    expect(performance.now() - startedMs).toBeLessThan(HEALED_WITHIN_MS);
    proxy.drip(undefined);
    expect(await healed()).toBeLessThan(HEALED_WITHIN_MS);
  },
  TIMEOUT_MS,
);

test(
  "a server that takes connections and never answers: requests end, and go on when it answers",
  async () => {
    await warm();
    await proxy.onNew("silence");
    proxy.reset();
    const startedMs = performance.now();
    await until("a request is refused", async () => {
      const answer = await services.placeOrder();
      expect(answer).toBeDefined();
      return answer?.status === 503;
    });
    expect(performance.now() - startedMs).toBeLessThan(HEALED_WITHIN_MS);
    await proxy.onNew("forward");
    expect(await healed()).toBeLessThan(HEALED_WITHIN_MS);
  },
  TIMEOUT_MS,
);

test(
  "who is cut off in the middle of a transaction holds its locks for seconds only",
  async () => {
    const database = openDatabase({ url: proxiedUrl, pooler: "none" }, "cut-off");
    const locked = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const holder = database.sql
      .transaction(async (tx) => {
        await tx.query`UPDATE inventory.items SET name = name WHERE item_id = ${"ITEM-010"}`;
        locked.resolve();
        await done.promise;
        await tx.query`SELECT 1`;
      })
      .catch((error: unknown) => error);
    try {
      await locked.promise;
      const [connection] = await connectionsOf("cut-off");
      connection?.silence();
      const startedMs = performance.now();
      await until(
        "the lock is free",
        async () => (await services.reserve("ITEM-010"))?.status === 200,
        30_000,
      );
      console.log(`the lock was free after ${(performance.now() - startedMs).toFixed(0)} ms`);
      expect(await connectionsOf("cut-off")).toEqual([]);
    } finally {
      done.resolve();
      await database.close();
    }
    expect(await holder).toBeInstanceOf(Error);
  },
  TIMEOUT_MS,
);
