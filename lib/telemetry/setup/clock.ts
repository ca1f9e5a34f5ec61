/**
 * The time of a span, finer than a millisecond: the monotonic clock, set to the wall clock and set again
 * whenever the two differ by more than a millisecond. It follows a clock step, and a duration is never
 * negative, because that is measured on the monotonic clock alone.
 */
import type { HrTime, TimeInput } from "@opentelemetry/api";

/** So long the two are taken to agree after they were compared. */
const TRUST_MS = 1;
/** So far apart they may be: less would be a step between two spans for nothing. */
const DIFFERENCE_MAX_MS = 1;

let offsetMs = Date.now() - performance.now();
let comparedMs = performance.now();

/**
 * What to add to a reading of the monotonic clock to have milliseconds since 1970.
 * @param monotonicMs a reading of just now
 */
export function clockOffsetMs(monotonicMs: number): number {
  if (monotonicMs - comparedMs >= TRUST_MS) compareClocks();
  return offsetMs;
}

function compareClocks(): void {
  // The wall clock is read on both sides: the process may lose the processor between two readings. It tells
  // whole milliseconds, and may be one ahead of what it says.
  const earliestMs = Date.now();
  comparedMs = performance.now();
  const latestMs = Date.now() + 1;
  const oursMs = comparedMs + offsetMs;
  if (oursMs < earliestMs - DIFFERENCE_MAX_MS) offsetMs += earliestMs - oursMs;
  else if (oursMs > latestMs + DIFFERENCE_MAX_MS) offsetMs -= oursMs - latestMs;
}

/** Milliseconds since 1970 as the API's pair of seconds and nanoseconds. */
export function hrTimeOf(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  const nanos = Math.round((epochMs - seconds * 1000) * 1e6);
  return nanos < 1e9 ? [seconds, nanos] : [seconds + 1, 0];
}

/**
 * A time that a caller gave, read as the SDK reads it: a Date, a pair, milliseconds since 1970, or a
 * reading of the monotonic clock, which is a number that this clock has already passed.
 * @param ownOffsetMs of the span that it is for
 */
export function givenTime(time: TimeInput, ownOffsetMs: number): HrTime {
  if (Array.isArray(time)) return time;
  const ms = Number(time);
  return hrTimeOf(typeof time === "number" && ms <= performance.now() ? ms + ownOffsetMs : ms);
}
