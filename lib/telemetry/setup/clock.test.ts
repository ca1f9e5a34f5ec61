import { expect, spyOn, test } from "bun:test";
import { clockOffsetMs, givenTime, hrTimeOf } from "./clock.ts";

function nowMs(): number {
  const monotonicMs = performance.now();
  return monotonicMs + clockOffsetMs(monotonicMs);
}

test("times that are taken one after the other stand in that order, finer than a millisecond", () => {
  const times = Array.from({ length: 500 }, nowMs);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(new Set(times).size).toBeGreaterThan(new Set(times.map(Math.floor)).size);
});

test("a step of the wall clock is followed within a millisecond, back and forth", async () => {
  const real = Date.now;
  const clock = spyOn(Date, "now");
  try {
    for (const stepMs of [0, -3_600_000, 0, 7_200_000]) {
      clock.mockImplementation(() => real() + stepMs);
      await Bun.sleep(2);
      expect(Math.abs(nowMs() - (real() + stepMs))).toBeLessThan(1_000);
    }
  } finally {
    clock.mockRestore();
  }
});

test("milliseconds become seconds and nanoseconds, also where they round up to a whole second", () => {
  expect(hrTimeOf(1_795_000_000_123.5)).toEqual([1_795_000_000, 123_500_000]);
  expect(hrTimeOf(999.999_999_9)).toEqual([1, 0]);
});

test("a number that the monotonic clock has passed is a reading of it, a larger one a date", () => {
  expect(givenTime(5, 1_000_000)).toEqual([1_000, 5_000_000]);
  expect(givenTime(1_795_000_000_000, 1_000_000)).toEqual([1_795_000_000, 0]);
  expect(givenTime(new Date(1_795_000_000_000), 1_000_000)).toEqual([1_795_000_000, 0]);
});
