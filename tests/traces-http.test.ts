// The spans of single requests: lists, errors, and what makes none.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { attribute, spansOf, type OtlpSpan } from "#lib/embedded/traces/otlp.ts";
import type { Order } from "#lib/orders/order.ts";
import { call, expectError, insertOrder, newOrder, rawCall } from "./support/api.ts";
import type { ServiceName } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import {
  childrenOf,
  newTraceparent,
  only,
  settledTraceOf,
  spansSoFar,
  topmost,
  traceOf,
} from "./support/traces.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

/** Makes a call and returns its answer and its trace. */
async function traced(service: ServiceName, method: string, path: string, body?: unknown) {
  const { services } = await stack();
  const { traceId, traceparent } = newTraceparent();
  const answer = await call(method, services[service] + path, body, { traceparent });
  const spans = await settledTraceOf(traceId, (some) => topmost(some).length === 1);
  const [server] = topmost(spans);
  if (!server) throw new Error("there is no span");
  return { answer, spans, server };
}

describe("the list of orders", () => {
  test("takes two statements, however many orders are on the page", async () => {
    const customerId = crypto.randomUUID();
    for (let n = 0; n < 5; n++) await insertOrder({ customerId });
    const { spans, answer } = await traced("orders", "GET", `/orders?customer_id=${customerId}`);
    expect(answer.json as Order[]).toHaveLength(5);
    const server = only(spans, "orders", "GET /orders");
    expect(childrenOf(spans, server).map(({ name }) => name)).toEqual([
      "SELECT orders.orders",
      "SELECT orders.order_items",
    ]);
  });

  test("read N+1 takes one statement and one more for each order, all under one request", async () => {
    const customerId = crypto.randomUUID();
    for (let n = 0; n < 5; n++) await insertOrder({ customerId });
    const { spans } = await traced("gateway", "GET", `/orders-nplus1?customer_id=${customerId}`);
    const server = only(spans, "orders", "GET /orders-nplus1");
    const statements = childrenOf(spans, server);
    expect(statements.map(({ name }) => name)).toEqual([
      "SELECT orders.orders",
      ...Array.from({ length: 5 }, () => "SELECT orders.order_items"),
    ]);
    expect(spans).toHaveLength(3 + statements.length);
  });
});

describe("a request that is refused", () => {
  test.each([
    ["gateway", "POST", "/orders", "{", 400, "POST /orders", "/orders"],
    ["orders", "POST", "/orders", {}, 400, "POST /orders", "/orders"],
    ["orders", "GET", "/orders/x", undefined, 400, "GET /orders/:id", "/orders/:id"],
    ["orders", "GET", "/orders?limit=0", undefined, 400, "GET /orders", "/orders"],
    [
      "orders",
      "GET",
      `/orders/${crypto.randomUUID()}`,
      undefined,
      404,
      "GET /orders/:id",
      "/orders/:id",
    ],
    [
      "inventory",
      "GET",
      "/stock/NO-SUCH-ITEM",
      undefined,
      404,
      "GET /stock/:itemId",
      "/stock/:itemId",
    ],
    [
      "inventory",
      "POST",
      "/stock/ITEM-001/reserve",
      { quantity: 1_000_000 },
      409,
      "POST /stock/:itemId/reserve",
      "/stock/:itemId/reserve",
    ],
    ["orders", "POST", "/orders", " ".repeat(1_048_577), 413, "POST /orders", "/orders"],
    ["email", "POST", "/send", {}, 400, "POST /send", "/send"],
  ] as const)(
    "at %s: %s %s has one span of its own, which is no error",
    async (service, method, path, body, status, name, route) => {
      const { server, answer, spans } = await traced(service, method, path, body);
      expect(answer.status).toBe(status);
      expect(server).toMatchObject({
        service,
        name,
        kind: "server",
        status: "unset",
        attributes: { "http.route": route, "http.response.status_code": status },
      });
      expect(server.attributes).not.toContainKey("error.type");
      expect(spans.filter((span) => span.kind === "server")).toHaveLength(1);
    },
  );

  test.each([
    ["gateway", "GET", "/no/such/path", 404],
    ["worker", "GET", "/orders", 404],
    ["gateway", "DELETE", "/orders", 405],
    ["email", "GET", "/send", 405],
  ] as const)("at %s: %s %s has a span without a route", async (service, method, path, status) => {
    const { server, answer, spans } = await traced(service, method, path);
    expect(answer.status).toBe(status);
    expect(spans).toHaveLength(1);
    expect(server).toMatchObject({
      service,
      name: method,
      kind: "server",
      status: "unset",
      attributes: { "url.path": path, "http.response.status_code": status },
    });
    expect(server.attributes).not.toContainKey("http.route");
  });

  test("with a method that nobody knows is named HTTP, and the method kept aside", async () => {
    const { services } = await stack();
    const { traceId, traceparent } = newTraceparent();
    // fetch would send GET instead.
    const raw = `PROPFIND /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\ntraceparent: ${traceparent}\r\n\r\n`;
    const answer = await rawCall(services.orders, raw);
    expectError(answer, 405);
    const [server] = await traceOf(traceId);
    expect(server).toMatchObject({
      name: "HTTP",
      attributes: { "http.request.method": "_OTHER", "http.request.method_original": "PROPFIND" },
    });
  });

  test("behind the gateway is a failed call there, with the reason, and no failed request", async () => {
    const { spans } = await traced("gateway", "POST", "/orders", newOrder([]));
    expect(only(spans, "gateway", "POST")).toMatchObject({
      kind: "client",
      status: "error",
      statusText: expect.stringContaining("items"),
      attributes: { "http.response.status_code": 400, "error.type": "400" },
    });
    expect(only(spans, "gateway", "POST /orders").status).toBe("unset");
    expect(only(spans, "orders", "POST /orders").status).toBe("unset");
  });
});

test("HEAD is traced under its own name and the route of GET", async () => {
  const { server } = await traced("orders", "HEAD", "/orders?limit=1");
  expect(server).toMatchObject({
    name: "HEAD /orders",
    attributes: { "http.request.method": "HEAD", "url.query": "limit=1" },
  });
});

test("the name and the attributes of a span hold the route, the id only in the path", async () => {
  const id = crypto.randomUUID();
  const { server } = await traced("orders", "GET", `/orders/${id}`);
  expect(server.name).not.toContain(id);
  const holders = Object.entries(server.attributes).filter(([, value]) =>
    String(value).includes(id),
  );
  expect(holders.map(([key]) => key)).toEqual(["url.path"]);
});

test("health, readiness and metrics make no spans, at any service, nor do the probes behind them", async () => {
  const { services, traces } = await stack();
  const { traceId, traceparent } = newTraceparent();
  for (const url of Object.values(services)) {
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      await call("GET", url + path, undefined, { traceparent });
    }
  }
  // A request after them: once it has come, they would have come too.
  for (const service of SERVICE_NAMES) {
    await traced(service, "GET", "/nothing-here");
  }
  expect(await spansSoFar(traceId)).toEqual([]);
  const paths = traces
    .traces()
    .flatMap(spansOf)
    .map(({ span }) => attribute(span.attributes, "url.path") ?? pathOf(span))
    .filter((path) => ["/healthz", "/readyz", "/metrics"].includes(String(path)));
  expect(paths).toEqual([]);
});

/** The path that a call went to; undefined where the span is of no call. */
function pathOf(span: OtlpSpan): string | undefined {
  const url = attribute(span.attributes, "url.full");
  return typeof url === "string" ? new URL(url).pathname : undefined;
}

test("interleaved requests keep their own spans", async () => {
  const { services } = await stack();
  const calls = await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      const { traceId, spanId, traceparent } = newTraceparent();
      const path = n % 2 ? `/orders?customer_id=n${n}` : `/inventory/N${n}`;
      await call("GET", services.gateway + path, undefined, { traceparent });
      return { n, traceId, spanId };
    }),
  );
  for (const { n, traceId, spanId } of calls) {
    const spans = await traceOf(traceId, (some) => some.length >= 4 && topmost(some).length === 1);
    const [server, client, inner, statement] = spans.toSorted(
      (a, b) => depth(a.spanId) - depth(b.spanId),
    );
    expect(server).toMatchObject({ service: "gateway", parentId: spanId });
    const own = n % 2 ? `customer_id=n${n}` : `/stock/N${n}`;
    expect(String(client?.attributes["url.full"])).toEndWith(own);
    const asked = inner?.attributes;
    expect(String(n % 2 ? asked?.["url.query"] : asked?.["url.path"])).toBe(own);
    expect(statement).toMatchObject({ kind: "client", parentId: inner?.spanId });

    function depth(id: string | undefined): number {
      const span = spans.find((other) => other.spanId === id);
      return span ? 1 + depth(span.parentId) : 0;
    }
  }
});
