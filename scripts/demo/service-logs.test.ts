import { expect, test } from "bun:test";
import { worryIn } from "./service-logs.ts";

const line = (fields: Record<string, unknown>) =>
  JSON.stringify({
    timestamp: "2026-01-01T00:00:00.000Z",
    level: "info",
    message: "ready",
    "service.name": "orders",
    ...fields,
  });

test("a warning is shown with its own fields, without what every line has", () => {
  const text = worryIn(line({ level: "warn", message: "events wait", error: { type: "Gone" } }));
  expect(text).toBe('warn: events wait {"error":{"type":"Gone"}}');
});

test("an error without fields is shown as it is", () => {
  expect(worryIn(line({ level: "error", message: "request failed", trace_id: "ab" }))).toBe(
    "error: request failed",
  );
});

test("what is said in passing is not shown", () => {
  expect(worryIn(line({}))).toBeUndefined();
  expect(worryIn("")).toBeUndefined();
});

test("what is no log line, as a crash's words, is shown", () => {
  expect(worryIn("panic: out of memory")).toBe("panic: out of memory");
});

test("a line is shown up to a bound", () => {
  expect(worryIn(line({ level: "warn", message: "x".repeat(5_000) }))?.length).toBe(300);
});
