/** Waiting for work that may be given up. */

/**
 * Waits for work until a signal aborts.
 * @throws what the work throws, or the signal's reason; the work itself goes on then, unheard
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
    // It ends one way or another once everything is stopped; nobody waits for that any more.
    work.catch(() => {});
  }
}
