/** Two replicas of orders share an outbox, and one of them is cut off with events in its hands. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import { freePort } from "#lib/embedded/free-port.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { createChild } from "../../scripts/chaos/child.ts";
import { isListening } from "../../scripts/shared/is-listening.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, newOrder } from "../support/api.ts";
import { startServiceProcess } from "../support/service-process.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(120_000);

const ORDERS = 20;
/** A lease is 10 s, and the other replica looks every 2 s. Before there were leases: two hours. */
const TAKEN_OVER_WITHIN_MS = 30_000;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** The events of the outbox, and how many of them are in a relay's hands. */
async function waiting(sql: SQL): Promise<{ count: number; held: number }> {
  const [found] = await sql`
    SELECT count(*)::int AS count, count(*) FILTER (WHERE due_at > now())::int AS held
    FROM orders.outbox`;
  return found;
}

test("the events of a replica that is cut off in the middle of a batch are published by the other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-replicas-"));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  await migrateUp({ postgresUrl: postgres.url });
  const sql = new SQL(postgres.url, { max: 2 });
  undo.push(() => sql.close());
  const upstream = new URL(postgres.url);
  const proxy = await startTcpProxy({ host: upstream.hostname, port: Number(upstream.port) });
  undo.push(() => proxy.stop());
  const proxied = new URL(postgres.url);
  proxied.port = String(proxy.port);

  const brokerPort = freePort();
  const broker = createChild({
    name: "kafka",
    args: () => ["scripts/chaos/programs/broker.ts", String(brokerPort)],
    env: {},
    folder,
    onUnexpectedEnd: (what) => console.error(what),
  });
  broker.start();
  undo.push(async () => {
    broker.thaw();
    await broker.kill();
  });
  await until("the broker listens", () => isListening(brokerPort));

  const env = { KAFKA_BROKERS: `127.0.0.1:${brokerPort}`, OTEL_SDK_DISABLED: "true" };
  const cutOff = await startServiceProcess("orders", { ...env, POSTGRES_URL: proxied.href });
  undo.push(() => cutOff.stop());
  await cutOff.ready();
  await call("POST", `${cutOff.url}/orders`, newOrder());
  await until("the first event is published", async () => (await waiting(sql)).count === 0);

  // Kafka takes its time, so the relay has events in its hands for some seconds.
  broker.freeze();
  await Promise.all(
    Array.from({ length: ORDERS }, async () => {
      expect((await call("POST", `${cutOff.url}/orders`, newOrder())).status).toBe(201);
    }),
  );
  await until("it has some in hand", async () => (await waiting(sql)).held > 0);
  proxy.silence();
  await proxy.onNew("silence");

  const other = await startServiceProcess("orders", { ...env, POSTGRES_URL: postgres.url });
  undo.push(() => other.stop());
  broker.thaw();
  await other.ready();
  await until(
    "the other one has published them",
    async () => (await waiting(sql)).count === 0,
    TAKEN_OVER_WITHIN_MS,
  );
});
