// Tests of the offset tracker.
import { expect, test } from "bun:test";
import { OffsetTracker } from "./offset-tracker.ts";

/** A tracker with the given offsets in hand. */
function tracking(...offsets: number[]): OffsetTracker {
  const tracker = new OffsetTracker(100);
  for (const offset of offsets) tracker.start(String(offset));
  return tracker;
}

test("commits nothing while the first record is unfinished", () => {
  const tracker = tracking(5, 6, 7);
  tracker.finish("6");
  tracker.finish("7");
  expect(tracker.committable()).toBeUndefined();
});

test("commits up to the first unfinished record, and past it once that finishes", () => {
  const tracker = tracking(5, 6, 7, 8);
  tracker.finish("5");
  tracker.finish("7");
  expect(tracker.committable()).toBe("6");
  tracker.finish("6");
  expect(tracker.committable()).toBe("8");
});

test("commits an offset once", () => {
  const tracker = tracking(5);
  tracker.finish("5");
  tracker.commit("6");
  expect(tracker.committable()).toBeUndefined();
});

test("commits across offsets that Kafka never delivered", () => {
  const tracker = tracking(5, 9);
  tracker.finish("5");
  tracker.finish("9");
  expect(tracker.committable()).toBe("10");
});

test("keeps offsets beyond what a number holds exact", () => {
  const tracker = new OffsetTracker(2);
  tracker.start("9223372036854775806");
  tracker.finish("9223372036854775806");
  expect(tracker.committable()).toBe("9223372036854775807");
});

test("knows a record that is delivered again: in hand, or finished and not yet committed", () => {
  const tracker = tracking(5, 6, 7);
  tracker.finish("5");
  tracker.finish("7");
  expect(["5", "6", "7", "8"].map((offset) => tracker.place(offset))).toEqual([
    "known",
    "known",
    "known",
    "new",
  ]);
});

test("takes a record before the committed offset for the group being set back", () => {
  const tracker = tracking(5, 6);
  tracker.delivered("6");
  tracker.finish("5");
  tracker.commit("6");
  expect(tracker.place("5")).toBe("rewound");
  expect(tracker.place("6")).toBe("known");
});

test("knows what is delivered again after the group was joined anew, though more is committed by then", () => {
  const tracker = tracking(5, 6, 7);
  tracker.delivered("7");
  tracker.finish("5");
  tracker.commit("6");
  tracker.rejoined(); // Kafka is asked, and says 6
  for (const offset of ["6", "7"]) tracker.finish(offset);
  tracker.commit("8");
  expect(["5", "6", "7", "8"].map((offset) => tracker.place(offset))).toEqual([
    "rewound",
    "known",
    "known",
    "new",
  ]);
  tracker.delivered("6"); // from here on it goes forward
  expect(["6", "7"].map((offset) => tracker.place(offset))).toEqual(["rewound", "known"]);
});

test("is full at its bound, and refuses more than that or the same record twice", () => {
  const tracker = new OffsetTracker(2);
  tracker.start("1");
  expect(() => tracker.start("1")).toThrow(RangeError);
  tracker.start("2");
  expect(tracker.isFull).toBeTrue();
  expect(() => tracker.start("3")).toThrow(RangeError);
  tracker.finish("2");
  expect(tracker.isFull).toBeTrue(); // finished, but its offset cannot be committed yet
  tracker.finish("1");
  expect(tracker.isFull).toBeFalse();
});

test("ignores that a record finishes which it does not track", () => {
  const tracker = tracking(5);
  tracker.finish("4");
  tracker.finish("6");
  expect(tracker.committable()).toBeUndefined();
});
