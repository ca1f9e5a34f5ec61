// Tests of which errors are tried again.
import { expect, test } from "bun:test";
import { AbandonedError, errorName, isRetryable, UnprocessableRecordError } from "./errors.ts";

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
