import { expect, test } from "bun:test";
import { neededBy } from "#lib/service/services.ts";
import { loadWorkerConfig } from "./config.ts";

const needed = neededBy("worker", {
  postgres: () => "postgres://db/orderflow",
  kafka: () => "a:9092, b:9092",
  url: (name) => `https://${name}/base/`,
});

test("the worker knows its brokers and the services it calls", () => {
  expect(loadWorkerConfig(needed)).toMatchObject({
    kafka: { brokers: ["a:9092", "b:9092"] },
    urls: { orders: "https://orders/base", email: "https://email/base" },
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
