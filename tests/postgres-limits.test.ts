// The bounds that a connection to PostgreSQL has on the server's side, and what serves without them.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";
import { startPostgres, type EmbeddedPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp, readVersion } from "#lib/migrate/index.ts";
import { onDatabase, openDatabase } from "#lib/service/database.ts";
import { UnavailableError } from "#lib/service/errors.ts";
import { until } from "./support/until.ts";

const TIMEOUT_MS = 60_000;

let postgres: EmbeddedPostgres;
let serverLog = "";
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  postgres = await startPostgres({
    settings: { log_connections: "on", log_disconnections: "on" },
    onLog: (text) => (serverLog += text),
  });
  undo.push(() => postgres.stop());
  await migrateUp({ postgresUrl: postgres.url });
}, TIMEOUT_MS);

afterAll(async () => {
  for (const one of undo.splice(0).toReversed()) await one();
}, TIMEOUT_MS);

function open(url: string) {
  const database = openDatabase({ url, pooler: "none" }, "limits");
  undo.push(() => database.close());
  return database;
}

const SETTINGS = `
  SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
         current_setting('idle_in_transaction_session_timeout') AS idle,
         current_setting('tcp_keepalives_idle') AS keepalive,
         current_setting('tcp_user_timeout') AS unacknowledged`;
const BOUNDS = { statement: "4500ms", lock: "4s", idle: "5s" };

test("every connection has a bound for statements, locks and idle transactions, and keep-alives", async () => {
  const [found] = await open(postgres.url).untraced.run(SETTINGS, []);
  expect(found).toEqual({ ...BOUNDS, keepalive: "30", unacknowledged: "30000" });
});

test("a connection leads to the database that its URL names, whatever PGDATABASE says", async () => {
  process.env["PGDATABASE"] = "postgres";
  try {
    const database = open(postgres.url).untraced;
    const [found] = await database.run("SELECT current_database()::text AS name", []);
    expect(found).toEqual({ name: "orderflow" });
  } finally {
    delete process.env["PGDATABASE"];
  }
});

test(
  "a lock that another one keeps is waited for with a bound, and the caller is told to try again",
  async () => {
    const database = open(postgres.url);
    const tooLate = Promise.withResolvers<void>();
    const holder = database.sql.transaction(async (tx) => {
      await tx.query`UPDATE inventory.items SET name = name WHERE item_id = ${"ITEM-001"}`;
      // Its statements go on, so that it is not taken for gone.
      await until("the other one gave up", async () => {
        await tx.query`SELECT 1`;
        return await Promise.race([tooLate.promise.then(() => true), Bun.sleep(500)]);
      });
    });
    await until("it holds the lock", async () => {
      const found = await database.untraced.run(
        "SELECT 1 FROM inventory.items WHERE item_id = 'ITEM-001' FOR UPDATE SKIP LOCKED",
        [],
      );
      return found.length === 0;
    });
    const startedMs = performance.now();
    const failure = await onDatabase(
      () =>
        database.sql.query`UPDATE inventory.items SET name = name WHERE item_id = ${"ITEM-001"}`,
    ).catch((error: unknown) => error);
    tooLate.resolve();
    await holder;
    expect(failure).toBeInstanceOf(UnavailableError);
    expect((failure as Error).cause).toMatchObject({ errno: "55P03" });
    expect(performance.now() - startedMs).toBeGreaterThan(3_900);
  },
  TIMEOUT_MS,
);

test(
  "a server that does not know the keep-alive settings is used without them, for migrations, too",
  async () => {
    // As one would be on another system, or one that only speaks PostgreSQL's protocol.
    const server = createServer((client) => void refuseKeepAlive(client, postgres.port));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    undo.push(() => server.close());
    const url = new URL(postgres.url);
    url.port = String((server.address() as AddressInfo).port);
    const database = open(url.href);
    await until("it is used", async () => {
      try {
        await database.probe("orders.outbox");
        return true;
      } catch (error) {
        expect((error as Error).message).toContain("unrecognized configuration parameter");
        return false;
      }
    });
    const [found] = await database.untraced.run(SETTINGS, []);
    expect(found).toMatchObject({ ...BOUNDS, unacknowledged: "0" });
    expect((await readVersion(url.href)).dirty).toBe(false);
  },
  TIMEOUT_MS,
);

test("closing says goodbye: the server's log has no broken connection", async () => {
  const database = openDatabase({ url: postgres.url, pooler: "none" }, "goodbye");
  await Promise.all([1, 2, 3].map(() => database.untraced.query`SELECT 1`));
  serverLog = "";
  await database.close();
  await until("all three have left", () => serverLog.split("disconnection:").length - 1 >= 3);
  expect(serverLog).not.toMatch(/unexpected EOF|could not receive|reset by peer/);
});

/** Leads a client to PostgreSQL, but for those that want keep-alive settings. */
async function refuseKeepAlive(client: Socket, port: number): Promise<void> {
  const startup = await new Promise<Buffer>((resolve) => client.once("data", resolve));
  if (startup.includes("tcp_user_timeout")) {
    const fields = "SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter\0\0";
    const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4]);
    client.end(Buffer.concat([head, Buffer.from(fields)]));
    return;
  }
  const upstream = createConnection({ host: "127.0.0.1", port });
  upstream.write(startup);
  client.pipe(upstream).pipe(client);
  for (const socket of [client, upstream]) socket.on("error", () => {});
}
