/** Metrics whose buckets are not those of the store, brought into its forms: exponential histograms, summaries. */
import type { KeyValue } from "./otlp.ts";

/** OTLP's Buckets: counts from an index on. */
interface Buckets {
  readonly offset?: number;
  readonly bucketCounts?: readonly (string | number)[];
}

/** OTLP's ExponentialHistogramDataPoint, as far as it is read. */
export interface ExponentialPoint {
  readonly scale?: number;
  readonly zeroCount?: string | number;
  readonly positive?: Buckets;
  readonly negative?: Buckets;
}

/** OTLP's SummaryDataPoint, as far as it is read. */
export interface SummaryPoint {
  readonly attributes?: readonly KeyValue[];
  readonly quantileValues?: readonly { readonly quantile?: number; readonly value?: number }[];
}

const LOWEST_POWER = -30;
const HIGHEST_POWER = 50;

/** From a nanosecond in seconds to a pebibyte in bytes, in steps of two. */
const BOUNDS: readonly number[] = Array.from(
  { length: HIGHEST_POWER - LOWEST_POWER + 1 },
  (_, at) => 2 ** (LOWEST_POWER + at),
);

/**
 * An exponential histogram's point with the same bounds as any other: senders change scale and offset as
 * they go, and points are to be compared with those before. Buckets of a scale of 0 or more lie in one of
 * these whole; coarser ones, and what is not above 0, are in the one that holds their upper end.
 * @see https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
 */
export function explicitBuckets(point: ExponentialPoint): {
  explicitBounds: readonly number[];
  bucketCounts: string[];
} {
  const { scale = 0, zeroCount = 0, positive = {}, negative = {} } = point;
  const counts = Array.from({ length: BOUNDS.length + 1 }, () => 0);
  const add = (at: number, count: number) => (counts[at] = (counts[at] ?? 0) + count);
  add(0, Number(zeroCount));
  for (const count of negative.bucketCounts ?? []) add(0, Number(count));
  for (const [index, count] of (positive.bucketCounts ?? []).entries()) {
    const power = Math.ceil(((positive.offset ?? 0) + index + 1) / 2 ** scale);
    add(Math.min(BOUNDS.length, Math.max(0, power - LOWEST_POWER)), Number(count));
  }
  return { explicitBounds: BOUNDS, bucketCounts: counts.map(String) };
}

/** A summary's point as a gauge's points, one for each of its quantiles, which is an attribute then. */
export function quantilePoints<P extends SummaryPoint>(
  point: P,
): (Omit<P, "count" | "sum"> & { asDouble: number })[] {
  const { quantileValues = [], attributes = [] } = point;
  return quantileValues.map(({ quantile = 0, value = 0 }) => ({
    ...point,
    count: undefined,
    sum: undefined,
    asDouble: value,
    attributes: [...attributes, { key: "quantile", value: { doubleValue: quantile } }],
  }));
}
