import { expect, test } from "bun:test";

import type { Migration } from "./migration-files.ts";
import { planDown, planUp } from "./steps.ts";

const migrations: Migration[] = [
  { version: 1, upFile: "1_a.up.sql", downFile: "1_a.down.sql" },
  { version: 2, upFile: "2_b.up.sql", downFile: null },
  { version: 5, upFile: "5_c.up.sql", downFile: "5_c.down.sql" },
];

test("up from nothing runs every up file, in order", () => {
  expect(planUp(migrations, null)).toEqual([
    { file: "1_a.up.sql", from: null, to: 1 },
    { file: "2_b.up.sql", from: 1, to: 2 },
    { file: "5_c.up.sql", from: 2, to: 5 },
  ]);
});

test("up goes on after the current version, for at most N steps", () => {
  expect(planUp(migrations, 1, 1)).toEqual([{ file: "2_b.up.sql", from: 1, to: 2 }]);
  expect(planUp(migrations, 1, 9).map((step) => step.to)).toEqual([2, 5]);
  expect(planUp(migrations, 5)).toEqual([]);
});

test("down starts at the current version and ends before the first", () => {
  expect(planDown(migrations, 5, 1)).toEqual([{ file: "5_c.down.sql", from: 5, to: 2 }]);
  expect(planDown(migrations, 1, 9)).toEqual([{ file: "1_a.down.sql", from: 1, to: null }]);
  expect(planDown(migrations, null, 1)).toEqual([]);
});

test("down is refused as a whole where a migration on the way has no down file", () => {
  expect(() => planDown(migrations, 5, 3)).toThrow("2_b.up.sql cannot be undone");
});

test("down is not refused for a missing down file it does not reach", () => {
  expect(planDown(migrations, 5, 1)).toHaveLength(1);
});
