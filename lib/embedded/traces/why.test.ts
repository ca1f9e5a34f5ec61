import { describe, expect, test } from "bun:test";
import { layerLine, paragraph, REASONS, whyOf } from "./why.ts";

describe("why a span is as it is", () => {
  const picks = Object.entries(REASONS).flatMap(([kind, { picks }]) =>
    picks.map(([, page, beginning]) => [kind, page, beginning] as const),
  );
  test.each(picks)("%s: %s says what begins with %j", async (_, page, beginning) => {
    const text = await paragraph(page, beginning);
    expect(text?.length).toBeGreaterThan(30);
    expect(text).not.toMatch(/\]\(|\*\*|```|<!--/);
  });

  test.each(Object.entries(REASONS))(
    "%s: our layer has the lines",
    async (_, { started, ended }) => {
      const lines = await Promise.all([layerLine("started", started), layerLine("ended", ended)]);
      for (const [index, line] of lines.entries()) {
        const { source } = line ?? {};
        const text = source?.lines[source.line - source.first] ?? "";
        expect(text).toMatch(index === 0 ? /startSpan\(/ : /\.end\(\)/);
      }
    },
  );

  test("the layer's lines are shown for its own spans", async () => {
    const server = { ...span, kind: 2 as const };
    expect((await whyOf(server, { name: "@orderflow/telemetry" }))?.layer).toHaveLength(2);
    expect((await whyOf(server, { name: "another" }))?.layer).toEqual([]);
  });

  const span = { traceId: "1".padStart(32, "0"), spanId: "1".padStart(16, "0") };

  test.each([
    ["A request that came in", { ...span, kind: 2 as const }],
    ["A request that went out", { ...span, kind: 3 as const }],
    [
      "A statement",
      { ...span, kind: 3 as const, attributes: [text("db.system.name", "postgresql")] },
    ],
    [
      "A record that came to be",
      { ...span, kind: 4 as const, attributes: [text("messaging.operation.name", "create")] },
    ],
    [
      "Records that were handed to Kafka",
      { ...span, kind: 3 as const, attributes: [text("messaging.operation.name", "send")] },
    ],
    [
      "A record that was handled",
      { ...span, kind: 5 as const, attributes: [text("messaging.operation.name", "process")] },
    ],
    ["A step of its process", { ...span, kind: 1 as const }],
  ])("%s is told by its kind and attributes", async (title, span) => {
    expect((await whyOf(span))?.title).toBe(title);
  });

  test("a failed one is told what a failed span says as well", async () => {
    const why = await whyOf({ ...span, kind: 2, status: { code: 2 } });
    expect(why?.parts.map(({ question }) => question)).toContain("What a failed span says");
  });

  test("nothing is said of a kind that is not known", async () => {
    expect(await whyOf({ ...span, kind: 0 })).toBeUndefined();
  });
});

function text(key: string, stringValue: string) {
  return { key, value: { stringValue } };
}
