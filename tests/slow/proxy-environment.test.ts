/** The five services where the environment names a proxy: it carries telemetry, and nothing else. */
import { afterEach, expect, test } from "bun:test";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startServices } from "#lib/embedded/services.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import type { Order } from "#lib/orders/order.ts";
import { call, newOrder } from "../support/api.ts";
import { startServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;
/** A name that nobody but the proxy knows. */
const COLLECTOR = "http://collector.invalid:4318";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
}, TIMEOUT_MS);

/** A proxy that notes what it is asked for, and leads to the trace store what is for the collector. */
function startRecordingProxy(storeUrl: string) {
  const seen: { method: string; url: string; authorization: string | null }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, origin } = new URL(request.url);
      const authorization = request.headers.get("proxy-authorization");
      seen.push({ method: request.method, url: request.url, authorization });
      if (origin !== COLLECTOR) return new Response("not by this proxy", { status: 502 });
      const headers = { "content-type": String(request.headers.get("content-type")) };
      const body = await request.bytes();
      return await fetch(storeUrl + pathname, { method: "POST", headers, body });
    },
  });
  cleanUps.push(() => server.stop(true));
  return { url: `http://user:word@127.0.0.1:${server.port}`, seen };
}

async function startStore() {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  cleanUps.push(() => store.stop());
  return store;
}

/** Every variable that may name a proxy, and none that makes exceptions. */
function proxyVariables(url: string): Record<string, string> {
  const names = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
  ];
  return {
    ...Object.fromEntries(names.map((name) => [name, url])),
    NO_PROXY: "",
    no_proxy: "",
  };
}

test(
  "an order is settled past the proxy, and its trace goes through it",
  async () => {
    const store = await startStore();
    const proxy = startRecordingProxy(store.otlpUrl);
    const folder = await mkdtemp(join(tmpdir(), "orderflow-proxy-test-"));
    cleanUps.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755); // as root, the server's own user must get through
    const postgres = await startPostgres({ dataDir: join(folder, "data") });
    cleanUps.push(() => postgres.stop());
    await migrateUp({ postgresUrl: postgres.url });
    const broker = await startKafkaBroker();
    cleanUps.push(() => broker.stop());
    const services = await startServices({
      postgresUrl: postgres.url,
      kafkaBrokers: broker.brokers,
      env: {
        ...proxyVariables(proxy.url),
        OTEL_EXPORTER_OTLP_ENDPOINT: COLLECTOR,
        OTEL_BSP_SCHEDULE_DELAY: "100",
        OTEL_METRIC_EXPORT_INTERVAL: "500",
        OTEL_LOGS_EXPORTER: "otlp",
        EMAIL_DELAY_MS: "0-0",
      },
    });
    cleanUps.push(() => services.stop());

    const traceId = crypto.randomUUID().replaceAll("-", "");
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
    const placed = await call("POST", `${services.urls.gateway}/orders`, newOrder(), {
      traceparent,
    });
    expect(placed.status, placed.text).toBe(201);
    const { id } = placed.json as Order;
    await until("it is settled", async () => {
      const read = await call("GET", `${services.urls.gateway}/orders/${id}`);
      return (read.json as Order).status === "confirmed";
    });
    expect((await call("GET", `${services.urls.gateway}/inventory/ITEM-001`)).status).toBe(200);
    for (const name of ["gateway", "worker"] as const) {
      expect((await call("GET", `${services.urls[name]}/readyz`)).status).toBe(200);
    }

    await until("every service's spans of it have come through the proxy", () => {
      const trace = store.trace(traceId);
      const names = new Set(trace && spansOf(trace).map(({ service }) => service));
      return ORDER_SERVICES.every((name) => names.has(name));
    });
    const asked = () => new Set(proxy.seen.map(({ method, url }) => `${method} ${url}`));
    await until("metrics and logs have come, too", () => asked().size >= 3);
    expect([...asked()].sort()).toEqual(
      ["logs", "metrics", "traces"].map((signal) => `POST ${COLLECTOR}/v1/${signal}`),
    );
    // "user:word", as the proxy's URL has it.
    expect(proxy.seen[0]?.authorization).toBe(`Basic ${btoa("user:word")}`);
  },
  TIMEOUT_MS,
);

test(
  "a collector that NO_PROXY names is called directly",
  async () => {
    const store = await startStore();
    const proxy = startRecordingProxy(store.otlpUrl);
    const email = await startServiceProcess("email", {
      ...proxyVariables(proxy.url),
      NO_PROXY: "example.com,127.0.0.0/8",
      OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_METRIC_EXPORT_INTERVAL: "200",
      EMAIL_DELAY_MS: "0-0",
    });
    cleanUps.push(() => email.stop());
    const mail = { to: "a@example.com", subject: "s", body: "b" };
    expect((await call("POST", `${email.url}/send`, mail)).status).toBe(200);
    await until("its trace arrives", () => store.traces().length > 0);
    await until("its metrics arrive", () => store.metrics().length > 0);
    expect(proxy.seen).toEqual([]);
  },
  TIMEOUT_MS,
);
