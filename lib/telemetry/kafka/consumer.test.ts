import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ATTR_KAFKA_MESSAGE_KEY, ATTR_KAFKA_OFFSET } from "../attributes.ts";
import { traceProcess, type ReceivedRecord } from "./consumer.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

const TRACE_ID = "0123456789abcdef0123456789abcdef";
const SPAN_ID = "0123456789abcdef";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

const record = (changes: Partial<ReceivedRecord> = {}): ReceivedRecord => ({
  topic: "order.created",
  partition: 3,
  offset: "41",
  key: Buffer.from("order-1"),
  value: Buffer.from("{}"),
  headers: { traceparent: Buffer.from(`00-${TRACE_ID}-${SPAN_ID}-01`) },
  ...changes,
});
const options = { consumerGroup: "notification-worker" };

test("a record is handled in a CONSUMER span below its creation, which it links to", async () => {
  const result = await traceProcess(record(), options, async () => {
    await inSpan("step", {}, async () => undefined);
    return 5;
  });
  expect(result).toBe(5);
  const span = recording.span("process order.created");
  expect(described(span)).toMatchObject({
    kind: "CONSUMER",
    status: "UNSET",
    attributes: {
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": "order.created",
      "messaging.destination.partition.id": "3",
      "messaging.consumer.group.name": "notification-worker",
      [ATTR_KAFKA_OFFSET]: 41,
      [ATTR_KAFKA_MESSAGE_KEY]: "order-1",
    },
  });
  const creation = { traceId: TRACE_ID, spanId: SPAN_ID };
  expect(span.parentSpanContext).toMatchObject(creation);
  expect(span.links.map(({ context }) => context)).toMatchObject([creation]);
  expect(recording.span("step").parentSpanContext?.spanId).toBe(span.spanContext().spanId);
});

test("a record without headers is the root of a trace of its own, whatever is active", async () => {
  await inSpan("poll loop", {}, async () =>
    traceProcess(record({ headers: {}, key: null }), options, async () => undefined),
  );
  const span = recording.span("process order.created");
  expect(span.parentSpanContext).toBeUndefined();
  expect(span.links).toEqual([]);
  expect(span.attributes).not.toContainKey(ATTR_KAFKA_MESSAGE_KEY);
});

test("handling that throws makes the span an error, ends it once, and throws on", async () => {
  const error = new RangeError("poison");
  const thrown = await traceProcess(record(), options, async () => Promise.reject(error)).catch(
    (caught: unknown) => caught,
  );
  expect(thrown).toBe(error);
  expect(recording.spans().map(described)).toMatchObject([
    { status: "ERROR", message: "poison", attributes: { "error.type": "RangeError" } },
  ]);
});

test("an unsampled record makes no span, and is handled", async () => {
  const headers = { traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` };
  expect(await traceProcess(record({ headers }), options, async () => "handled")).toBe("handled");
  expect(recording.spans()).toEqual([]);
});

test("records handled side by side keep their own steps", async () => {
  const ids = Array.from({ length: 20 }, (_, n) => n.toString(16).padStart(32, "a"));
  await Promise.all(
    ids.map((traceId, n) =>
      traceProcess(
        record({ headers: { traceparent: `00-${traceId}-${SPAN_ID}-01` } }),
        options,
        async () => {
          await Bun.sleep(n % 3);
          await inSpan(`step ${n}`, {}, async () => Bun.sleep(1));
        },
      ),
    ),
  );
  for (const [n, traceId] of ids.entries()) {
    expect(recording.span(`step ${n}`).spanContext().traceId).toBe(traceId);
  }
});

describe("the creation context is read from headers as clients have them:", () => {
  const text = `00-${TRACE_ID}-${SPAN_ID}-01`;
  const bytes = Buffer.from(text);
  test.each<[client: string, headers: ReceivedRecord["headers"]]>([
    ["an object with Buffers", { traceparent: bytes }],
    ["an object with plain bytes", { traceparent: new Uint8Array(bytes) }],
    ["an object with texts", { traceparent: text }],
    ["an object with lists", { traceparent: [bytes] }],
    ["Headers", new Headers({ traceparent: text })],
    ["a Map", new Map([["traceparent", bytes]])],
    ["a list of pairs", [["traceparent", bytes]]],
    ["a list of objects", [{ other: "x" }, { traceparent: bytes }]],
    [
      "names that JavaScript has itself",
      { traceparent: text, ["__proto__"]: "x", constructor: "y" },
    ],
  ])("%s", async (_, headers) => {
    await traceProcess(record({ headers }), options, async () => undefined);
    expect(recording.span("process order.created").parentSpanContext).toMatchObject({
      traceId: TRACE_ID,
      spanId: SPAN_ID,
    });
  });

  test.each<[what: string, headers: ReceivedRecord["headers"]]>([
    ["no headers", undefined],
    ["null", null],
    ["values that are missing", { traceparent: undefined, tracestate: null }],
    ["bytes that are no text", { traceparent: Buffer.from([0xff, 0xfe]) }],
  ])("%s are no context", async (_, headers) => {
    await traceProcess(record({ headers }), options, async () => undefined);
    expect(recording.span("process order.created").parentSpanContext).toBeUndefined();
  });
});

test("offsets are numbers on the span, however the client has them", async () => {
  for (const offset of ["41", 42, 43n]) {
    await traceProcess(record({ offset }), options, async () => undefined);
  }
  expect(recording.spans().map(({ attributes }) => attributes[ATTR_KAFKA_OFFSET])).toEqual([
    41, 42, 43,
  ]);
});
