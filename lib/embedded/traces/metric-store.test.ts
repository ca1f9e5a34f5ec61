import { describe, expect, test } from "bun:test";
import { MetricStore } from "./metric-store.ts";

const BYTES_MAX = 100_000;

function request(series: number, time: number, text = "v"): Record<string, unknown> {
  const dataPoints = Array.from({ length: series }, (_, index) => ({
    timeUnixNano: String(BigInt(time) * 1_000_000_000n),
    asInt: String(time),
    attributes: [{ key: "k", value: { stringValue: `${text}${index}` } }],
  }));
  const sum = { dataPoints, isMonotonic: true, aggregationTemporality: 2 };
  return { resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "m", sum }] }] }] };
}

describe("the store of metrics", () => {
  test("keeps a series' points in order, and the latest 720 of them", () => {
    const store = new MetricStore(1e9);
    for (let time = 1; time <= 800; time++) store.add(request(1, time));
    const [series] = store.seriesOf("m", undefined, 10);
    expect(series?.points).toHaveLength(720);
    expect([series?.points[0]?.value, series?.points.at(-1)?.value]).toEqual([81, 800]);
  });

  test("holds its bound, and counts the series that it let go: those that were silent for longest", () => {
    const store = new MetricStore(BYTES_MAX);
    for (let time = 1; time <= 40; time++) {
      store.add(request(1, time, "steady"));
      store.add(request(100, time, `new ${time} `));
      expect(store.stats().seriesBytes).toBeLessThanOrEqual(BYTES_MAX);
    }
    const { series, evictedSeries } = store.stats();
    expect(series + evictedSeries).toBe(1 + 40 * 100);
    const steady = store
      .seriesOf("m", undefined, 5_000)
      .find(({ attributes }) => String(attributes[0]?.[1]).startsWith("steady"));
    expect(steady?.points).toHaveLength(40);
  });

  test("holds it also where a single series is larger than that", () => {
    const store = new MetricStore(BYTES_MAX);
    store.add(request(1, 1, "x".repeat(BYTES_MAX)));
    expect(store.stats()).toEqual({ series: 0, seriesBytes: 0, evictedSeries: 1 });
  });
});
