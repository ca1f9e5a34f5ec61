/** The orders service: keeps orders, and publishes what happened to them. */
import { createKafka } from "#lib/kafka/client.ts";
import { startCleanUp } from "#lib/service/clean-up.ts";
import { openDatabase } from "#lib/service/database.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { addOrdersRoutes } from "./app.ts";
import { idempotencyKeysCleanUp } from "./clean-up.ts";
import { loadOrdersConfig } from "./config.ts";
import { watchOverdueOrders } from "./overdue-orders.ts";
import { startRelay } from "./relay.ts";
import { createOrderRepository } from "./repository.ts";

const service = startService("orders", loadOrdersConfig);
const { config } = service;

const database = openDatabase(config.database, "orders");
service.afterWork("database", () => database.close());

const relay = startRelay({
  database,
  kafka: createKafka({ connection: config.kafka, clientId: "orders" }),
  pollIntervalMs: config.relayPollIntervalMs,
  batchRowsMax: config.relayBatchRowsMax,
});
service.onStop("relay", () => relay.stop());

const cleanUp = startCleanUp({
  database,
  tables: [idempotencyKeysCleanUp(config.idempotencyKeysKeepHours)],
  intervalMs: config.cleanUpIntervalMs,
});
service.onStop("clean-up", () => cleanUp.stop());

const overdueOrders = watchOverdueOrders(database);
service.onStop("watch over orders", () => overdueOrders.stop());

// Orders are accepted without Kafka: their events wait in the outbox. The body of /readyz tells.
const ready = { postgres: () => database.probe("orders.outbox") };
const app = service.baseApp(ready, {
  info: () => ({
    kafka: relay.problem ?? "ok",
    ...(relay.backlog !== undefined && { outbox: relay.backlog }),
  }),
});
service.listen(addOrdersRoutes(app, createOrderRepository(database.sql), relay), ready);
