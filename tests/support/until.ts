/** Waiting on a condition, with a bound. */

export const POLL_INTERVAL_MS = 20;
const TIMEOUT_MS = 20_000;

/**
 * Asks again and again until the answer is neither undefined nor false.
 * @param what is waited for, as in "order X is confirmed"; goes into the error's text
 * @param ask what it throws ends the waiting
 * @throws Error when the time is over
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  timeoutMs = TIMEOUT_MS,
  pollMs = POLL_INTERVAL_MS,
): Promise<Exclude<T, undefined | false>> {
  const giveUpAtMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (performance.now() > giveUpAtMs) {
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    }
    await Bun.sleep(pollMs);
  }
}
