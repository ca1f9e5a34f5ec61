/** An order is one trace, whichever instrumentation traces the requests in. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startServices } from "#lib/embedded/services.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { createDatabase } from "../support/conventions/flows.ts";
import { recordedSpans, type RecordedSpan } from "../support/conventions/recorded.ts";
import { differences, drawnBeside, type RealSpan } from "../support/docs/drawn-trace.ts";
import { stack } from "../support/stack.ts";
import { until } from "../support/until.ts";

const TEST_TIMEOUT_MS = 120_000;
/** Draws both traces side by side. */
const DOCS = join(import.meta.dir, "../../docs/telemetry.md");
const CALLER = "00f067aa0ba902b7";
/** Of an order with one item. */
const SERVER_SPANS = [
  "PATCH /orders/:id/status",
  "POST /orders",
  "POST /orders",
  "POST /send",
  "POST /stock/:itemId/reserve",
];

test.each([
  ["manual", "@orderflow/telemetry"],
  ["elysia", "Elysia"],
])(
  "HTTP_INSTRUMENTATION=%s: all services are in the trace, every span below its parent",
  async (mode, scope) => {
    await using cleanUp = new AsyncDisposableStack();
    const database = await createDatabase(await stack());
    cleanUp.defer(() => database.drop());
    const broker = await startKafkaBroker();
    cleanUp.defer(() => broker.stop());
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    cleanUp.defer(() => store.stop());
    const services = await startServices({
      postgresUrl: database.postgresUrl,
      kafkaBrokers: broker.brokers,
      env: {
        HTTP_INSTRUMENTATION: mode,
        OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
        OTEL_BSP_SCHEDULE_DELAY: "50",
        EMAIL_DELAY_MS: "0-0",
      },
    });
    cleanUp.defer(() => services.stop());

    const traceId = crypto.randomUUID().replaceAll("-", "");
    const response = await fetch(`${services.urls.gateway}/orders`, {
      method: "POST",
      headers: { traceparent: `00-${traceId}-${CALLER}-01` },
      body: JSON.stringify({
        customer_id: "both-modes",
        items: [{ item_id: "ITEM-001", quantity: 1, price: 100 }],
      }),
    });
    expect(response.status).toBe(201);

    const spans = await until("the whole trace has arrived", () => {
      const trace = store.trace(traceId);
      const found = trace ? recordedSpans(trace) : [];
      return serverSpans(found).length >= SERVER_SPANS.length && isConnected(found) && found;
    });
    expect(spans.map(({ service }) => service)).toEqual(expect.arrayContaining(ORDER_SERVICES));
    const drawn = drawnBeside(await Bun.file(DOCS).text()).get(mode);
    expect(drawn && differences(drawn, spans.map(comparable))).toEqual([]);
    expect(serverSpans(spans)).toEqual(SERVER_SPANS);
    const scopes = store
      .trace(traceId)
      ?.resourceSpans.flatMap(({ scopeSpans = [] }) => scopeSpans)
      .filter(({ spans: own = [] }) => own.some(({ kind }) => kind === 2))
      .map((one) => one.scope?.name);
    expect(new Set(scopes)).toEqual(new Set([scope]));
  },
  TEST_TIMEOUT_MS,
);

function comparable({ service, name, status, spanId, parentSpanId }: RecordedSpan): RealSpan {
  const isFailed = status.code === "ERROR";
  return { service, name, isFailed, id: spanId, parentId: parentSpanId || undefined };
}

function isConnected(spans: readonly RecordedSpan[]): boolean {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  return spans.every(({ parentSpanId }) => parentSpanId === CALLER || ids.has(parentSpanId));
}

/** Those of an order's own way, by name. */
function serverSpans(spans: readonly RecordedSpan[]): string[] {
  return spans
    .filter(({ kind, name }) => kind === "SERVER" && SERVER_SPANS.includes(name))
    .map(({ name }) => name)
    .sort();
}
