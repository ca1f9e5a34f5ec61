import { describe, expect, test } from "bun:test";
import { ImportError, importText } from "./import.ts";
import { toJaegerTrace } from "./jaeger-json.ts";
import type { OtlpTrace } from "./otlp.ts";

const TRACE_ID = "5b8efff798038103d269b633813fc60c";
const SPAN = {
  traceId: TRACE_ID,
  spanId: "eee19b7ec3c1b174",
  parentSpanId: "eee19b7ec3c1b173",
  name: "a call",
  kind: 3 as const,
  startTimeUnixNano: "1544712660000000000",
  endTimeUnixNano: "1544712661000000000",
  attributes: [
    { key: "http.request.method", value: { stringValue: "GET" } },
    { key: "retries", value: { intValue: "3" } },
    { key: "cached", value: { boolValue: false } },
    { key: "share", value: { doubleValue: 0.5 } },
  ],
  events: [{ name: "retry", timeUnixNano: "1544712660500000000", attributes: [] }],
  links: [{ traceId: "0".repeat(31) + "7", spanId: "0".repeat(15) + "8" }],
  status: { code: 2, message: "away" },
};
const RESOURCE = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
const OTLP = { resourceSpans: [{ resource: RESOURCE, scopeSpans: [{ spans: [SPAN] }] }] };
const LOGS = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: "x" } }] }] }] };

describe("a file", () => {
  test("of OTLP's JSON is read whole", () => {
    const [only] = importText(JSON.stringify(OTLP, null, 2));
    expect(only).toMatchObject({ signal: "traces", message: OTLP });
  });

  test("whose ids are in capitals, whose numbers are numbers, and that has fields of later versions is read", () => {
    const other = {
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "my.service" } }] },
          scopeSpans: [
            {
              scope: { name: "my.library", version: "1.0.0", attributes: [] },
              spans: [
                {
                  traceId: TRACE_ID.toUpperCase(),
                  spanId: "EEE19B7EC3C1B174",
                  parentSpanId: "",
                  name: "I'm a server span",
                  startTimeUnixNano: 1544712660000000000,
                  endTimeUnixNano: "1544712661000000000",
                  kind: 2,
                  attributes: [{ key: "my.span.attr", value: { intValue: 7 } }],
                  comesLater: { deep: [1] },
                },
              ],
            },
          ],
        },
      ],
    };
    const [only] = importText(JSON.stringify(other));
    const trace = only?.message as unknown as OtlpTrace;
    expect(trace.resourceSpans[0]?.scopeSpans?.[0]?.spans).toEqual([
      {
        traceId: TRACE_ID,
        spanId: "eee19b7ec3c1b174",
        parentSpanId: "",
        name: "I'm a server span",
        startTimeUnixNano: "1544712660000000000",
        endTimeUnixNano: "1544712661000000000",
        kind: 2,
        attributes: [{ key: "my.span.attr", value: { intValue: "7" } }],
      },
    ]);
  });

  test("of an object a line is read line by line, all signals of it", () => {
    const text = `${JSON.stringify(OTLP)}\n\n${JSON.stringify(LOGS)}\r\n`;
    expect(importText(text).map(({ signal }) => signal)).toEqual(["traces", "logs"]);
  });

  test("of Jaeger's is what it was before Jaeger's API had translated it", () => {
    const jaeger = toJaegerTrace({ traceId: TRACE_ID, resourceSpans: OTLP.resourceSpans });
    const [only] = importText(JSON.stringify({ data: [jaeger] }));
    const trace = only?.message as unknown as OtlpTrace;
    const [span] = trace.resourceSpans[0]?.scopeSpans?.[0]?.spans ?? [];
    expect({ ...span, attributes: undefined }).toEqual({ ...SPAN, attributes: undefined } as never);
    expect(span?.attributes?.toSorted(byKey)).toEqual(SPAN.attributes.toSorted(byKey) as never);
    expect(trace.resourceSpans[0]?.resource).toEqual(RESOURCE);
  });

  test.each([
    ["", "there is nothing in it"],
    ["{}", "neither OTLP's JSON nor Jaeger's"],
    ["42", "neither OTLP's JSON nor Jaeger's"],
    ["traces", "line 1 is no JSON"],
    [`${JSON.stringify(OTLP)}\n{`, "line 2 is no JSON"],
    [`${JSON.stringify(OTLP)}\n{"a":1}`, "line 2: neither"],
    ['{"resourceSpans":{}}', "resourceSpans must be an array"],
    ['{"data":[{"traceID":"x","spans":[{"traceID":"x","spanID":"1"}]}]}', "without the ids"],
    ['{"data":[{"spans":7}]}', "whose spans are no list"],
  ])("%j is refused: %s", (text, message) => {
    expect(() => importText(text)).toThrow(ImportError);
    expect(() => importText(text)).toThrow(message);
  });
});

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1;
}
