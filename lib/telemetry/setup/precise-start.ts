/**
 * Start times finer than a millisecond. The SDK takes a span's start from `Date.now()` and adds a
 * finely measured duration: spans that start within one millisecond then stand in no order, and a
 * child may seem to end after its parent.
 *
 * The start here is what the SDK measures the duration from, on the clock of {@link clockOffsetMs}.
 */
import type { HrTime } from "@opentelemetry/api";
import type { Span, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { clockOffsetMs, hrTimeOf } from "./clock.ts";

/** A span of SDK 2.12 inside. */
interface SpanInside {
  startTime: HrTime;
  /** The monotonic clock, in milliseconds, when it was made. */
  readonly _performanceStartTime: number;
  /** Whether its maker said when it started. */
  readonly _startTimeProvided: boolean;
}

/** A span processor that sets each span's start; it goes before the one that exports. */
export const preciseStart: SpanProcessor = {
  onStart(span: Span) {
    const inside = span as unknown as SpanInside;
    const { _startTimeProvided: isGiven, _performanceStartTime: startMs } = inside;
    // Nobody has read it yet.
    if (!isGiven) inside.startTime = hrTimeOf(startMs + clockOffsetMs(startMs));
  },
  onEnd() {},
  forceFlush: async () => {},
  shutdown: async () => {},
};
