// Repeating: work that is done again and again, never twice at a time.
import { sleep } from "./waiting.ts";

/**
 * Does work at once, and again each time when `intervalMs` have passed since it ended: however long it
 * takes, it does not overlap itself.
 *
 * @param work must not reject; it has a bound of its own
 * @param signal ends it; work under way is not waited for
 */
export async function repeatEvery(
  intervalMs: number,
  work: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await work();
    await sleep(intervalMs, signal).catch(() => undefined);
  }
}
