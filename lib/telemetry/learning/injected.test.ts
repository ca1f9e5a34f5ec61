import { afterEach, beforeEach, expect, test } from "bun:test";
import { context, trace } from "@opentelemetry/api";
import { extractFromHttp, injectedHeaders } from "../propagation.ts";
import { recordSpans, type SpanRecording } from "../testing/record-spans.ts";
import { setCodeLocationEnabled } from "./code-location.ts";
import { showInjected } from "./injected.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
  setCodeLocationEnabled(true);
});
afterEach(() => {
  setCodeLocationEnabled(false);
  recording.stop();
});

/** @returns what the span says that sent a call with this baggage, and the headers of the call */
function sent(baggage: string | undefined) {
  const came = extractFromHttp(context.active(), new Headers(baggage ? { baggage } : {}));
  const span = trace.getTracer("test").startSpan("GET", {}, came);
  const own = trace.setSpan(came, span);
  const headers = injectedHeaders(own);
  showInjected(own, headers);
  span.end();
  return { headers, attributes: recording.span("GET").attributes };
}

test("a span shows the headers that it sent", () => {
  const { headers, attributes } = sent("tier=gold;ttl=1,city=K%C3%B6ln");
  expect(attributes).toEqual({
    "orderflow.propagation.traceparent": headers["traceparent"] ?? "",
    "orderflow.propagation.baggage": headers["baggage"] ?? "",
  });
  expect(headers["baggage"]).toBe("tier=gold;ttl=1,city=K%C3%B6ln");
});

test("without baggage there is none on the span", () => {
  expect(Object.keys(sent(undefined).attributes)).toEqual(["orderflow.propagation.traceparent"]);
});

test("what is secret by its name is sent, and not shown", () => {
  const { headers, attributes } = sent("tier=gold,password=hunter2,auth=Bearer%20abcdefgh");
  expect(headers["baggage"]).toContain("hunter2");
  expect(attributes["orderflow.propagation.baggage"]).toStartWith("tier=gold,password=REDACTED,");
  expect(JSON.stringify(attributes)).not.toMatch(/hunter2|abcdefgh/);
});

test("none is shown where code locations are off", () => {
  setCodeLocationEnabled(false);
  expect(sent("tier=gold").attributes).toEqual({});
});
