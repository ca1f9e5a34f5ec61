import { expect, test } from "bun:test";
import { isValidSpanId, isValidTraceId } from "@opentelemetry/api";
import * as fc from "fast-check";
import { randomWord, TraceId, wordAt, wordText } from "./ids.ts";

test("ids are valid and none comes twice, over many refills of the pool", () => {
  const seen = new Set<string>();
  for (let count = 0; count < 20_000; count++) {
    const traceId = TraceId.random().text;
    const spanId = wordText(randomWord()) + wordText(randomWord());
    expect(isValidTraceId(traceId) && isValidSpanId(spanId)).toBe(true);
    seen.add(traceId).add(spanId);
  }
  expect(seen.size).toBe(40_000);
});

test("an id that came as text, in either case, is the same when it is written from its words", () => {
  const hex = fc.string({
    unit: fc.constantFrom(..."0123456789abcdef"),
    minLength: 32,
    maxLength: 32,
  });
  fc.assert(
    fc.property(hex, (text) => {
      for (const given of [text, text.toUpperCase()]) {
        const { a, b, c, d } = TraceId.of(given);
        expect([a, b, c, d].map(wordText).join("")).toBe(text);
        expect(wordText(wordAt(given, 8))).toBe(text.slice(8, 16));
      }
    }),
  );
});
