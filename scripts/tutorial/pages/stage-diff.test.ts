import { describe, expect, test } from "bun:test";
import { startFiles } from "../stage-files.ts";
import { stageOf } from "../stages.ts";
import { hunksOf, stageDiff } from "./stage-diff.ts";

const LINES = Array.from({ length: 20 }, (_, n) => `line ${n + 1}`);

describe("a difference", () => {
  test("is shown as what goes and what comes, with three lines around it", () => {
    const after = LINES.with(9, "another");
    expect(hunksOf(`${LINES.join("\n")}\n`, `${after.join("\n")}\n`).split("\n")).toEqual([
      "@@ -7,7 +7,7 @@",
      " line 7",
      " line 8",
      " line 9",
      "-line 10",
      "+another",
      " line 11",
      " line 12",
      " line 13",
    ]);
  });

  test("has no line that ends with a blank", () => {
    expect(hunksOf("a\n\nb\n", "a\n\nc\n")).not.toMatch(/ $/m);
  });

  test("of a file that comes anew has all of its lines", () => {
    const added = stageDiff("03 http-server.ts").split("\n").slice(2, -1);
    expect(added.length).toBeGreaterThan(20);
    expect(added.filter((line) => !line.startsWith("+"))).toEqual([]);
  });

  test("begins with the files that the reader has", () => {
    expect(stageDiff("03 tracing.ts")).toMatch(/^\+.*W3CTraceContextPropagator/m);
    expect(stageDiff("03 orders.ts")).not.toContain("#region");
  });

  test("can leave out what is the exercise", () => {
    expect(stageDiff("05 orders.ts")).toContain("json_agg");
    const shown = stageDiff("05 orders.ts without list");
    expect(shown).toContain("traceSql");
    expect(shown).not.toMatch(/json_agg|listOrders\(\) \{/);
  });

  test("can lead to a file of the layer", () => {
    expect(stageDiff("04 lib: http-server.ts /lib/telemetry/http/server.ts")).toMatch(
      /^\+export .*traceRequest/m,
    );
  });

  test.each([
    ["99 orders.ts", "there is no stage 99"],
    ["02 nothing.ts", "stage 02 has no file nothing.ts"],
    ["02 schema.sql", "nothing differs"],
    ["05 orders.ts with list", "what is with list?"],
    ["05 orders.ts without", "what is without?"],
    ["04 lib: nothing.ts /lib/telemetry/span.ts", "stage 04 does not start with nothing.ts"],
    ["04 lib: orders.ts /lib/nothing.ts", "there is no file /lib/nothing.ts"],
    ["04 lib: orders.ts", "there is no file"],
  ])("of %p is refused", (what, message) => {
    expect(() => stageDiff(what)).toThrow(message);
  });
});

test("the first stage starts as its solution, the next as the solution before it", () => {
  const first = stageOf("00");
  const second = stageOf("01");
  if (!first || !second) throw new Error("there is no stage 00 or 01");
  expect([...startFiles(first).keys()]).toContain("gateway.ts");
  expect(startFiles(second)).toEqual(startFiles(first));
});
