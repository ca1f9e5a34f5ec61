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
 * Waits for work, but no longer than until the signal aborts. The work itself goes on then, unheard.
 *
 * @param signal without one it is waited for in any case
 * @throws the signal's reason, as soon as it aborts; what the work rejects with
 */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return await work;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    // Nobody waits for it any more, however it ends.
    work.catch(() => {});
  }
}

/**
 * Waits for work, but no longer than `ms`. The work itself goes on then, unheard.
 *
 * @param onLate makes what is thrown when the time is over
 * @throws Error with the text "no answer within … ms", unless `onLate` says otherwise; what the work rejects with
 */
export async function withTimeout<T>(
  work: Promise<T>,
  ms: number,
  onLate: () => Error = () => new Error(`no answer within ${ms} ms`),
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(onLate()), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // Nobody waits for it any more, however it ends.
    work.catch(() => {});
  }
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
