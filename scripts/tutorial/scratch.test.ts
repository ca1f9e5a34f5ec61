import { expect, test } from "bun:test";
import { existsSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createScratch } from "./scratch.ts";

const FILES = new Map([["a.ts", "one();\n"]]);
const HOUR_S = 3_600;

test("a folder to try something in is gone afterwards, with all that came into it", () => {
  let folder: string;
  {
    using scratch = createScratch(FILES);
    ({ folder } = scratch);
    writeFileSync(join(folder, "more.ts"), "");
    expect(existsSync(join(folder, "a.ts"))).toBe(true);
  }
  expect(existsSync(folder)).toBe(false);
});

test("one that a killed process left is gone later, and one in use stays", () => {
  const left = createScratch(FILES).folder;
  using used = createScratch(FILES);
  const agoS = Date.now() / 1_000 - 2 * HOUR_S;
  utimesSync(left, agoS, agoS);
  using another = createScratch(FILES);
  expect(existsSync(left)).toBe(false);
  expect(existsSync(used.folder)).toBe(true);
  expect(existsSync(another.folder)).toBe(true);
});
