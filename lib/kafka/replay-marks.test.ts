// Tests of the replay marks.
import { expect, test } from "bun:test";
import { ReplayMarks } from "./replay-marks.ts";

test("nothing is marked where the group has committed nothing", () => {
  const marks = new ReplayMarks("-1", null);
  expect(marks.position).toBe(0n);
  expect(marks.has(0n)).toBeFalse();
});

test("letters picked out of order are remembered beside the offset", () => {
  const marks = new ReplayMarks("3", null);
  marks.add(7n);
  marks.add(5n);
  expect(marks.toCommit()).toEqual({ offset: "3", metadata: "5,7" });
  const read = new ReplayMarks("3", "5,7");
  expect([2n, 3n, 4n, 5n, 6n, 7n, 8n].map((offset) => read.has(offset))).toEqual([
    true,
    false,
    false,
    true,
    false,
    true,
    false,
  ]);
});

test("the offset moves on over picked letters, and forgets what it has passed", () => {
  const marks = new ReplayMarks("3", "4,5,9");
  marks.add(3n);
  expect(marks.toCommit()).toEqual({ offset: "6", metadata: "9" });
  marks.addAllBefore(9n);
  expect(marks.toCommit()).toEqual({ offset: "10", metadata: "" });
  marks.addAllBefore(2n);
  expect(marks.position).toBe(10n);
});

test("more picked letters than Kafka has room to note are refused", () => {
  const marks = new ReplayMarks("0", null);
  for (let offset = 1_000n; offset < 2_000n; offset++) marks.add(offset);
  expect(() => marks.toCommit()).toThrow("replay all");
});
