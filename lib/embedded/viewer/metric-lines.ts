/** What a metric's points say: rates of counters, percentiles of histograms, values of gauges. */
import { textOf } from "./model.ts";
import type { WireMetric, WireMetricPoint, WireSeries } from "./wire.ts";

/** A line of a chart. Times are seconds since 1970, as charts have them. */
export interface Line {
  readonly label: string;
  readonly service: string;
  readonly points: readonly (readonly [time: number, value: number])[];
}

const QUANTILES = [0.5, 0.95, 0.99];
const MICROS = 1_000_000;

/** @returns what to draw: a line a series, and of a histogram one for each of three percentiles of all its series */
export function linesOf(metric: WireMetric, series: readonly WireSeries[]): Line[] {
  if (metric.type === "histogram") return percentiles(series);
  return series.map((one) => ({
    label: labelOf(one),
    service: one.service,
    points:
      metric.type === "counter"
        ? rates(one)
        : one.points.map(({ time, value }) => [time / MICROS, value]),
  }));
}

/** A series' attributes, as a person reads them. */
export function labelOf({ service, attributes }: WireSeries): string {
  const said = attributes.map(([key, value]) => `${key}=${textOf(value)}`).join(", ");
  return said ? `${service} {${said}}` : service;
}

/** What came between two points, a second. A process that began anew counts from nothing. */
function rates({ points, isCumulative }: WireSeries): (readonly [number, number])[] {
  const result: (readonly [number, number])[] = [];
  for (const [index, point] of points.entries()) {
    const before = points[index - 1];
    if (!before || point.time <= before.time) continue;
    const grown = isCumulative ? growth(before.value, point.value) : point.value;
    result.push([point.time / MICROS, grown / ((point.time - before.time) / MICROS)]);
  }
  return result;
}

function growth(before: number, now: number): number {
  return now >= before ? now - before : now;
}

/** What a histogram counted, exports together by their times. */
export interface Counted {
  /** Upper bounds of the buckets but the last. */
  readonly bounds: readonly number[];
  /** In the order of time, in seconds since 1970; what came since the export before, bucket by bucket. */
  readonly columns: readonly (readonly [time: number, buckets: readonly number[]])[];
}

/** @returns what came between two exports, over all series of a histogram together */
export function countedOver(series: readonly WireSeries[]): Counted {
  const byTime = new Map<number, number[]>();
  for (const { points, isCumulative } of series) {
    for (const [index, point] of points.entries()) {
      const before = points[index - 1];
      if (isCumulative && !before) continue;
      const buckets = isCumulative ? bucketGrowth(before, point) : (point.buckets ?? []);
      // Exports of several processes come at times of their own.
      const time = Math.round(point.time / MICROS / 5) * 5;
      const sums = byTime.getOrInsertComputed(time, () => []);
      for (const [at, count] of buckets.entries()) sums[at] = (sums[at] ?? 0) + count;
    }
  }
  return {
    bounds: series[0]?.points[0]?.bounds ?? [],
    columns: [...byTime].sort(([a], [b]) => a - b),
  };
}

function percentiles(series: readonly WireSeries[]): Line[] {
  const { bounds, columns } = countedOver(series);
  return QUANTILES.map((share) => ({
    label: `p${share * 100}`,
    service: "",
    points: columns.flatMap(([time, buckets]) => {
      const value = quantile(bounds, buckets, share);
      return value === undefined ? [] : [[time, value] as const];
    }),
  }));
}

function bucketGrowth(before: WireMetricPoint | undefined, now: WireMetricPoint): number[] {
  const isReset = now.value < (before?.value ?? 0);
  return (now.buckets ?? []).map(
    (count, at) => count - (isReset ? 0 : (before?.buckets?.[at] ?? 0)),
  );
}

/**
 * The value below which a share of all is, as Prometheus works it out: evenly spread inside a bucket; past
 * the last bound, that bound.
 * @returns undefined where there is nothing
 */
export function quantile(
  bounds: readonly number[],
  buckets: readonly number[],
  share: number,
): number | undefined {
  const all = buckets.reduce((sum, count) => sum + count, 0);
  if (all === 0) return undefined;
  let rank = share * all;
  for (const [at, count] of buckets.entries()) {
    if (rank > count) {
      rank -= count;
      continue;
    }
    const low = at === 0 ? 0 : (bounds[at - 1] ?? 0);
    const high = bounds[at];
    return high === undefined ? low : low + (high - low) * (count === 0 ? 0 : rank / count);
  }
  return bounds.at(-1);
}
