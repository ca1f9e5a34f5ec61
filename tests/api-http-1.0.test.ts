/** HTTP/1.0, as load balancers' health checks and old clients speak it: with a Host header or without. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { exchange, type RawAnswer } from "./support/hostile/raw-http.ts";
import type { ServiceName } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import { until } from "./support/until.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const ORDER = JSON.stringify({
  customer_id: "http-1.0",
  items: [{ item_id: "ITEM-007", quantity: 1, price: 100 }],
});

/** What stands behind the request line: a Host header, as HTTP/1.1 would have it, or none. */
const HOSTS: readonly (readonly [what: string, header: string])[] = [
  ["without a Host header", ""],
  ["with a Host header", "Host: shop.example:8080\r\n"],
  ["with an empty Host header", "Host:\r\n"],
];

/** A request whose answer has to end with its connection: `exchange` waits for the end where no length is told. */
async function ask(
  service: ServiceName,
  method: string,
  target: string,
  { headers = "", body }: { headers?: string; body?: string } = {},
): Promise<RawAnswer> {
  const { services } = await stack();
  const length = body === undefined ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  const head = `${method} ${target} HTTP/1.0\r\n${headers}${length}\r\n`;
  const answer = await exchange(services[service], head + (body ?? ""), method);
  if (!answer) throw new Error("the connection was closed without an answer");
  // HTTP/1.0 knows no chunks.
  expect(answer.headers.has("transfer-encoding")).toBe(false);
  return answer;
}

function errorOf({ status, body }: RawAnswer) {
  const { error } = JSON.parse(body.toString()) as { error: unknown };
  return { status, error };
}

describe.each(HOSTS)("an HTTP/1.0 request %s", (_, host) => {
  test.each(SERVICE_NAMES)("to %s is told health, readiness and metrics", async (service) => {
    const health = await ask(service, "GET", "/healthz", { headers: host });
    expect({ status: health.status, body: health.body.toString() }).toEqual({
      status: 200,
      body: '{"status":"ok"}',
    });
    const ready = await ask(service, "GET", "/readyz", { headers: host });
    expect({
      status: ready.status,
      ...(JSON.parse(ready.body.toString()) as object),
    }).toMatchObject({ status: "ready" });
    const metrics = await ask(service, "GET", "/metrics", { headers: host });
    expect(metrics.status).toBe(200);
    expect(metrics.body.toString()).toContain("# TYPE process_uptime_seconds");
    expect((await ask(service, "HEAD", "/healthz", { headers: host })).status).toBe(200);
  });

  test.each(["gateway", "orders"] as const)(
    "to %s places an order, reads it, and turns pages",
    async (service) => {
      const made = await ask(service, "POST", "/orders", { headers: host, body: ORDER });
      expect({ status: made.status, body: made.body.toString() }).toMatchObject({ status: 201 });
      const { id } = JSON.parse(made.body.toString()) as { id: string };
      expect(made.headers.get("location")).toBe(`/orders/${id}`);

      const read = await ask(service, "GET", `/orders/${id}`, { headers: host });
      expect(JSON.parse(read.body.toString())).toMatchObject({ id, customer_id: "http-1.0" });

      await ask(service, "POST", "/orders", { headers: host, body: ORDER });
      const query = "/orders?customer_id=http-1.0&limit=1";
      const page = await ask(service, "GET", query, { headers: host });
      expect(JSON.parse(page.body.toString())).toHaveLength(1);
      const next = /^<(\/orders\?[^>]*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
      expect(next).toContain("customer_id=http-1.0");
      const second = await ask(service, "GET", String(next), { headers: host });
      expect(second.status).toBe(200);
      expect(second.body.toString()).not.toBe(page.body.toString());
    },
  );

  test.each(["gateway", "orders"] as const)("to %s is refused as others are", async (service) => {
    const headers = host;
    expect(errorOf(await ask(service, "GET", "/nothing", { headers }))).toEqual({
      status: 404,
      error: "there is nothing at this path",
    });
    expect((await ask(service, "GET", "//orders", { headers })).status).toBe(404);
    const other = await ask(service, "DELETE", "/orders", { headers });
    expect(other.status).toBe(405);
    expect(other.headers.get("allow")).toBe("GET, HEAD, POST");
    expect((await ask(service, "GET", "/orders?limit=x", { headers })).status).toBe(400);
    expect((await ask(service, "POST", "/orders", { headers, body: "{" })).status).toBe(400);
    const large = " ".repeat(1024 * 1024 + 1);
    expect((await ask(service, "POST", "/orders", { headers, body: large })).status).toBe(413);
  });

  test("of 1 MiB arrives whole", async () => {
    const body = ORDER + " ".repeat(1024 * 1024 - ORDER.length);
    expect((await ask("orders", "POST", "/orders", { headers: host, body })).status).toBe(201);
  });

  test("has its span: the route, and an address only where it named one", async () => {
    const traceId = crypto.randomUUID().replaceAll("-", "");
    const headers = `${host}traceparent: 00-${traceId}-00f067aa0ba902b7-01\r\n`;
    expect((await ask("inventory", "GET", "/stock/ITEM-001?a=1", { headers })).status).toBe(200);
    const { traces } = await stack();
    const span = await until("its span arrives", () =>
      traces
        .trace(traceId)
        ?.resourceSpans.flatMap(({ scopeSpans = [] }) => scopeSpans.flatMap((s) => s.spans ?? []))
        .find(({ kind }) => kind === 2),
    );
    const attributes = new Map(span.attributes?.map(({ key, value }) => [key, value]));
    expect(span.name).toBe("GET /stock/:itemId");
    expect(attributes.get("url.path")).toEqual({ stringValue: "/stock/ITEM-001" });
    expect(attributes.get("url.query")).toEqual({ stringValue: "a=1" });
    const isNamed = host.includes("shop.example");
    expect(attributes.get("server.address")).toEqual(
      isNamed ? { stringValue: "shop.example" } : undefined,
    );
    expect(attributes.has("server.port")).toBe(isNamed);
  });
});

test("the connection of an HTTP/1.0 request ends with its answer", async () => {
  const { services } = await stack();
  for (const [, host] of HOSTS) {
    const { hostname, port } = new URL(services.gateway);
    const ended = Promise.withResolvers<string>();
    let text = "";
    await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        open: (socket) => void socket.write(`GET /healthz HTTP/1.0\r\n${host}\r\n`),
        data: (_, bytes) => void (text += bytes.toString()),
        end: (socket) => void socket.end(),
        close: () => ended.resolve(text),
      },
    });
    expect(await ended.promise).toStartWith("HTTP/1.1 200 OK\r\n");
  }
});

test.each(SERVICE_NAMES)(
  "HTTP/1.1 without a Host header, or with a bad one, is 400 at %s",
  async (service) => {
    const { services } = await stack();
    for (const host of ["", "Host: a b\r\n", "Host: a/b\r\n"]) {
      const head = `GET /healthz HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
      expect((await exchange(services[service], head))?.status, host).toBe(400);
    }
  },
);
