import { describe, expect, test } from "bun:test";
import { leavingOut, regionNames, regionOf, withoutRegions } from "./regions.ts";

const TEXT = `import { a } from "a";

// #region outer
export function f() {
  // #region inner
  if (a) {
    return 1;
  }

  return 2;
  // #endregion inner
}
// #endregion outer
`;

describe("regions of a file", () => {
  test("are cut without marks and without common indentation", () => {
    expect(regionOf(TEXT, "inner")).toBe("if (a) {\n  return 1;\n}\n\nreturn 2;");
  });

  test("have the regions inside them without marks", () => {
    expect(regionOf(TEXT, "outer")).toBe(
      "export function f() {\n  if (a) {\n    return 1;\n  }\n\n  return 2;\n}",
    );
  });

  test("are unknown by other names, also by the beginning of one", () => {
    expect(regionOf(TEXT, "inne")).toBeUndefined();
  });

  test("that do not end, or are there twice, are refused", () => {
    expect(() => regionOf("// #region a\n", "a")).toThrow("region a does not end");
    expect(() => regionOf(`${TEXT}${TEXT}`, "inner")).toThrow("region inner is there 2 times");
  });

  test("are marked in SQL as well", () => {
    expect(regionOf("-- #region t\nCREATE TABLE t ();\n-- #endregion t\n", "t")).toBe(
      "CREATE TABLE t ();",
    );
  });

  test("can be left out, with their marks", () => {
    expect(leavingOut(TEXT, "inner")).toBe(
      `import { a } from "a";

// #region outer
export function f() {
}
// #endregion outer
`,
    );
    expect(leavingOut(TEXT, "other")).toBe(TEXT);
  });

  test("are listed in their order", () => {
    expect(regionNames(TEXT)).toEqual(["outer", "inner"]);
  });
});

test("a file without regions has all of its other lines", () => {
  const kept = TEXT.split("\n").filter((line) => !line.includes("region "));
  expect(withoutRegions(TEXT)).toBe(kept.join("\n"));
  expect(withoutRegions("const text = '// #region is a word';\n")).toContain("#region");
});
