import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { errorText, errorTypeOf } from "./error-text.ts";
import { failSpan, inSpan } from "./span.ts";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
beforeEach(() => {
  exporter.reset();
  trace.disable();
  trace.setGlobalTracerProvider(provider);
});
afterEach(() => trace.disable());

describe("a step", () => {
  test("is an INTERNAL span that ends once, and gives back what its work gives", async () => {
    const result = await inSpan("reserve items", { "orderflow.order.id": "7" }, async () => 42);
    expect(result).toBe(42);
    const [span, ...more] = exporter.getFinishedSpans();
    expect(more).toEqual([]);
    expect(span).toMatchObject({
      name: "reserve items",
      kind: SpanKind.INTERNAL,
      attributes: { "orderflow.order.id": "7" },
      status: { code: SpanStatusCode.UNSET },
    });
  });

  test("that throws is failed, and what it threw is thrown on", async () => {
    const error = new RangeError("too much");
    // oxlint-disable-next-line typescript/await-thenable
    await expect(inSpan("step", {}, async () => Promise.reject(error))).rejects.toBe(error);
    expect(exporter.getFinishedSpans()[0]).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: "too much" },
      attributes: { "error.type": "RangeError" },
    });
  });
});

test("status, error.type and description come together", () => {
  const span = provider.getTracer("t").startSpan("s");
  failSpan(span, "503", "not now");
  span.end();
  expect(exporter.getFinishedSpans()[0]).toMatchObject({
    status: { code: SpanStatusCode.ERROR, message: "not now" },
    attributes: { "error.type": "503" },
  });
});

describe("an error's text", () => {
  test.each([
    ["just text", "just text"],
    [{ message: "not now, password=hunter2" }, "not now, password=REDACTED"],
    [{ code: 7 }, "what was thrown is no Error"],
    [null, "null"],
    [
      {
        get message() {
          throw new Error("not to be read");
        },
      },
      "what was thrown cannot be read",
    ],
    [Object.assign(new Error(), { message: { code: 7 } }), "[object Object]"],
    [
      Object.assign(new Error("expected a, found leak-me"), { issues: [1, 2] }),
      "validation failed: 2 issues",
    ],
  ])("of %p, which is no plain Error, is %p", (thrown, text) =>
    expect(errorText(thrown)).toBe(text),
  );

  test("shows no secret, also where it is cut", () => {
    expect(errorText(new Error("open postgres://me:hunter2@db/x"))).toBe(
      "open postgres://REDACTED:REDACTED@db/x",
    );
    const long = `${"x".repeat(480)} postgres://me:hunter2@db/x`;
    expect(errorText(new Error(long))).not.toContain("hunt");
    expect(errorText(long)).not.toContain("hunt");
  });

  test("is at most 500 characters long", () => {
    expect(errorText("x".repeat(10_000))).toHaveLength(500);
  });

  test("is its class where it says nothing", () => {
    expect(errorText(new TypeError())).toBe("TypeError");
  });
});

describe("an error's type", () => {
  class OwnType extends Error {
    readonly errorType = "40001";
  }
  class NamedByClass extends Error {}
  test.each([
    ["40001", new OwnType("x")],
    ["NamedByClass", new NamedByClass("x")],
    ["TypeError", new TypeError("x")],
    ["TimeoutError", new DOMException("x", "TimeoutError")],
    ["Error", new Error("x")],
    ["_OTHER", "thrown text"],
    ["_OTHER", undefined],
  ])("is %s", (type, error) => expect(errorTypeOf(error)).toBe(type));
});
