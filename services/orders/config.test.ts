import { expect, test } from "bun:test";
import { loadOrdersConfig } from "./config.ts";

const needed = { POSTGRES_URL: "postgres://u:p@db/orders", KAFKA_BROKERS: "kafka:9092" };

test("orders knows its database and its brokers", () => {
  expect(loadOrdersConfig(needed)).toMatchObject({
    database: { url: "postgres://u:p@db/orders", pooler: "none" },
    kafka: { brokers: ["kafka:9092"] },
    idempotencyKeysKeepHours: 24,
    cleanUpIntervalMs: 300_000,
  });
});

test.each([
  ["POSTGRES_URL", undefined],
  ["POSTGRES_POOLER", "statement"],
  ["KAFKA_BROKERS", undefined],
  ["RELAY_POLL_INTERVAL_MS", "49"],
  ["RELAY_BATCH_ROWS_MAX", "0"],
  ["RELAY_BATCH_ROWS_MAX", "1001"],
  ["IDEMPOTENCY_KEYS_KEEP_HOURS", "0"],
  ["IDEMPOTENCY_KEYS_KEEP_HOURS", "87601"],
  ["CLEANUP_INTERVAL_MS", "99"],
])("%s=%s is refused by name", (name, value) => {
  expect(() => loadOrdersConfig({ ...needed, [name]: value })).toThrow(name);
});
