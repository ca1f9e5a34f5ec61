// Behind PgBouncer in transaction mode: every answer is the right one, and what cannot work says so.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { startPostgres, type EmbeddedPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp, readVersion } from "#lib/migrate/index.ts";
import type { Order } from "#lib/orders/order.ts";
import { openDatabase } from "#lib/service/database.ts";
import { call, expectError, line, newOrder } from "../support/api.ts";
import { startDatabaseServices, type DatabaseServices } from "../support/database-services.ts";
import { findPgBouncer, startPgBouncer, type PgBouncer } from "../support/pgbouncer.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

// A developer may lack PgBouncer; where CI lacks it, these tests fail.
const canRun = findPgBouncer() !== null || Boolean(process.env["CI"]);
const TIMEOUT_MS = 120_000;
/** Few servers for many clients, so that each client is given another one all the time. */
const POOL_SIZE = 3;
const ROUNDS = 40;
const ITEMS = Array.from({ length: 10 }, (_, i) => `ITEM-${String(i + 1).padStart(3, "0")}`);

let postgres: EmbeddedPostgres;
const undo: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  undo.push(() => postgres.stop());
  await migrateUp({ postgresUrl: postgres.url });
}, TIMEOUT_MS);

afterAll(async () => {
  for (const one of undo.splice(0).toReversed()) await one();
}, TIMEOUT_MS);

describe.skipIf(!canRun)("behind PgBouncer (Debian's)", () => {
  let bouncer: PgBouncer;

  beforeAll(async () => {
    bouncer = await startPgBouncer(postgres.url, { default_pool_size: POOL_SIZE });
    undo.push(() => bouncer.stop());
  }, TIMEOUT_MS);

  test(
    "several processes at once get the right answers, all of them",
    async () => {
      const env = { POSTGRES_URL: bouncer.url, POSTGRES_POOLER: "transaction" };
      const replicas = await Promise.all([startDatabaseServices(env), startDatabaseServices(env)]);
      undo.push(() => Promise.all(replicas.map((one) => one.stop())));
      await Promise.all(
        replicas.flatMap((replica, r) => [
          ...ITEMS.map((_, client) => placeAndRead(replica, `customer-${r}-${client}`)),
          ...ITEMS.map((itemId) => moveAndRead(replica, itemId)),
        ]),
      );
      const sql = new SQL(postgres.url, { max: 1 });
      undo.push(() => sql.close({ timeout: 0 }));
      const [orders] = await sql`SELECT count(*)::int AS count FROM orders.orders`;
      expect(orders.count).toBe(2 * ITEMS.length * ROUNDS);
      const moved = await sql`SELECT item_id FROM inventory.items WHERE reserved <> 0`;
      expect([...moved]).toEqual([]);
      // What the role has no limit for, the log says once.
      for (const { orders: service } of replicas) {
        const warnings = service.lines.filter(({ message }) => /no limit on the/.test(message));
        expect(warnings).toHaveLength(1);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "a transaction brings its own bounds, and leaves none behind on the server connection",
    async () => {
      const one = await startPgBouncer(postgres.url, { default_pool_size: 1 });
      const database = openDatabase({ url: one.url, pooler: "transaction" }, "bounds");
      undo.push(
        () => one.stop(),
        () => database.close(),
      );
      const names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
      const settings = `SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name`;
      const inside = await database.sql.transaction((tx) => tx.run(settings, [names]));
      expect(inside).toEqual([
        { name: "statement_timeout", value: "4500ms" },
        { name: "lock_timeout", value: "4s" },
        { name: "idle_in_transaction_session_timeout", value: "5s" },
      ]);
      const outside = await database.untraced.run<{ value: string }>(settings, [names]);
      expect(outside.map(({ value }) => value)).toEqual(["0", "0", "0"]);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["refuses the start-up parameters", {}, "a pooler refuses the connection"],
    [
      "was told to ignore them",
      {
        ignore_startup_parameters: [
          "statement_timeout",
          "lock_timeout",
          "idle_in_transaction_session_timeout",
          "tcp_keepalives_idle",
          "tcp_keepalives_interval",
          "tcp_keepalives_count",
          "tcp_user_timeout",
          "orderflow.direct",
        ].join(","),
      },
      "a pooler drops the connection's start-up parameters",
    ],
  ])(
    "without POSTGRES_POOLER, where it %s, readiness says what to set; a migration does not run",
    async (_what, settings, reason) => {
      const other = await startPgBouncer(postgres.url, settings);
      undo.push(() => other.stop());
      const services = await startDatabaseServices({ POSTGRES_URL: other.url }, false);
      undo.push(() => services.stop());
      for (const { url } of [services.orders, services.inventory]) {
        // On a busy machine the first look may come to no answer in its time.
        const says = await until("readiness tells the reason", async () => {
          const { status, json } = await call("GET", `${url}/readyz`);
          expect(status).toBe(503);
          const { postgres: text } = json as { postgres: string };
          return text.includes(reason) && text;
        });
        expect(says).toContain("set POSTGRES_POOLER=transaction");
      }
      // Nor does any request run a statement there: it could get another client's rows.
      expectError(await call("POST", `${services.orders.url}/orders`, newOrder()), 503);

      const child = Bun.spawn([process.execPath, "run", "scripts/migrate.ts", "up"], {
        cwd: `${import.meta.dir}/../..`,
        env: { ...process.env, POSTGRES_URL: other.url },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [exitCode, stderr] = [await child.exited, await child.stderr.text()];
      expect([exitCode, stderr.trimEnd().split("\n").length]).toEqual([1, 1]);
      expect(stderr).toContain("POSTGRES_URL must be the server's own (direct) URL here");
      expect(stderr).not.toContain(new URL(postgres.url).password);
      await expect(readVersion(other.url)).rejects.toThrow("there is a pooler");
    },
    TIMEOUT_MS,
  );
});

test(
  "nothing that a transaction pooler could tear apart goes over the wire: no named statement, none run that was not parsed in the same exchange",
  async () => {
    const sent = new Map<number, Buffer[]>();
    const proxy = await startTcpProxy({ port: postgres.port }, 0, (id, bytes) => {
      sent.set(id, [...(sent.get(id) ?? []), bytes]);
    });
    undo.push(() => proxy.stop());
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    const database = openDatabase({ url: url.href, pooler: "transaction" }, "wire");
    undo.push(() => database.close());
    const values = ["text", 5, 5_000_000_000, 1.5, true, null, new Date(0), { a: 1 }, ["a", "b"]];
    const types = "text int bigint float8 bool text timestamptz jsonb text[]".split(" ");
    const columns = types.map((type, i) => `$${i + 1}::${type} AS c${i}`);
    // Each twice: a driver may remember what it has described.
    for (const _ of [1, 2]) {
      for (const [i, type] of types.entries()) {
        await database.sql.run(`SELECT $1::${type} AS value`, [values[i]]);
      }
      await database.sql.run(`SELECT ${columns.join(", ")}`, values);
      await database.sql.query`SELECT ${"x".repeat(100_000)}::text AS long`;
      await database.sql.transaction((tx) => tx.run("SELECT $1::int AS value", [1]));
      await database.sql.run("SELECT $1::int / 0 AS broken", [1]).catch(() => undefined);
    }
    const exchanges = [...sent.values()].flatMap((pieces) => exchangesOf(Buffer.concat(pieces)));
    const bound = exchanges.filter((exchange) => exchange.includes("Bind"));
    expect(bound.length).toBeGreaterThanOrEqual(2 * (types.length + 4));
    for (const exchange of bound)
      expect(exchange.slice(0, exchange.indexOf("Bind"))).toContain("Parse");
    expect(exchanges.flat()).not.toContain("Parse named");
  },
  TIMEOUT_MS,
);

/** Places orders, and reads each of them back in two ways: it must be that one, by that customer. */
async function placeAndRead({ orders: { url } }: DatabaseServices, customerId: string) {
  for (let round = 1; round <= ROUNDS; round++) {
    const items = [line("ITEM-001", round, round), line("ITEM-002", 1, 7)];
    const placed = await call("POST", `${url}/orders`, newOrder(items, customerId));
    expect(placed.status, placed.text).toBe(201);
    const order = placed.json as Order;
    const read = await call("GET", `${url}/orders/${order.id}`);
    expect([read.status, read.json]).toEqual([200, order]);
    const listed = await call("GET", `${url}/orders?customer_id=${customerId}&limit=1`);
    expect([listed.status, listed.json]).toEqual([200, [order]]);
  }
}

/** Moves stock to and fro, and looks at it: it must be that item. */
async function moveAndRead({ inventory: { url } }: DatabaseServices, itemId: string) {
  const orderId = crypto.randomUUID();
  for (let round = 1; round <= ROUNDS; round++) {
    for (const step of ["reserve", "release"]) {
      const body = { quantity: 1, order_id: `${orderId}-${round}` };
      const moved = await call("POST", `${url}/stock/${itemId}/${step}`, body);
      expect([moved.status, (moved.json as { item_id: string }).item_id]).toEqual([200, itemId]);
    }
    const read = await call("GET", `${url}/stock/${itemId}`);
    expect([read.status, (read.json as { item_id: string }).item_id]).toEqual([200, itemId]);
  }
}

/** What a client of PostgreSQL sent after its start-up, cut at each Sync. */
function exchangesOf(sent: Buffer): string[][] {
  const exchanges: string[][] = [[]];
  let at = 0;
  while (at + 8 <= sent.length && sent[at] === 0) at += sent.readInt32BE(at); // untyped: start-up
  while (at + 5 <= sent.length) {
    const type = String.fromCharCode(sent[at] ?? 0);
    const isNamed = sent[at + 5] !== 0;
    if (type === "P") exchanges.at(-1)?.push(isNamed ? "Parse named" : "Parse");
    if (type === "B") exchanges.at(-1)?.push("Bind");
    if (type === "S") exchanges.push([]);
    at += 1 + sent.readInt32BE(at + 1);
  }
  return exchanges;
}
