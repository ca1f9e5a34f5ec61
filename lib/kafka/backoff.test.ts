// Tests of the backoff.
import { expect, test } from "bun:test";
import { backoffMs } from "./backoff.ts";

const backoff = { initialMs: 100, maxMs: 1_000 };

test("doubles the longest wait with each failure, up to the maximum", () => {
  const longest = [1, 2, 3, 4, 5, 2_000].map((failures) => backoffMs(failures, backoff, () => 1));
  expect(longest).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test("draws the wait from zero on, so that those who failed together spread out", () => {
  expect(backoffMs(3, backoff, () => 0)).toBe(0);
  expect(backoffMs(3, backoff, () => 0.25)).toBe(100);
});
