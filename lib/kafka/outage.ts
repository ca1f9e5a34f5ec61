// Outage: the time during which something the handlers need is down, seen by all records alike.
import { logger } from "#lib/telemetry/logs/logger.ts";
import { describeError } from "./errors.ts";
import { settledWithin, sleep, unlessAborted } from "#lib/waiting/waiting.ts";

/** See {@link Outage}. */
export interface OutageOptions {
  /** Whether the failure is because something all records need is down. A hanging answer counts as yes. */
  readonly isDown: (failure: unknown) => Promise<boolean>;
  /** How long between two questions during an outage, in milliseconds, give or take a quarter. */
  readonly probeIntervalMs: number;
  /** Called when an outage begins. */
  readonly onDown: () => void;
  /** Called when it is over. */
  readonly onUp: () => void;
  /** Ends all probing. */
  readonly signal: AbortSignal;
}

const PROBE_WITHIN_MS = 5_000;

/**
 * Asks, after a failure, whether a dependency is down, and if so keeps asking until it is back. One
 * probe at a time, however many records wait for its answer.
 */
export class Outage {
  readonly #options: OutageOptions;
  #probe: Promise<boolean> | undefined;
  #current: { readonly over: Promise<void>; readonly sinceMs: number } | undefined;
  #pastMs = 0;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** How long all outages so far took together, in milliseconds. */
  totalMs(): number {
    const current = this.#current;
    return this.#pastMs + (current === undefined ? 0 : performance.now() - current.sinceMs);
  }

  /**
   * Returns at once when `failure` is not due to an outage; otherwise when the outage is over.
   *
   * @returns whether there was one
   * @throws the signal's reason, as soon as it aborts
   */
  async waitUntilOver(failure: unknown, signal: AbortSignal): Promise<boolean> {
    if (this.#current === undefined) {
      const isDown = await unlessAborted(this.#ask(failure), signal);
      if (!isDown) return false;
    }
    this.#current ??= { over: this.#watch(failure), sinceMs: performance.now() };
    await unlessAborted(this.#current.over, signal);
    return true;
  }

  /** Runs for as long as the outage; it ends too when the consumer stops. */
  async #watch(failure: unknown): Promise<void> {
    const { onDown, onUp, probeIntervalMs, signal } = this.#options;
    const startedMs = performance.now();
    logger.warn("a dependency is down; consuming pauses", { error: describeError(failure) });
    onDown();
    try {
      do await sleep(probeIntervalMs * (0.75 + Math.random() / 2), signal);
      while (await this.#ask(failure));
    } catch {
      return; // the consumer stops, so nobody is to be resumed
    } finally {
      this.#pastMs += performance.now() - startedMs;
      this.#current = undefined;
    }
    logger.info("the dependency is back; consuming resumes", {
      "orderflow.outage_ms": Math.round(performance.now() - startedMs),
    });
    onUp();
  }

  #ask(failure: unknown): Promise<boolean> {
    this.#probe ??= this.#askOnce(failure).finally(() => (this.#probe = undefined));
    return this.#probe;
  }

  async #askOnce(failure: unknown): Promise<boolean> {
    let answer = true;
    // Bounded: what does not answer is as good as down.
    const isAnswered = await settledWithin(
      this.#options.isDown(failure).then(
        (isDown) => (answer = isDown),
        (probeError: unknown) => {
          answer = false; // a broken probe must not stop the orders
          logger.error("the probe for an outage failed", { error: describeError(probeError) });
        },
      ),
      PROBE_WITHIN_MS,
    );
    return isAnswered ? answer : true;
  }
}
