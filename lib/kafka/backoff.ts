// Backoff: how long to wait before the next try.

/** How waits between tries grow. */
export interface Backoff {
  /** Upper bound of the wait after the first failure, in milliseconds; it doubles with each further one. */
  readonly initialMs: number;
  /** Upper bound of any wait, in milliseconds. */
  readonly maxMs: number;
}

/**
 * Draws a wait with full jitter: anything between 0 and the bound, so that those who failed together
 * do not come back together.
 *
 * @param failures how many tries have failed, from 1
 * @param random a number from 0 to 1, replaced in tests
 * @returns milliseconds
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(failures: number, backoff: Backoff, random = Math.random): number {
  return Math.round(random() * Math.min(backoff.maxMs, backoff.initialMs * 2 ** (failures - 1)));
}
