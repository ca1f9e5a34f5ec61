/**
 * Deadlines that shrink along the way: each call tells the service behind it how long its caller
 * will still wait, and work that nobody waits for any more is not begun.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { GatewayTimeoutError } from "./errors.ts";

/** Milliseconds that the caller will still wait, when it sends the request. Relative, as clocks differ. */
export const TIMEOUT_HEADER = "x-request-timeout-ms";

const deadlines = new AsyncLocalStorage<number>();

/** Runs `work` under the deadline that a request brought along; without one, or a malformed one, as it is. */
export function withDeadlineOf<T>(request: Request, work: () => T): T {
  const text = request.headers.get(TIMEOUT_HEADER);
  if (!text || !/^\d{1,7}$/.test(text)) return work();
  return deadlines.run(performance.now() + Number(text), work);
}

/**
 * How long something may take that would take `timeoutMs` by itself.
 * @returns milliseconds, at least 1
 * @throws GatewayTimeoutError where the caller has given up already
 */
export function remainingMs(timeoutMs: number): number {
  const deadline = deadlines.getStore();
  if (deadline === undefined) return timeoutMs;
  const remaining = Math.floor(deadline - performance.now());
  if (remaining < 1) throw new GatewayTimeoutError("the caller's time is over");
  return Math.min(timeoutMs, remaining);
}

/**
 * For work that is about to be begun.
 * @throws GatewayTimeoutError where the caller has given up already
 */
export function throwIfTooLate(): void {
  remainingMs(Number.POSITIVE_INFINITY);
}
