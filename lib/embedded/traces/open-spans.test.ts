import { expect, test } from "bun:test";
import { OpenSpans } from "./open-spans.ts";
import type { OtlpSpan, OtlpTrace } from "./otlp.ts";
import { TraceRing } from "./trace-ring.ts";

const TRACE = "a".repeat(32);
const OTHER = "b".repeat(32);
const START_MS = 1_700_000_000_000;

function nanos(ms: number): string {
  return String(BigInt(ms) * 1_000_000n);
}

function exportOf(...spans: OtlpSpan[]): OtlpTrace {
  const attributes = [{ key: "service.name", value: { stringValue: "slow" } }];
  return { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] };
}

function span(spanId: string, more: Partial<OtlpSpan> = {}): OtlpSpan {
  return { traceId: TRACE, spanId, name: spanId, startTimeUnixNano: nanos(START_MS), ...more };
}

const ONE = "1".repeat(16);
const TWO = "2".repeat(16);

/** A ring, what is open beside it, and a clock that is moved by hand. */
function setUp() {
  const ring = new TraceRing({ tracesMax: 10, spansPerTraceMax: 10, bytesMax: 1e6 });
  const clock = { ms: START_MS + 1_000 };
  const open = new OpenSpans(ring, () => clock.ms);
  const come = (...spans: OtlpSpan[]) => ring.add(exportOf(...spans).resourceSpans, 100);
  return { ring, clock, open, come };
}

test("a trace of which nothing has come is what is open of it, until now", () => {
  const { open, clock } = setUp();
  open.say("p", exportOf(span(ONE)), 100);
  clock.ms += 500;
  const [trace] = open.traces();
  expect(trace?.spanCount).toBe(1);
  expect(trace?.endTimeUs).toBe((START_MS + 1_500) * 1_000);
  expect(open.statesOf(TRACE)).toEqual(new Map([[ONE, "running"]]));
  open.stop();
});

test("a span that has come is open no more, and shares its resource with what is", () => {
  const { open, come } = setUp();
  open.say("p", exportOf(span(ONE), span(TWO)), 100);
  come(span(ONE, { endTimeUnixNano: nanos(START_MS + 1_200) }));
  expect([...open.statesOf(TRACE).keys()]).toEqual([TWO]);
  const resources = open.withOpen(TRACE)?.resourceSpans.map(({ resource }) => resource);
  expect(resources?.length).toBe(2);
  expect(resources?.[0]).toBe(resources?.[1]);
  open.stop();
});

test("one that is told no more has ended; if it never comes, it is forgotten", () => {
  const { open, clock } = setUp();
  open.say("p", exportOf(span(ONE)), 100);
  clock.ms += 500;
  open.say("p", exportOf(), 10);
  expect(open.statesOf(TRACE).get(ONE)).toBe("ending");
  clock.ms += 5_000;
  // It ended when that was said, and not now.
  expect(open.withOpen(TRACE)?.endTimeUs).toBe((START_MS + 1_500) * 1_000);
  clock.ms += 11_000;
  open.look();
  expect(open.statesOf(TRACE).size).toBe(0);
  expect(open.withOpen(TRACE)).toBeUndefined();
});

test("of a program that says nothing any more they are silent, and speak again when it does", () => {
  const { open, clock } = setUp();
  open.say("p", exportOf(span(ONE)), 100);
  clock.ms += 7_000;
  open.look();
  expect(open.statesOf(TRACE).get(ONE)).toBe("silent");
  expect(open.withOpen(TRACE)?.endTimeUs).toBe((START_MS + 1_000) * 1_000);
  open.say("p", exportOf(span(ONE)), 100);
  expect(open.statesOf(TRACE).get(ONE)).toBe("running");
  clock.ms += 61 * 60_000;
  open.look();
  expect(open.traces()).toEqual([]);
});

test("pages are told of traces whose open spans come, go, end and fall silent", () => {
  const { ring, open, clock } = setUp();
  const changed = (act: () => void) => {
    const before = ring.version;
    act();
    return open.changedSince(before);
  };
  expect(changed(() => open.say("p", exportOf(span(ONE)), 100))).toEqual([TRACE]);
  expect(changed(() => open.say("p", exportOf(span(ONE)), 100))).toEqual([]);
  const other = span(TWO, { traceId: OTHER });
  expect(changed(() => open.say("p", exportOf(span(ONE), other), 100))).toEqual([OTHER]);
  expect(changed(() => open.say("p", exportOf(span(ONE)), 100))).toEqual([OTHER]);
  clock.ms += 7_000;
  expect(changed(() => open.look())).toEqual([TRACE]);
  open.stop();
});

test("they have a bound: by program, in programs and in bytes; what is no span is left out", () => {
  const { open } = setUp();
  const many = Array.from({ length: 600 }, (_, index) =>
    span((index + 1).toString(16).padStart(16, "0")),
  );
  open.say("p", exportOf(...many), 100);
  expect(open.statesOf(TRACE).size).toBe(500);
  for (let process = 0; process < 100; process++) {
    const id = process.toString(16).padStart(16, "c");
    open.say(`p${process}`, exportOf(span(id, { traceId: OTHER })), 100);
  }
  expect(open.statesOf(TRACE).size).toBe(0);
  expect(open.statesOf(OTHER).size).toBe(64);
  open.say("large", exportOf(span(ONE)), 16 * 1024 ** 2);
  expect(open.traces().length).toBe(1);
  open.say("bad", exportOf(span("0".repeat(16)), span(TWO, { traceId: "short" })), 10);
  expect([...open.statesOf(TRACE).keys()]).toEqual([ONE]);
  open.stop();
});
