/** Tests of how a check looks for spans, tells of them, and judges. */
import { expect, test } from "bun:test";
import type { SeenSpan } from "../system/index.ts";
import { ancestorsOf, findSpans, isBelow, oneSpan, spanTree } from "./spans.ts";
import { verdict } from "./verdict.ts";

let started = 0n;

function span(spanId: string, parentSpanId: string | undefined, more: Partial<SeenSpan> = {}) {
  started += 1n;
  return {
    service: "orders",
    scope: "",
    traceId: "a".repeat(32),
    spanId,
    parentSpanId,
    name: spanId,
    kind: "INTERNAL",
    attributes: {},
    status: "UNSET",
    statusText: "",
    events: [],
    links: [],
    traceState: "",
    flags: 1,
    startNs: started,
    endNs: started + 1n,
    resource: {},
    ...more,
  } as const satisfies SeenSpan;
}

test("a span is below another however many are between the two", () => {
  const spans = [span("a", undefined), span("b", "a"), span("c", "b"), span("d", undefined)];
  const [a, , c, d] = spans;
  expect(isBelow(spans, c, a)).toBeTrue();
  expect(isBelow(spans, d, a)).toBeFalse();
  expect(isBelow(spans, a, a)).toBeFalse();
  expect(isBelow(spans, undefined, a)).toBeFalse();
});

test("a span of another trace is no parent, whatever its id", () => {
  const child = span("b", "a");
  const other = span("a", undefined, { traceId: "b".repeat(32) });
  expect(isBelow([child, other], child, other)).toBeFalse();
});

test("spans in a circle, which ids can make, are walked and drawn once", () => {
  const spans = [span("a", "b"), span("b", "a")];
  expect(ancestorsOf(spans, spans[0]!)).toHaveLength(2);
  expect(spanTree(spans).match(/INTERNAL/g)).toHaveLength(2);
});

test("one span is the only one that is meant", () => {
  const spans = [span("a", undefined), span("b", "a", { kind: "CLIENT", name: "GET" })];
  expect(oneSpan(spans, { kind: "CLIENT", name: /^GET/ })).toBe(spans[1]!);
  expect(oneSpan(spans, { service: "orders" })).toBeUndefined();
  expect(oneSpan(spans, { service: "worker" })).toBeUndefined();
  expect(findSpans(spans, { service: "orders" })).toHaveLength(2);
});

test("a tree shows each trace, who is below whom, and a parent that has not come", () => {
  const spans = [
    span("1", undefined, { kind: "SERVER", name: "POST /orders", service: "gateway" }),
    span("2", "1", {
      status: "ERROR",
      statusText: "no stock",
      attributes: { "error.type": "Error" },
    }),
    span("3", "9", { traceId: "b".repeat(32), service: "" }),
  ];
  expect(spanTree(spans, ["error.type"])).toBe(
    [
      `trace ${"a".repeat(32)}`,
      '  gateway SERVER "POST /orders" no error.type',
      '    orders INTERNAL "2" ERROR "no stock" error.type="Error"',
      `trace ${"b".repeat(32)}`,
      '  (no service.name) INTERNAL "3" no error.type (its parent 9 is not here)',
    ].join("\n"),
  );
  expect(spanTree([])).toBe("no span");
});

test("a tree of very many spans is cut, and says so", () => {
  const spans = Array.from({ length: 1_000 }, (_, index) => span(String(index), undefined));
  expect(spanTree(spans).split("\n").at(-1)).toBe("and 961 more lines");
});

test("a verdict expects the first of what does not hold", () => {
  const found = { did: "nothing", saw: "nothing" };
  expect(verdict(found, [[true, "a"]])).toEqual({ ...found, passed: true, expected: "a" });
  const failed = verdict(found, [
    [true, "a"],
    [undefined, "b"],
    [false, "c"],
  ]);
  expect(failed).toEqual({ ...found, passed: false, expected: "b" });
});
