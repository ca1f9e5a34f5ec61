/** A bound on waiting. */

/**
 * Waits for `work`, at most `timeoutMs`. The work itself is not stopped.
 * @throws Error with the text "no answer within … ms" when the time is over
 */
export async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
