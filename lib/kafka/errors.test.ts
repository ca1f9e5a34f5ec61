// Tests of which errors are tried again.
import { expect, test } from "bun:test";
import { KafkaJSGroupCoordinatorNotFound } from "kafkajs";
import {
  AbandonedError,
  describeError,
  errorName,
  isRetryable,
  UnprocessableRecordError,
} from "./errors.ts";

test("only an error that says so is tried again", () => {
  expect(isRetryable(Object.assign(new Error("503"), { retryable: true }))).toBeTrue();
  expect(isRetryable(Object.assign(new Error("400"), { retryable: false }))).toBeFalse();
  expect(isRetryable(Object.assign(new Error("odd"), { retryable: "yes" }))).toBeFalse();
  expect(isRetryable(new TypeError("a bug"))).toBeFalse();
  expect(isRetryable({ retryable: true })).toBeFalse();
  expect(isRetryable(undefined)).toBeFalse();
});

test("neither an unparsable record nor one given back is tried again", () => {
  expect(isRetryable(new UnprocessableRecordError("no JSON"))).toBeFalse();
  expect(isRetryable(new AbandonedError("stopping"))).toBeFalse();
});

test("an error is called by its class's name, or by the one it has given itself", () => {
  class StockServiceError extends Error {}
  expect(errorName(new StockServiceError("503"))).toBe("StockServiceError");
  expect(errorName(new DOMException("late", "TimeoutError"))).toBe("TimeoutError");
  expect(errorName(new Error("plain"))).toBe("Error");
});

test("an error's text is one bounded line", () => {
  const text = describeError(new RangeError(`first\nsecond ${"x".repeat(5_000)}`));
  expect(text).toStartWith("RangeError: first second x");
  expect(text).toHaveLength(1_000);
  expect(describeError({ toString: () => "odd" })).toBe("odd");
});

test("an error's text holds no secrets", () => {
  const secrets = [
    "connect to postgres://orders:hunter2@db:5432/orders failed",
    "request had Authorization: Bearer hunter2, refused",
    'body {"password": "hunter2"}',
    "GET /?token=hunter2&limit=5",
  ];
  const texts = secrets.map((message) => describeError(new Error(message)));
  expect(texts.join("\n")).not.toContain("hunter2");
  expect(texts[0]).toContain("@db:5432/orders failed");
  expect(texts[3]).toContain("limit=5");
});

test("an error of which kafkajs says too little says what may be behind it", () => {
  // Its types say that it takes no text, and it takes one.
  const error: unknown = Reflect.construct(KafkaJSGroupCoordinatorNotFound, ["not found"]);
  expect(describeError(error)).toMatch(/not found; no broker names one: .* no right to the group$/);
});
