import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace, TraceFlags } from "@opentelemetry/api";
import { assert, integer, oneof, property, string } from "fast-check";
import { configureLogger, isLogLevel, logger, type LogFields } from "./logger.ts";

let output = "";
let write: ReturnType<typeof spyOn>;

beforeEach(() => {
  output = "";
  write = spyOn(process.stdout, "write").mockImplementation((text) => {
    output += String(text);
    return true;
  });
  configureLogger({ serviceName: "orders", level: "debug" });
});
afterEach(() => {
  write.mockRestore();
  configureLogger({ serviceName: "unknown_service", level: "info" });
});

/** Logs one line and reads it back. */
function logged(message: string, fields?: LogFields): Record<string, unknown> {
  output = "";
  logger.info(message, fields);
  return JSON.parse(output) as Record<string, unknown>;
}

describe("a line", () => {
  test("is one JSON object with the standard fields first", () => {
    expect(Object.entries(logged("hello", { a: 1 }))).toEqual([
      ["timestamp", expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)],
      ["level", "info"],
      ["message", "hello"],
      ["service.name", "orders"],
      ["a", 1],
    ]);
    expect(output).toEndWith("}\n");
  });

  test("has the ids of the span that it is written in", () => {
    const spanContext = {
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: "00f067aa0ba902b7",
      traceFlags: TraceFlags.SAMPLED,
    };
    const active = spyOn(context, "active").mockReturnValue(
      trace.setSpanContext(ROOT_CONTEXT, spanContext),
    );
    try {
      expect(logged("inside")).toMatchObject({
        trace_id: spanContext.traceId,
        span_id: spanContext.spanId,
        trace_flags: "01",
      });
      // What is active where telemetry is switched off.
      active.mockReturnValue(trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT));
      expect(logged("in no trace")).not.toHaveProperty("trace_id");
    } finally {
      active.mockRestore();
    }
    expect(logged("outside")).not.toHaveProperty("trace_id");
  });

  test("below the level is not written", () => {
    configureLogger({ serviceName: "orders", level: "warn" });
    logger.debug("no");
    logger.info("no");
    logger.warn("yes");
    logger.error("yes");
    expect(output.match(/"message":"(\w+)"/g)).toEqual(['"message":"yes"', '"message":"yes"']);
  });
});

/** Any character; often one that a terminal acts upon. fast-check's own "binary" takes 0.6 s to make. */
const anyCharacter = oneof(
  codePoint(0, 0xd7ff),
  codePoint(0xe000, 0x10ffff),
  codePoint(0, 0xa0),
  codePoint(0x2020, 0x2070), // with ends of lines, and what turns the direction of a text
);

function codePoint(min: number, max: number) {
  return integer({ min, max }).map((code) => String.fromCodePoint(code));
}

describe("nobody can forge a line", () => {
  test("by any text, wherever it stands: it stays one printable line and is read back unchanged", () => {
    const text = string({ unit: anyCharacter, maxLength: 40 });
    assert(
      property(text, text, (one, other) => {
        const { message, field } = logged(one, { field: other });
        expect([message, field]).toEqual([one.toWellFormed(), other.toWellFormed()]);
        // One line end, and no other character that a terminal or a viewer would act upon.
        // oxlint-disable-next-line no-control-regex
        expect(output).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*\n$/);
      }),
      // What looks like a secret is not read back unchanged; random text does not, but for URLs.
      { seed: 7, numRuns: 200 },
    );
  });

  test.each(["\n", "\r", "\u001b[2J", "\u007f", "\u0085", "\u009b", "\u2028", "\u2029", "\u202e"])(
    "with %j in message, field and field name",
    (character) => {
      logger.info(`a${character}b`, { [`c${character}`]: `d${character}` });
      expect(output.slice(0, -1)).not.toContain(character);
      expect(output.match(/\n/g)).toHaveLength(1);
    },
  );

  test("by fields named like the standard ones", () => {
    const line = logged("real", { message: "forged", level: "error", "service.name": "bank" });
    expect(line).toMatchObject({ message: "real", level: "info", "service.name": "orders" });
  });
});

describe("a secret is not shown", () => {
  test.each([
    [{ password: "hunter2" }],
    [{ headers: { Authorization: "Bearer hunter2" } }],
    [{ list: [{ apiKey: "hunter2" }] }],
    [{ url: "postgres://me:hunter2@db/x" }],
    [{ error: new Error("cannot open postgres://me:hunter2@db/x") }],
    [{ text: "password=hunter2" }],
    [{ bytes: Buffer.from("hunter2") }],
    [{ deep: { deep: { deep: { deep: { deep: { plain: "hunter2" } } } } } }],
  ] as [LogFields][])("%j", (fields) => {
    logged("trying password=hunter2", fields);
    expect(output).not.toContain("hunter2");
  });

  test("nor its beginning where the text is too long", () => {
    logged("x", { text: `${"x".repeat(1_980)} postgres://me:hunter2@db/x` });
    expect(output).not.toContain("hunt");
    logged(`${"x".repeat(1_980)} postgres://me:hunter2@db/x`);
    expect(output).not.toContain("hunt");
  });
});

describe("fields", () => {
  test("an error is its class and message, without stack", () => {
    expect(logged("x", { error: new RangeError("too much") })["error"]).toEqual({
      type: "RangeError",
      message: "too much",
    });
  });

  test.each([
    [undefined, undefined],
    [null, null],
    [Number.NaN, "NaN"],
    [10n, "10"],
    [Symbol("s"), "Symbol(s)"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(Number.NaN), null],
    [new Map([[1, 2]]), "[object Map]"],
    [Object.create(null), {}],
    ["x".repeat(3_000), "x".repeat(2_000)],
  ])("%p is shown as %p and never fails", (value, shown) => {
    expect(logged("x", { value })["value"]).toEqual(shown);
  });

  test("a circle, a long list and many fields are cut, not followed", () => {
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    circle["bare"] = Object.create(null);
    const line = logged("x", {
      circle,
      list: Array.from({ length: 5_000 }, (_, index) => index),
      ...Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`f${index}`, index])),
    });
    expect(line["list"]).toHaveLength(100);
    expect(Object.keys(line).length).toBeLessThan(120);
    expect(output.length).toBeLessThan(10_000);
  });
});

test("levels are known by their names", () => {
  expect(["debug", "info", "warn", "error"].every(isLogLevel)).toBe(true);
  expect(["INFO", "trace", "", "toString"].some(isLogLevel)).toBe(false);
});

test("each line goes to OpenTelemetry's logger as well, where one is set", () => {
  const records: unknown[] = [];
  configureLogger({
    serviceName: "orders",
    level: "info",
    otlp: { emit: (record) => void records.push(record), enabled: () => true },
  });
  logger.warn("hello", {
    a: 1,
    password: "hunter2",
    "kafka.offset": 2,
    error: new RangeError("no"),
  });
  expect(records).toEqual([
    {
      severityNumber: 13,
      severityText: "WARN",
      body: "hello",
      attributes: {
        "orderflow.a": 1,
        "orderflow.password": "REDACTED",
        "kafka.offset": 2,
        "exception.type": "RangeError",
        "exception.message": "no",
      },
    },
  ]);
});
