// Waiting that ends early: for a time or for a promise, unless a signal aborts it.

/**
 * Waits for a time.
 *
 * @param ms how long
 * @throws the signal's reason, as soon as it aborts
 */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return unlessAborted(promise, signal).finally(() => clearTimeout(timer));
}

/**
 * Waits for a promise, but no longer than until the signal aborts.
 *
 * @throws the signal's reason, as soon as it aborts; what the promise rejects with
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted.promise]).finally(() =>
    signal.removeEventListener("abort", abort),
  );
}

/**
 * Waits for a promise, but no longer than `ms`.
 *
 * @returns whether the promise was fulfilled in time; a rejection counts as not
 */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const fulfilled = promise.then(
    () => true,
    () => false,
  );
  return Promise.race([fulfilled, late.promise]).finally(() => clearTimeout(timer));
}
