/** Arrivals at a steady rate, whatever becomes of those before: users do not wait for each other. */

export interface ArrivalsOptions {
  /** A second. */
  readonly rate: number;
  /** How many in all, at most. */
  readonly countMax: number;
  /** How many may be under way; who comes above that waits, and its time counts from when it came. */
  readonly inFlightMax: number;
  /**
   * Begins one; must not throw.
   * @param number from 1 on
   * @param dueMs when it came, on the clock of performance.now(): before now where it had to wait
   */
  readonly arrive: (number: number, dueMs: number) => Promise<void>;
}

export interface Arrivals {
  /** How many were begun so far. */
  readonly begun: number;
  readonly inFlight: number;
  /** Begins no more, and waits for those that are under way. Safe to call again. */
  stop(): Promise<void>;
}

const TICK_MS = 5;

/** Starts them; they go on until {@link Arrivals.stop}, or until there are `countMax`. */
export function startArrivals(options: ArrivalsOptions): Arrivals {
  const { rate, countMax, inFlightMax, arrive } = options;
  const inFlight = new Set<Promise<void>>();
  const startedMs = performance.now();
  let begun = 0;
  let isStopped = false;

  const beginDue = () => {
    if (isStopped) return;
    const due = Math.floor(((performance.now() - startedMs) / 1_000) * rate) + 1;
    while (begun < Math.min(due, countMax) && inFlight.size < inFlightMax) {
      begun += 1;
      const one = arrive(begun, startedMs + ((begun - 1) / rate) * 1_000).finally(() => {
        inFlight.delete(one);
        beginDue();
      });
      inFlight.add(one);
    }
  };
  const timer = setInterval(beginDue, TICK_MS);

  return {
    get begun() {
      return begun;
    },
    get inFlight() {
      return inFlight.size;
    },
    async stop() {
      isStopped = true;
      clearInterval(timer);
      await Promise.all(inFlight);
    },
  };
}
