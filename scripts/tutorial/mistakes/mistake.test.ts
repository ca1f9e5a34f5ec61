import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createScratch } from "../scratch.ts";
import { applyEdits } from "./mistake.ts";

const FILES = new Map([["a.ts", "one();\ntwo();\ntwo();\n"]]);

describe("a mistake", () => {
  test("changes what it names, one edit after another", () => {
    using scratch = createScratch(FILES);
    applyEdits(scratch.folder, [
      { file: "a.ts", find: "one();\n", replace: "" },
      { file: "a.ts", find: "two();\ntwo();", replace: "$&three();" },
    ]);
    expect(readFileSync(join(scratch.folder, "a.ts"), "utf8")).toBe("$&three();\n");
  });

  test.each([
    ["two();", "a.ts has this 2 times"],
    ["four();", "a.ts has this 0 times"],
    ["", "a.ts has this"],
  ])("whose text %p is not there once is refused", (find, message) => {
    using scratch = createScratch(FILES);
    const edits = [{ file: "a.ts", find, replace: "x" }];
    expect(() => applyEdits(scratch.folder, edits)).toThrow(message);
    expect(readFileSync(join(scratch.folder, "a.ts"), "utf8")).toBe(FILES.get("a.ts") ?? "");
  });
});
