/** When a run has shown all of its spans: none has come for a moment. */

const QUIET_MS = 500;

/** @returns a condition that holds once there are spans, and for half a second no more */
export function quiet(): (spans: readonly unknown[]) => boolean {
  let count = 0;
  let sinceMs = performance.now();
  return (spans) => {
    if (spans.length !== count) sinceMs = performance.now();
    count = spans.length;
    return count > 0 && performance.now() - sinceMs >= QUIET_MS;
  };
}
