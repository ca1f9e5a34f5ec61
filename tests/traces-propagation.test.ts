// Trace context on its way: tracestate, baggage, and the sampling decision, across HTTP and Kafka.
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { Partitioners } from "kafkajs";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import { ensureTopics } from "#lib/kafka/topics.ts";
import { readTopic } from "#lib/kafka/topic-reader.ts";
import { ORDER_CREATED_TOPIC, ORDER_TOPIC_PARTITIONS } from "#lib/orders/order-created.ts";
import { call, newOrder, postOrder, waitForStatus } from "./support/api.ts";
import { allCalledAt, startServiceProcess } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import { isWhole, newTraceparent, settledTraceOf, spansSoFar, traceOf } from "./support/traces.ts";
import { until } from "./support/until.ts";

const TIMEOUT_MS = 60_000;

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** The headers of the Kafka record of an order, as text. */
async function recordHeadersOf(orderId: string): Promise<Record<string, string>> {
  const { brokers } = await stack();
  const kafka = createKafka({ connection: { brokers: brokers.split(",") }, clientId: "test" });
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(ORDER_CREATED_TOPIC));
  let found: Record<string, string> | undefined;
  await readTopic({
    kafka,
    topic: ORDER_CREATED_TOPIC,
    groupId: `test-${crypto.randomUUID()}`,
    ranges: offsets.map(({ partition, low, high }) => ({
      partition,
      from: BigInt(low),
      to: BigInt(high),
    })),
    onRecords: async (_, records) => {
      const record = records.find(({ key }) => key?.toString() === orderId);
      if (!record) return;
      const headers = Object.entries(record.headers ?? {});
      found = Object.fromEntries(headers.map(([name, value]) => [name, String(value)]));
    },
  });
  if (!found) throw new Error(`no record of order ${orderId}`);
  return found;
}

/** What orders, inventory and email answer to a worker when all is well. */
function answerWell(path: string): Response {
  return Response.json(path.endsWith("/status") ? { status: "confirmed" } : {});
}

/** A server that notes the headers of each request, by its path. */
function recordingService(answer: (path: string) => Response) {
  const seen: { path: string; headers: Headers }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      if (pathname !== "/healthz") seen.push({ path: pathname, headers: request.headers });
      return answer(pathname);
    },
  });
  cleanUps.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, seen };
}

describe("tracestate and baggage", () => {
  test(
    "reach every service's spans, and the Kafka record",
    async () => {
      const { traceId, traceparent } = newTraceparent();
      const tracestate = "vendor=abc,other=1";
      const baggage = "tenant=blue,note=a%20b";
      const { id } = await postOrder(newOrder(), { traceparent, tracestate, baggage });
      await waitForStatus(id, "confirmed", "cancelled");
      const spans = await settledTraceOf(traceId, isWhole);
      expect(spans.map(({ service }) => service)).toEqual(expect.arrayContaining(ORDER_SERVICES));
      expect(new Set(spans.map(({ traceState }) => traceState))).toEqual(new Set([tracestate]));
      const create = spans.find(({ name }) => name === "create order.created");
      expect(await recordHeadersOf(id)).toEqual({
        traceparent: `00-${traceId}-${create?.spanId}-01`,
        tracestate,
        baggage,
      });
    },
    TIMEOUT_MS,
  );

  test(
    "come to inventory, orders and email as HTTP headers, each call with its own span",
    async () => {
      const others = recordingService(answerWell);
      const sent = newTraceparent();
      const headers = { tracestate: "vendor=abc", baggage: "tenant=blue" };
      await settleOneOrder(others.url, { ...headers, traceparent: sent.traceparent });
      await until("the mail is asked for", () => others.seen.some(({ path }) => path === "/send"));

      const asked = ["/stock/ITEM-001/reserve", "/orders/:id/status", "/send"];
      expect(others.seen.map(({ path }) => path.replace(/[0-9a-f-]{36}/, ":id"))).toEqual(
        expect.arrayContaining(asked),
      );
      for (const { headers } of others.seen) {
        expect(headers.get("tracestate")).toBe("vendor=abc");
        expect(headers.get("baggage")).toBe("tenant=blue");
        expect(headers.get("traceparent")).toMatch(
          new RegExp(`^00-${sent.traceId}-[0-9a-f]{16}-01$`),
        );
      }
      expect(new Set(others.seen.map(({ headers }) => headers.get("traceparent"))).size).toBe(
        others.seen.length,
      );
    },
    TIMEOUT_MS,
  );

  test(
    "that are malformed or too long harm neither the order nor its trace",
    async () => {
      const { services } = await stack();
      for (const headers of [
        { tracestate: "=,,=" },
        { tracestate: Array.from({ length: 40 }, (_, n) => `k${n}=v`).join(",") },
        { baggage: "%%%=;;;" },
        { baggage: `k=${"x".repeat(9_000)}` },
      ]) {
        const { traceId, traceparent } = newTraceparent();
        const answer = await call("GET", `${services.gateway}/orders?limit=1`, undefined, {
          traceparent,
          ...headers,
        });
        expect(answer.status).toBe(200);
        const spans = await traceOf(traceId, (some) =>
          some.some(({ service }) => service === "orders"),
        );
        expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
      }
    },
    TIMEOUT_MS,
  );
});

describe("a traceparent that is malformed", () => {
  test.each([
    "00-00000000000000000000000000000000-0123456789abcdef-01",
    "00-0123456789abcdef0123456789abcdef-0000000000000000-01",
    "00-0123456789ABCDEF0123456789ABCDEF-0123456789abcdef-01",
    "ff-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
    "00-0123456789abcdef0123456789abcdef-0123456789abcdef",
    "rubbish",
  ])("is left aside: %s", async (traceparent) => {
    const { services, traces } = await stack();
    const marker = crypto.randomUUID();
    const url = `${services.orders}/orders/${marker}`;
    expect((await call("GET", url, undefined, { traceparent })).status).toBe(404);
    const found = await until("a trace of its own", () =>
      traces.traces().find((one) => JSON.stringify(one.resourceSpans).includes(marker)),
    );
    expect(traceparent).not.toContain(found.traceId);
    const spans = await spansSoFar(found.traceId);
    expect(spans.find(({ kind }) => kind === "server")?.parentId).toBeUndefined();
  });
});

describe("an unsampled order", () => {
  test(
    "makes no span at any service, is settled all the same, and its record says unsampled",
    async () => {
      const { traceId, spanId, traceparent } = newTraceparent("00");
      const { id } = await postOrder(newOrder(), { traceparent, tracestate: "vendor=abc" });
      await waitForStatus(id, "confirmed", "cancelled");
      const headers = await recordHeadersOf(id);
      expect(headers["traceparent"]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
      expect(headers["traceparent"]).not.toContain(spanId);
      expect(headers["tracestate"]).toBe("vendor=abc");

      // A sampled order after it: once its spans have come, those would have come too.
      const next = newTraceparent();
      const { id: nextId } = await postOrder(newOrder(), { traceparent: next.traceparent });
      await waitForStatus(nextId, "confirmed", "cancelled");
      await settledTraceOf(next.traceId, isWhole);
      expect(await spansSoFar(traceId)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "goes on to every service as unsampled",
    async () => {
      const others = recordingService(answerWell);
      const { traceId, traceparent } = newTraceparent("00");
      await settleOneOrder(others.url, { traceparent });
      await until("the mail is asked for", () => others.seen.some(({ path }) => path === "/send"));
      for (const { headers } of others.seen) {
        expect(headers.get("traceparent")).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
      }
    },
    TIMEOUT_MS,
  );

  test(
    "is counted all the same",
    async () => {
      const others = recordingService(() => Response.json([]));
      const gateway = await startServiceProcess("gateway", {
        ...allCalledAt(others.url, "gateway"),
        OTEL_TRACES_EXPORTER: "none",
        OTEL_METRICS_EXPORTER: "none",
      });
      cleanUps.push(() => gateway.stop());
      const { traceparent } = newTraceparent("00");
      for (let n = 0; n < 3; n++) {
        await call("GET", `${gateway.url}/orders`, undefined, { traceparent });
      }
      expect(others.seen.map(({ headers }) => headers.get("traceparent")?.slice(-2))).toEqual([
        "00",
        "00",
        "00",
      ]);
      const { text } = await call("GET", `${gateway.url}/metrics`);
      const counted = /^http_server_request_duration_seconds_count\{.*"\/orders".*\} (\d+)/m;
      expect(counted.exec(text)?.[1]).toBe("3");
    },
    TIMEOUT_MS,
  );
});

/**
 * Lets a worker of its own, on a broker of its own, settle one order; all it calls is one server.
 * @param headers of the order's Kafka record
 */
async function settleOneOrder(othersUrl: string, headers: Record<string, string>): Promise<void> {
  const broker = await startKafkaBroker();
  cleanUps.push(() => broker.stop());
  const kafka = createKafka({ connection: { brokers: [broker.brokers] }, clientId: "test" });
  await ensureTopics(kafka, [{ topic: ORDER_CREATED_TOPIC, partitions: ORDER_TOPIC_PARTITIONS }]);
  const worker = await startServiceProcess("worker", {
    KAFKA_BROKERS: broker.brokers,
    ...allCalledAt(othersUrl, "worker"),
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
  cleanUps.push(() => worker.stop());
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const orderId = crypto.randomUUID();
  const event = {
    order_id: orderId,
    customer_id: "c",
    items: [{ item_id: "ITEM-001", quantity: 1, price: 1 }],
    timestamp: new Date().toISOString(),
  };
  const messages = [{ key: orderId, value: JSON.stringify(event), headers }];
  await producer.send({ topic: ORDER_CREATED_TOPIC, messages });
  await producer.disconnect();
}
