import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CHAPTER, ROOT } from "../stages.ts";
import { codeIn } from "./block.ts";
import { listing } from "./listing.ts";

function codeOf(what: string): string {
  return codeIn(listing(what).replace(/^<!-- prettier-ignore -->\n/, "")) ?? "";
}

describe("a listing", () => {
  test("of a region is that part of the file, titled with its name", () => {
    const file = readFileSync(join(CHAPTER, "stages/01/tracing.ts"), "utf8");
    expect(listing("01/tracing.ts#provider")).toContain("```ts [tracing.ts]\n");
    expect(file).toContain(`// #region provider\n${codeOf("01/tracing.ts#provider")}\n// #end`);
  });

  test("of a stage's file is all of it but the marks of its regions", () => {
    const file = readFileSync(join(CHAPTER, "stages/01/gateway.ts"), "utf8");
    const kept = file.split("\n").filter((line) => !/\/\/ #(end)?region /.test(line));
    expect(codeOf("01/gateway.ts")).toBe(kept.join("\n").trimEnd());
    expect(listing("00/schema.sql")).toContain("```sql [schema.sql]\n");
  });

  test("of a declaration has its doc comment, and ends with it", () => {
    const code = codeOf("/lib/telemetry/span.ts@failSpan");
    expect(readFileSync(join(ROOT, "lib/telemetry/span.ts"), "utf8")).toContain(code);
    expect(code).toStartWith("/**\n * Marks a span as failed");
    expect(code).toEndWith("\n}");
    expect(code.match(/^export /gm)).toHaveLength(1);
    expect(listing("/lib/telemetry/span.ts@failSpan")).toContain("[lib/telemetry/span.ts]");
  });

  test("of a declaration whose parameters take several lines is whole", () => {
    const code = codeOf("/lib/telemetry/span.ts@inSpan");
    expect(code).toMatch(/^\): Promise<T> \{$/m);
    expect(code).toEndWith("\n}");
  });

  test("can leave out what is the exercise", () => {
    const code = codeOf("03/http-server.ts#plugin");
    const shown = codeOf("03/http-server.ts#plugin without errors");
    expect(code).toContain(".onError(");
    expect(shown).not.toContain(".onError(");
    expect(shown).toContain(".onTransform(");
  });

  test.each([
    ["01/tracin.ts", "there is no such file"],
    ["01", "there is no such file"],
    ["/lib/telemetry", "there is no such file"],
    ["01/tracing.ts#provide", /there is no region provide; there are: provider, /],
    ["01/gateway.ts without x", /there is no region x; there are: span$/],
    ["01/gateway.ts#x", /there is no region x; there are: span$/],
    ["/lib/telemetry/span.ts@failSpa", /there is no declaration failSpa; there are: .*failSpan/],
  ])("of %p is refused", (what, message) => {
    expect(() => listing(what)).toThrow(message);
  });
});
