/**
 * Start times finer than a millisecond. The SDK takes a span's start from `Date.now()` and adds a
 * finely measured duration: spans that start within one millisecond then stand in no order, and a
 * child may seem to end after its parent.
 *
 * The clock here is the monotonic one, set to the wall clock and set again whenever the two differ
 * by more than a millisecond: it follows a clock step, and a duration is never negative, because the
 * SDK measures that on the monotonic clock alone.
 */
import type { HrTime } from "@opentelemetry/api";
import type { Span, SpanProcessor } from "@opentelemetry/sdk-trace-base";

let offsetMs = Date.now() - performance.now();

/** A span processor that sets each span's start; it goes before the one that exports. */
export const preciseStart: SpanProcessor = {
  onStart(span: Span) {
    // The SDK has just read the wall clock for it.
    const [seconds, nanos] = span.startTime;
    // Read-only for everyone else; nobody has read it yet.
    (span as { startTime: HrTime }).startTime = preciseTime(seconds * 1000 + nanos / 1e6);
  },
  onEnd() {},
  forceFlush: async () => {},
  shutdown: async () => {},
};

function preciseTime(wallMs: number): HrTime {
  let nowMs = performance.now() + offsetMs;
  if (nowMs < wallMs || nowMs > wallMs + 1) nowMs = setClock();
  const seconds = Math.floor(nowMs / 1000);
  return [seconds, Math.floor((nowMs - seconds * 1000) * 1e6)];
}

/** Sets our clock by the wall clock where the two differ. @returns the time */
function setClock(): number {
  // The wall clock is read on both sides: the process may lose the processor between two readings.
  const earliestMs = Date.now();
  const monotonicMs = performance.now();
  const latestMs = Date.now() + 1;
  const oursMs = monotonicMs + offsetMs;
  if (oursMs < earliestMs) offsetMs += earliestMs - oursMs;
  else if (oursMs > latestMs) offsetMs -= oursMs - latestMs;
  return monotonicMs + offsetMs;
}
