import { expect, test } from "bun:test";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { bindInstruments, counter, gauge, httpServerRequestDuration } from "./instruments.ts";
import { createPrometheusReader } from "./prometheus.ts";
import { registerRuntimeMetrics } from "./runtime.ts";

const parcels = counter("shop.parcels", "Number of parcels.", "{parcel}");

/** Binds all instruments to a provider of this test's own. */
function bound() {
  const { reader, scrape } = createPrometheusReader(undefined);
  const provider = new MeterProvider({ readers: [reader] });
  bindInstruments(provider);
  return { scrape, shutdown: () => provider.shutdown() };
}

test("recording before telemetry is set up does nothing, and does no harm", async () => {
  parcels.add(1);
  const { scrape, shutdown } = bound();
  expect(await scrape()).not.toContain("shop_parcels_total{");
  await shutdown();
});

test("what is recorded afterwards is collected, with the conventions' boundaries", async () => {
  const { scrape, shutdown } = bound();
  parcels.add(2);
  httpServerRequestDuration.record(0.02, { "http.request.method": "GET" });
  const text = await scrape();
  expect(text).toMatch(/^shop_parcels_total\S* 2$/m);
  const boundaries = [
    ...text.matchAll(/^http_server_request_duration_seconds_bucket.*le="([^"]+)"/gm),
  ];
  expect(boundaries.map(([, boundary]) => boundary)).toEqual(
    "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf".split(" "),
  );
  await shutdown();
});

test("a gauge that knows nothing yet shows nothing, and shows its value once it does", async () => {
  let value: number | undefined;
  gauge("orderflow.test.gauge", "For this test.", "{thing}", () => value);
  const { scrape, shutdown } = bound();
  expect(await scrape()).not.toMatch(/^orderflow_test_gauge\S* \d/m);
  value = 3;
  expect(await scrape()).toMatch(/^orderflow_test_gauge\S* 3$/m);
  value = undefined; // it stays registered for the other tests of this run
  await shutdown();
});

test("the process tells its CPU time, memory, uptime, heap and event-loop delay", async () => {
  registerRuntimeMetrics();
  const { scrape, shutdown } = bound();
  const text = await scrape();
  const valueOf = (name: string) => Number(new RegExp(`^${name}\\S* (\\S+)$`, "m").exec(text)?.[1]);
  expect(valueOf("process_cpu_time_seconds_total")).toBeGreaterThan(0);
  expect(text).toMatch(/process_cpu_time_seconds_total\{cpu_mode="user"/);
  expect(text).toMatch(/process_cpu_time_seconds_total\{cpu_mode="system"/);
  expect(valueOf("process_memory_usage_bytes")).toBeGreaterThan(1_000_000);
  expect(valueOf("process_uptime_seconds")).toBeGreaterThan(0);
  expect(valueOf("orderflow_runtime_heap_used_bytes")).toBeGreaterThan(100_000);
  expect(valueOf("orderflow_runtime_eventloop_delay_p50_seconds")).toBeGreaterThanOrEqual(0);
  expect(valueOf("orderflow_runtime_eventloop_delay_p99_seconds")).toBeGreaterThanOrEqual(0);
  await shutdown();
});

test("an instrument that is defined after the set-up records, too", async () => {
  const { scrape, shutdown } = bound();
  counter("shop.late", "Defined late.", "{thing}").add(3);
  gauge("shop.level", "Defined late.", "{thing}", () => 7);
  const text = await scrape();
  expect(text).toMatch(/^shop_late_total\S* 3$/m);
  expect(text).toMatch(/^shop_level\S* 7$/m);
  await shutdown();
});
