import { describe, expect, test } from "bun:test";
import { linesOf, quantile } from "./metric-lines.ts";
import type { WireMetric, WireSeries } from "./wire.ts";

const METRIC: WireMetric = {
  name: "m",
  unit: "s",
  description: "",
  type: "counter",
  services: [],
  series: 1,
};
const SERIES: WireSeries = {
  service: "a",
  attributes: [["k", 1]],
  isCumulative: true,
  points: [],
  exemplars: [],
};
const second = (at: number) => at * 1_000_000;

describe("a percentile", () => {
  test.each([
    [0.5, [10, 0, 0], 0.5],
    [0.5, [0, 10, 0], 1.5],
    [0.99, [0, 0, 5], 2],
    [1, [5, 5, 0], 2],
    [0.5, [0, 0, 0], undefined],
  ])("%d of the counts %j in buckets up to 1, 2 and above is %p", (share, buckets, wanted) => {
    expect(quantile([1, 2], buckets, share)).toBe(wanted as number);
  });
});

describe("a line", () => {
  test("of a counter is what came a second, also where its process began anew", () => {
    const points = [0, 20, 50, 5].map((value, at) => ({ time: second(at * 10), value }));
    const [line] = linesOf(METRIC, [{ ...SERIES, points }]);
    expect(line).toMatchObject({
      label: "a {k=1}",
      points: [
        [10, 2],
        [20, 3],
        [30, 0.5],
      ],
    });
  });

  test("of a counter that tells differences is each of them", () => {
    const points = [7, 20].map((value, at) => ({ time: second(at * 10), value }));
    const [line] = linesOf(METRIC, [{ ...SERIES, isCumulative: false, points }]);
    expect(line?.points).toEqual([[10, 2]]);
  });

  test("of a gauge is its value", () => {
    const points = [{ time: second(1), value: 4 }];
    expect(linesOf({ ...METRIC, type: "gauge" }, [{ ...SERIES, points }])[0]?.points).toEqual([
      [1, 4],
    ]);
  });

  test("of a histogram is of what came between two exports, over all its series", () => {
    const one = { ...SERIES, points: [point(0, [100, 0, 0]), point(10, [100, 10, 0])] };
    const other = { ...SERIES, points: [point(1, [0, 0, 0]), point(11, [0, 10, 0])] };
    const [half] = linesOf({ ...METRIC, type: "histogram" }, [one, other]);
    expect(half).toMatchObject({ label: "p50", points: [[10, 1.5]] });
  });
});

function point(at: number, buckets: number[]) {
  const value = buckets.reduce((sum, count) => sum + count, 0);
  return { time: second(at), value, bounds: [1, 2], buckets };
}
