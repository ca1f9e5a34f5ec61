import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { context } from "@opentelemetry/api";
import { ATTR_KAFKA_MESSAGE_KEY } from "../attributes.ts";
import { traceCreate, tracePublish, traceSend } from "./producer.ts";
import type { TraceHeaders } from "../propagation.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

/** Creates a message in a trace of its own. @returns its headers */
async function create(key: string): Promise<TraceHeaders> {
  let kept: TraceHeaders = {};
  await inSpan(`request ${key}`, {}, async () =>
    traceCreate("order.created", key, async (headers) => void (kept = headers)),
  );
  return kept;
}

const contextOf = (headers: TraceHeaders) => {
  const [, traceId, spanId] = headers["traceparent"]?.split("-") ?? [];
  return { traceId, spanId };
};

describe("the creation of a message", () => {
  test("is a PRODUCER span whose context goes into the headers, and what is written stands below it", async () => {
    let headers: TraceHeaders = {};
    const result = await inSpan("request", {}, async () =>
      traceCreate("order.created", "order-1", async (given) => {
        headers = given;
        await inSpan("INSERT", {}, async () => undefined);
        return 5;
      }),
    );
    expect(result).toBe(5);
    const span = recording.span("create order.created");
    expect(described(span)).toMatchObject({
      kind: "PRODUCER",
      status: "UNSET",
      attributes: {
        "messaging.operation.name": "create",
        "messaging.operation.type": "create",
        "messaging.destination.name": "order.created",
        [ATTR_KAFKA_MESSAGE_KEY]: "order-1",
      },
    });
    const { traceId, spanId } = span.spanContext();
    expect(headers["traceparent"]).toBe(`00-${traceId}-${spanId}-01`);
    expect(recording.span("INSERT").parentSpanContext?.spanId).toBe(spanId);
  });

  test("that fails is an error, ends once, and throws on", async () => {
    const error = new RangeError("disk full");
    const thrown = await traceCreate("order.created", "k", async () => Promise.reject(error)).catch(
      (caught: unknown) => caught,
    );
    expect(thrown).toBe(error);
    expect(recording.spans().map(described)).toMatchObject([
      { status: "ERROR", message: "disk full", attributes: { "error.type": "RangeError" } },
    ]);
  });
});

describe("sending", () => {
  test("one record stands below its creation, and links to it", async () => {
    const headers = await create("order-1");
    await inSpan("relay", {}, async () =>
      traceSend("order.created", [{ key: "order-1", headers }], async () => undefined),
    );
    const span = recording.span("send order.created");
    expect(described(span)).toMatchObject({
      kind: "CLIENT",
      attributes: { "messaging.operation.name": "send", [ATTR_KAFKA_MESSAGE_KEY]: "order-1" },
    });
    expect(span.attributes).not.toContainKey("messaging.batch.message_count");
    expect(span.parentSpanContext).toMatchObject(contextOf(headers));
    expect(span.links.map(({ context }) => context)).toMatchObject([contextOf(headers)]);
  });

  test("a batch stands below the relay, and links to each creation", async () => {
    const all = [await create("a"), await create("b"), await create("c")];
    const records = all.map((headers, n) => ({ key: String(n), headers }));
    await inSpan("relay", {}, async () =>
      traceSend("order.created", records, async () => undefined),
    );
    const span = recording.span("send order.created");
    expect(span.attributes).toMatchObject({ "messaging.batch.message_count": 3 });
    expect(span.attributes).not.toContainKey(ATTR_KAFKA_MESSAGE_KEY);
    expect(span.parentSpanContext?.spanId).toBe(recording.span("relay").spanContext().spanId);
    expect(span.links.map(({ context }) => context)).toMatchObject(all.map(contextOf));
  });

  test("a record without a context has no link, and is sent all the same", async () => {
    const sent = await traceSend("order.created", [{ key: "k", headers: {} }], async () => "sent");
    expect(sent).toBe("sent");
    expect(recording.span("send order.created").links).toEqual([]);
  });

  test("that fails is an error, ends once, and throws on", async () => {
    const error = new TypeError("no broker");
    const thrown = await traceSend("order.created", [], async () => Promise.reject(error)).catch(
      (caught: unknown) => caught,
    );
    expect(thrown).toBe(error);
    expect(recording.spans().map(described)).toMatchObject([
      { name: "send order.created", status: "ERROR", attributes: { "error.type": "TypeError" } },
    ]);
  });
});

test("a record that is given up is sent by a CLIENT span below the handling, and links to the creation", async () => {
  const headers = await create("order-1");
  const record = { key: Buffer.from("order-1"), value: null, headers };
  await inSpan("handling", {}, async () =>
    traceSend("order.created.dlq", [record], async () => undefined, { parent: context.active() }),
  );
  const span = recording.span("send order.created.dlq");
  expect(described(span)).toMatchObject({
    kind: "CLIENT",
    attributes: {
      "messaging.destination.name": "order.created.dlq",
      "kafka.message.tombstone": true,
      [ATTR_KAFKA_MESSAGE_KEY]: "order-1",
    },
  });
  expect(span.parentSpanContext?.spanId).toBe(recording.span("handling").spanContext().spanId);
  expect(span.links.map(({ context }) => context)).toMatchObject([contextOf(headers)]);
});

describe("publishing without an outbox", () => {
  test("is one PRODUCER span below what is active; its context goes into the headers", async () => {
    let headers: TraceHeaders = {};
    const result = await inSpan("request", {}, async () =>
      tracePublish("order.created", "order-1", async (given) => {
        headers = given;
        await inSpan("client's own", {}, async () => undefined);
        return 5;
      }),
    );
    expect(result).toBe(5);
    const span = recording.span("send order.created");
    expect(described(span)).toMatchObject({
      kind: "PRODUCER",
      status: "UNSET",
      attributes: {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "order.created",
        [ATTR_KAFKA_MESSAGE_KEY]: "order-1",
      },
    });
    const { traceId, spanId } = span.spanContext();
    expect(headers["traceparent"]).toBe(`00-${traceId}-${spanId}-01`);
    expect(span.parentSpanContext?.spanId).toBe(recording.span("request").spanContext().spanId);
    expect(recording.span("client's own").parentSpanContext?.spanId).toBe(spanId);
    expect(recording.spans()).toHaveLength(3);
  });

  test("that fails is an error, ends once, and throws on", async () => {
    const error = new TypeError("no broker");
    const thrown = await tracePublish("order.created", null, async () =>
      Promise.reject(error),
    ).catch((caught: unknown) => caught);
    expect(thrown).toBe(error);
    expect(recording.spans().map(described)).toMatchObject([
      { name: "send order.created", status: "ERROR", attributes: { "error.type": "TypeError" } },
    ]);
  });
});
