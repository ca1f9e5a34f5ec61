/** Waiting for what is seen: until it satisfies, or the time is over. */
import { sleep, unlessAborted } from "#lib/waiting/waiting.ts";

const POLL_MS = 20;

/** How to wait; see {@link seenWhen}. */
export interface Wait {
  readonly timeoutMs: number;
  /** How long it looks on after the condition holds, for what should not come. @default 0 */
  readonly settleMs?: number;
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Looks again and again until what it sees satisfies the condition.
 * @returns what was seen last: whether it satisfies is for the caller to judge
 * @throws what `look` and `condition` throw; the signal's reason
 */
export async function seenWhen<T>(
  look: () => T | Promise<T>,
  condition: (seen: T) => boolean,
  { timeoutMs, settleMs = 0, signal }: Wait,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const seen = await unlessAborted(Promise.resolve(look()), signal);
    if (condition(seen)) break;
    if (performance.now() >= deadlineMs) return seen;
    await sleep(POLL_MS, signal);
  }
  if (settleMs > 0) await sleep(settleMs, signal);
  return await unlessAborted(Promise.resolve(look()), signal);
}
