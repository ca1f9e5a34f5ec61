import { expect, test } from "bun:test";
import { isValidSpanId, isValidTraceId } from "@opentelemetry/api";
import { ids } from "./ids.ts";

test("ids are valid and none comes twice, over many refills of the pool", () => {
  const seen = new Set<string>();
  for (let count = 0; count < 20_000; count++) {
    const traceId = ids.generateTraceId();
    const spanId = ids.generateSpanId();
    expect(isValidTraceId(traceId) && isValidSpanId(spanId)).toBe(true);
    seen.add(traceId).add(spanId);
  }
  expect(seen.size).toBe(40_000);
});
