/** The orders service: keeps orders, and publishes what happened to them. */
import { createKafka } from "#lib/kafka/client.ts";
import { startCleanUp } from "#lib/service/clean-up.ts";
import { openDatabase } from "#lib/service/database.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { addOrdersRoutes } from "./app.ts";
import { idempotencyKeysCleanUp } from "./clean-up.ts";
import { loadOrdersConfig } from "./config.ts";
import { hangOutboxBell } from "./outbox-bell.ts";
import { watchOverdueOrders } from "./overdue-orders.ts";
import { startRelay } from "./relay.ts";
import { createOrderRepository } from "./repository.ts";

const service = startService("orders", 8081, loadOrdersConfig);
const { config } = service;

const database = openDatabase(config.postgresUrl, "orders");
service.afterWork("database", () => database.close());

const bell = hangOutboxBell(database);
service.onStop("outbox bell", () => bell.stop());

const relay = startRelay({
  database,
  bell,
  kafka: createKafka({ brokers: config.kafkaBrokers, clientId: "orders" }),
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
const app = service.baseApp(ready, { info: () => ({ kafka: relay.problem ?? "ok" }) });
service.listen(addOrdersRoutes(app, createOrderRepository(database.sql), bell), ready);
