import { expect, test } from "bun:test";
import type { Attributes } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { fixed, fixedSets } from "./fixed-attributes.ts";

/** The series of a counter that has counted these sets: attributes and sum. */
async function seriesOf(sets: readonly Attributes[]): Promise<[Attributes, unknown][]> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter });
  const provider = new MeterProvider({ readers: [reader] });
  const counter = provider.getMeter("test").createCounter("counted");
  for (const set of sets) counter.add(1, set);
  await reader.forceFlush();
  const [metric] = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics[0]?.metrics);
  await provider.shutdown();
  return (metric?.dataPoints ?? []).map(({ attributes, value }) => [attributes, value]);
}

test("a fixed set counts in the same series as the same attributes that are not fixed", async () => {
  const set = fixed({ method: "GET", status: 200 });
  expect(await seriesOf([set, set, { status: 200, method: "GET" }, { method: "GET" }])).toEqual([
    [{ method: "GET", status: 200 }, 3],
    [{ method: "GET" }, 1],
  ]);
});

test("the SDK prints a fixed set once and never again", async () => {
  let looks = 0;
  const set = fixed({
    get method() {
      looks++;
      return "GET";
    },
  });
  looks = 0;
  await seriesOf([set, set, set]);
  // Its value is looked at where the series is read, not where it is counted.
  expect(looks).toBeLessThanOrEqual(1);
});

test("a fixed set cannot be changed", () => {
  const set = fixed({ method: "GET" });
  expect(() => (set["method"] = "PUT")).toThrow(TypeError);
});

test("the set of a key is made once; of more than a thousand keys not all are kept", () => {
  let made = 0;
  const setOf = fixedSets((status: number) => {
    made++;
    return { status };
  });
  expect(setOf("200", 200)).toBe(setOf("200", 200));
  for (let status = 0; status < 1_500; status++) setOf(`${status}`, status);
  const before = made;
  expect(setOf("1499", 1_499)).toEqual({ status: 1_499 });
  expect(setOf("3", 3)).toEqual({ status: 3 });
  expect(made).toBe(before + 1);
});
