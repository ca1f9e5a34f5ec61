import { describe, expect, test } from "bun:test";
import type { OtlpSpan, OtlpTrace } from "#lib/embedded/traces/otlp.ts";
import { isWholeTrace, renderWaterfall } from "./waterfall.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";

/** A span by its number; times in milliseconds. */
function span(
  number: number,
  name: string,
  [startMs, endMs]: [number, number],
  parent?: number,
  more: Partial<OtlpSpan> = {},
): OtlpSpan {
  return {
    traceId: TRACE_ID,
    spanId: spanId(number),
    ...(parent === undefined ? {} : { parentSpanId: spanId(parent) }),
    name,
    startTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(startMs * 1_000_000)),
    endTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(endMs * 1_000_000)),
    ...more,
  };
}

function spanId(number: number): string {
  return number.toString(16).padStart(16, "0");
}

function traceOf(services: Record<string, OtlpSpan[]>): OtlpTrace {
  const resourceSpans = Object.entries(services).map(([service, spans]) => ({
    resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] },
    scopeSpans: [{ spans }],
  }));
  return { resourceSpans };
}

function render(trace: OtlpTrace, widthColumns = 80): string[] {
  return renderWaterfall(trace, { widthColumns, color: false }).split("\n").slice(0, -1);
}

/** All five services' spans of one order, as an order leaves them. */
function orderSpans(): Record<string, OtlpSpan[]> {
  return {
    gateway: [span(1, "POST /orders", [0, 14]), span(2, "POST", [1, 13], 1)],
    orders: [
      span(3, "POST /orders", [2, 12], 2),
      span(4, "create order.created", [5, 6], 3),
      span(5, "send order.created", [15, 19], 4),
      span(11, "PATCH /orders/:id/status", [32, 39], 10),
    ],
    worker: [
      span(6, "process order.created", [20, 200], 4),
      span(7, "POST", [21, 30], 6),
      span(10, "PATCH", [31, 40], 6),
      span(8, "POST", [41, 199], 6),
    ],
    inventory: [span(9, "POST /stock/:itemId/reserve", [22, 29], 7)],
    email: [span(12, "POST /send", [42, 198], 8)],
  };
}

function spanNames(lines: string[]): (string | undefined)[] {
  return lines.slice(2).map((line) => /\w+(?=\s+[█▏])/.exec(line)?.[0]);
}

describe("the waterfall", () => {
  test("puts siblings that say the same on one line, and marks what is not critical, where asked to", () => {
    const trace = traceOf({
      orders: [
        span(1, "GET /orders", [0, 100]),
        ...[0, 1, 2, 3].map((i) => span(10 + i, "SELECT items", [10 * i, 10 * i + 5], 1)),
        span(20, "SELECT prices", [50, 60], 1),
        span(21, "SELECT prices", [60, 70], 1),
      ],
    });
    const options = { widthColumns: 60, color: false, fold: true, critical: new Set([spanId(1)]) };
    const lines = renderWaterfall(trace, options).split("\n");
    expect(lines[0]).toStartWith(`trace ${TRACE_ID}  7 spans, 1 service`);
    expect(lines.slice(2, 7).map((line) => line.replaceAll(/ {2,}/g, " "))).toEqual([
      "orders GET /orders ████████████████████████ 100.0 ms",
      "orders ├ SELECT items × 4 ▒▒▒▒▒▒▒▒ 20.0 ms",
      "orders ├ SELECT prices ▒▒ 10.0 ms",
      "orders └ SELECT prices ▒▒ 10.0 ms",
      "█ on the critical path, ▒ not",
    ]);
  });

  test("shows service, name, bar and duration of every span, as a tree on one time axis", () => {
    expect(render(traceOf(orderSpans()), 90)).toEqual([
      `trace ${TRACE_ID}  12 spans, 5 services, 200.0 ms`,
      "                                                0 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 200.0 ms",
      "gateway   POST /orders                          ██                                 14.0 ms",
      "gateway   └ POST                                ██                                 12.0 ms",
      "orders      └ POST /orders                      ██                                 10.0 ms",
      "orders        └ create order.created            ▏                                   1.0 ms",
      "orders          ├ send order.created              █                                 4.0 ms",
      "worker          └ process order.created            █████████████████████████████  180.0 ms",
      "worker            ├ POST                           █                                9.0 ms",
      "inventory         │ └ POST /stock/:itemId/rese…    █                                7.0 ms",
      "worker            ├ PATCH                           █                               9.0 ms",
      "orders            │ └ PATCH /orders/:id/status       █                              7.0 ms",
      "worker            └ POST                              █████████████████████████   158.0 ms",
      "email               └ POST /send                      █████████████████████████   156.0 ms",
    ]);
  });

  test("leaves children that start in the same millisecond in the order of their arrival", () => {
    const steps = ["BEGIN", "INSERT", "COMMIT"].map((name, n) => span(9 - n, name, [1, 4 - n], 1));
    const spans = [...steps, span(1, "root", [0, 10])];
    const names = spanNames(render(traceOf({ a: spans })));
    expect(names).toEqual(["root", "BEGIN", "INSERT", "COMMIT"]);
  });

  test("puts children in the order of their starts, whatever order they arrived in", () => {
    const spans = [
      span(4, "third", [3, 4], 1),
      span(3, "second", [2, 9], 1),
      span(2, "first", [1, 2], 1),
      span(1, "root", [0, 10]),
    ];
    expect(spanNames(render(traceOf({ a: spans })))).toEqual(["root", "first", "second", "third"]);
    expect(render(traceOf({ a: spans.toReversed() }))).toEqual(render(traceOf({ a: spans })));
  });

  test("marks a failed span and says why, but no other", () => {
    const trace = traceOf({
      a: [
        span(1, "fine", [0, 10]),
        span(2, "broken", [1, 5], 1, { status: { code: 2, message: "no\nluck" } }),
        span(3, "typed", [6, 7], 1, {
          status: { code: 2 },
          attributes: [{ key: "error.type", value: { stringValue: "40P01" } }],
        }),
      ],
    });
    const lines = render(trace);
    expect(lines.filter((line) => line.includes("✗")).map((line) => line.slice(0, 14))).toEqual([
      "a ├ ✗ broken  ",
      "a └ ✗ typed   ",
    ]);
    expect(lines[4]).toBe("  │   no�luck");
    expect(lines[6]).toBe("      40P01");
  });

  test("shows a span whose parent is missing as a root, and says so", () => {
    const lines = render(traceOf({ a: [span(2, "lost", [0, 1], 1), span(3, "child", [0, 1], 2)] }));
    expect(lines[2]).toStartWith("a ? lost");
    expect(lines[3]).toStartWith("a └ child");
    expect(lines.at(-1)).toBe("? its parent is not in this trace");
  });

  test("shows every span once, even where parents go round in a circle or an id stands twice", () => {
    const trace = traceOf({
      a: [
        span(1, "hen", [0, 1], 2),
        span(2, "egg", [0, 1], 1),
        span(3, "self", [0, 1], 3),
        span(4, "twin", [0, 1]),
        span(4, "twin", [0, 1]),
        span(5, "kid", [0, 1], 4),
      ],
    });
    const text = render(trace).join("\n");
    for (const [name, times] of Object.entries({ hen: 1, egg: 1, self: 1, twin: 2, kid: 1 })) {
      expect(text.split(` ${name} `)).toHaveLength(times + 1);
    }
  });

  test("notes links to other spans than the parent", () => {
    const links = [
      { traceId: TRACE_ID, spanId: spanId(1) },
      { traceId: "f".repeat(32), spanId: spanId(1) },
    ];
    const lines = render(
      traceOf({ a: [span(1, "root", [0, 9]), span(2, "go", [1, 2], 1, { links })] }),
    );
    expect(lines[3]).toStartWith("a └ go ↗1 ");
    expect(lines.at(-1)).toBe("↗ links to other spans");
    const parentOnly = { links: links.slice(0, 1) };
    expect(render(traceOf({ a: [span(2, "go", [1, 2], 1, parentOnly)] })).join()).not.toContain(
      "↗",
    );
  });

  test("keeps every line within the width, from 60 to 220 columns, with wide and hostile names", () => {
    const hostile = "顧客の注文\u001b[31m red\u0007\u202e👩‍🚀 tab\there ".repeat(4);
    const failed = { status: { code: 2, message: hostile } };
    const deep = Array.from({ length: 60 }, (_, index) =>
      span(
        index + 1,
        index % 7 === 0 ? hostile : `step ${index}`,
        [index, 100],
        index || undefined,
        failed,
      ),
    );
    const trace = traceOf({ [hostile]: deep, b: [span(99, "x", [0, 100], 60)] });
    for (let widthColumns = 60; widthColumns <= 220; widthColumns += 7) {
      for (const color of [false, true]) {
        const text = renderWaterfall(trace, { widthColumns, color });
        for (const line of text.split("\n")) {
          expect(Bun.stringWidth(line)).toBeLessThanOrEqual(widthColumns);
        }
        expect(color ? Bun.stripANSI(text) : text).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
      }
    }
  });

  test("colours services and errors only when asked to", () => {
    const trace = traceOf({ a: [span(1, "x", [0, 1], undefined, { status: { code: 2 } })] });
    const colored = renderWaterfall(trace, { widthColumns: 80, color: true });
    expect(colored).toContain("\u001b[31m✗ x");
    expect(Bun.stripANSI(colored)).toBe(renderWaterfall(trace, { widthColumns: 80, color: false }));
  });

  test("copes with spans that take no time, that end before they start, and with none at all", () => {
    expect(render(traceOf({ a: [span(1, "blink", [0, 0])] }))[2]).toMatch(/^a blink ▏ +0 µs$/);
    expect(render(traceOf({ a: [span(1, "back", [5, 1])] }))[2]).toMatch(/^a back ▏ +0 µs$/);
    expect(render({ resourceSpans: [] })).toEqual([]);
  });
});

describe("the check that an order's trace is whole", () => {
  test("finds nothing missing in the trace of an order", () => {
    expect(isWholeTrace(traceOf(orderSpans()))).toEqual([]);
  });

  test("says what is missing", () => {
    const { email: _, ...withoutEmail } = orderSpans();
    expect(isWholeTrace(traceOf(withoutEmail))).toEqual([
      "a span of email",
      "email's POST /send under process order.created",
    ]);

    const withoutSend = orderSpans();
    withoutSend["orders"] =
      withoutSend["orders"]?.filter(({ name }) => !name?.startsWith("send")) ?? [];
    expect(isWholeTrace(traceOf(withoutSend))).toEqual(["the span send order.created"]);

    const twoRoots = orderSpans();
    twoRoots["orders"]?.push(span(99, "GET /healthz", [0, 1]));
    expect(isWholeTrace(traceOf(twoRoots))).toEqual(["a single root (there are 2)"]);

    const lostParent = orderSpans();
    lostParent["gateway"]?.pop();
    expect(isWholeTrace(traceOf(lostParent))).toEqual(["the parent of POST /orders (orders)"]);
  });

  test("is not content with an e-mail that the worker did not cause", () => {
    const elsewhere = { ...orderSpans(), email: [span(12, "POST /send", [42, 198], 1)] };
    expect(isWholeTrace(traceOf(elsewhere))).toEqual([
      "email's POST /send under process order.created",
    ]);
  });

  test("finds everything missing in an empty trace", () => {
    expect(isWholeTrace({ resourceSpans: [] })).toHaveLength(10);
  });
});

test("a parent of zeros is none, and a link of zeros leads nowhere", () => {
  const zeros = "0".repeat(16);
  const root = span(1, "GET /", [0, 10], undefined, {
    parentSpanId: zeros,
    links: [{ traceId: "0".repeat(32), spanId: zeros }],
  });
  const [, , line, ...rest] = render(traceOf({ gateway: [root, span(2, "SELECT", [1, 2], 1)] }));
  expect(line).toMatch(/^gateway GET \/ /);
  expect(rest).toEqual([expect.stringContaining("└ SELECT")]);
});

test("a whole trace may have a root whose parent is zeros", () => {
  const spans = orderSpans();
  const [root, ...others] = spans["gateway"] ?? [];
  const zeros = { ...root, parentSpanId: "0".repeat(16) } as OtlpSpan;
  expect(isWholeTrace(traceOf({ ...spans, gateway: [zeros, ...others] }))).toEqual([]);
});
