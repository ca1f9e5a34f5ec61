/** Waiting on a condition, with a bound. */

const POLL_MS = 50;

/**
 * Asks until the answer is true. An error counts as no: most of what is asked here is down at times.
 * @param what is waited for; goes into the error's text
 * @throws Error after `timeoutMs`
 */
export async function until(
  what: string,
  ask: () => boolean | Promise<boolean>,
  timeoutMs: number,
  pollMs = POLL_MS,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      if (await ask()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`waited ${timeoutMs / 1000} s in vain: ${what}`, { cause });
    }
    await Bun.sleep(pollMs);
  }
}
