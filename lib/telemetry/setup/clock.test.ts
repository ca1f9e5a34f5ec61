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

test("after a step back the clock goes on from there, and makes no further one", async () => {
  const real = Date.now;
  const clock = spyOn(Date, "now");
  try {
    for (let round = 0; round < 20; round++) {
      clock.mockImplementation(() => real() + 1_000);
      await Bun.sleep(2);
      nowMs();
      clock.mockImplementation(real);
      await Bun.sleep(2);
      nowMs();
      const offsets = new Set<number>();
      for (let look = 0; look < 5; look++) {
        offsets.add(clockOffsetMs(performance.now()));
        await Bun.sleep(1.1);
      }
      expect(offsets.size).toBe(1);
    }
  } finally {
    clock.mockRestore();
  }
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
    await Bun.sleep(2);
    nowMs(); // the clock is everyone's: it is set back
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
