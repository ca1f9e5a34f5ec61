import { expect, test } from "bun:test";
import { loadWorkerConfig } from "./config.ts";

const needed = {
  KAFKA_BROKERS: "a:9092, b:9092",
  ORDERS_SERVICE_URL: "http://orders:8081/",
  INVENTORY_SERVICE_URL: "http://inventory:8082",
  EMAIL_SERVICE_URL: "https://email/base/",
};

test("the worker knows its brokers and the services it calls", () => {
  expect(loadWorkerConfig(needed)).toMatchObject({
    kafka: { brokers: ["a:9092", "b:9092"] },
    ordersUrl: "http://orders:8081",
    inventoryUrl: "http://inventory:8082",
    emailUrl: "https://email/base",
    retryLimitMs: 60_000,
  });
});

test.each(Object.keys(needed))("without %s it does not start, and says so", (name) => {
  expect(() => loadWorkerConfig({ ...needed, [name]: undefined })).toThrow(name);
});

test.each([
  ["WORKER_CONCURRENCY", "0"],
  ["WORKER_CONCURRENCY", "1001"],
  ["WORKER_RETRY_LIMIT_MS", "-1"],
  ["WORKER_RETRY_LIMIT_MS", "1m"],
])("%s=%s is refused by name", (name, value) => {
  expect(() => loadWorkerConfig({ ...needed, [name]: value })).toThrow(name);
});
