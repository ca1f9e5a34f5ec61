import { expect, test } from "bun:test";
import { explicitBuckets, quantilePoints } from "./exponential-buckets.ts";

/** Which bounds have a count, and which. */
function counted(point: Parameters<typeof explicitBuckets>[0]): [bound: number, count: number][] {
  const { explicitBounds, bucketCounts } = explicitBuckets(point);
  return bucketCounts.flatMap((count, at): [number, number][] =>
    Number(count) === 0 ? [] : [[explicitBounds[at] ?? Number.POSITIVE_INFINITY, Number(count)]],
  );
}

test("a bucket of scale 0 is the same bucket here", () => {
  // Index 0 is (1, 2], index 3 is (8, 16], index -1 is (0.5, 1].
  expect(
    counted({ scale: 0, positive: { offset: 0, bucketCounts: ["1", "0", "0", "4"] } }),
  ).toEqual([
    [2, 1],
    [16, 4],
  ]);
  expect(counted({ positive: { offset: -1, bucketCounts: [7] } })).toEqual([[1, 7]]);
});

test("finer ones are put together: four of scale 2 make one, whatever the offset", () => {
  expect(counted({ scale: 2, positive: { offset: 0, bucketCounts: [1, 1, 1, 1, 5] } })).toEqual([
    [2, 4],
    [4, 5],
  ]);
  expect(counted({ scale: 20, positive: { offset: -1, bucketCounts: [1, 1] } })).toEqual([
    [1, 1],
    [2, 1],
  ]);
});

test("coarser ones are in the one of their upper end", () => {
  // Scale -1: index 0 is (1, 4], index 1 is (4, 16].
  expect(counted({ scale: -1, positive: { bucketCounts: [1, 2] } })).toEqual([
    [4, 1],
    [16, 2],
  ]);
});

test("what is not above zero is in the lowest, what is too large in the highest; none is lost", () => {
  const point = {
    zeroCount: "3",
    negative: { bucketCounts: [2] },
    positive: { offset: 60, bucketCounts: [1] },
  };
  expect(counted(point)).toEqual([
    [2 ** -30, 5],
    [Number.POSITIVE_INFINITY, 1],
  ]);
});

test("a summary is a gauge for each of its quantiles", () => {
  const attributes = [{ key: "k", value: { stringValue: "v" } }];
  const point = {
    attributes,
    count: "9",
    quantileValues: [{ quantile: 0.5, value: 2 }, { value: 1 }],
  };
  expect(quantilePoints(point)).toMatchObject([
    { asDouble: 2, attributes: [...attributes, { key: "quantile", value: { doubleValue: 0.5 } }] },
    { asDouble: 1, attributes: [...attributes, { key: "quantile", value: { doubleValue: 0 } }] },
  ]);
});
