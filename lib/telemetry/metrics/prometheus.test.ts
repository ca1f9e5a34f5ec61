import { expect, test } from "bun:test";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { createPrometheusReader } from "./prometheus.ts";

async function scrapeOf(record: (provider: MeterProvider) => void): Promise<string> {
  const { reader, scrape } = createPrometheusReader(undefined);
  const provider = new MeterProvider({ readers: [reader] });
  record(provider);
  try {
    return await scrape();
  } finally {
    await provider.shutdown();
  }
}

test("names carry their unit, and a counter _total behind it", async () => {
  const text = await scrapeOf((provider) => {
    const meter = provider.getMeter("test");
    meter.createHistogram("a.duration", { unit: "s" }).record(0.2);
    meter.createCounter("b.time", { unit: "s" }).add(1);
    meter.createUpDownCounter("c.usage", { unit: "By" }).add(1);
    meter.createCounter("d.count", { unit: "{thing}" }).add(1);
  });
  const types = [...text.matchAll(/^# TYPE (.+)$/gm)].map(([, type]) => type);
  expect(types).toEqual([
    "target_info gauge",
    "a_duration_seconds histogram",
    "b_time_seconds_total counter",
    "c_usage_bytes gauge",
    "d_count_total counter",
  ]);
});

test("a label's value cannot break out of its line", async () => {
  const text = await scrapeOf((provider) =>
    provider.getMeter("test").createCounter("a").add(1, { path: 'x"} 9\nforged_total 9 \\' }),
  );
  expect(text).toContain(String.raw`path="x\"} 9\nforged_total 9 \\"`);
  expect(text).not.toMatch(/^forged/m);
});

test("whatever the resource's attributes are called, target_info is valid", async () => {
  const { reader, scrape } = createPrometheusReader(undefined);
  const resource = resourceFromAttributes({ "team.name": "a", team_name: "b", "1x": "c", ö: "d" });
  const provider = new MeterProvider({ resource, readers: [reader] });
  expect(await scrape()).toContain('target_info{_1x="c",team_name="a;b",_="d"} 1\n');
  await provider.shutdown();
});

test("what was counted shows at every scrape, not only the first", async () => {
  const { reader, scrape } = createPrometheusReader(undefined);
  const provider = new MeterProvider({ readers: [reader] });
  const counter = provider.getMeter("test").createCounter("a");
  counter.add(2);
  await scrape();
  counter.add(3);
  expect(await scrape()).toMatch(/^a_total\S* 5$/m);
  await provider.shutdown();
});

test("a reader that pushes cumulative metrics serves the scrape as well, one that pushes deltas does not", () => {
  const cumulative = readerWith(AggregationTemporality.CUMULATIVE);
  expect(createPrometheusReader(cumulative).reader).toBe(cumulative);
  const delta = readerWith(AggregationTemporality.DELTA);
  expect(createPrometheusReader(delta).reader).not.toBe(delta);
});

function readerWith(temporality: AggregationTemporality): PeriodicExportingMetricReader {
  return new PeriodicExportingMetricReader({ exporter: new InMemoryMetricExporter(temporality) });
}
