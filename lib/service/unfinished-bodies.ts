/** Bodies that are on their way: each has its time, and where they are too many the oldest goes. */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { logger } from "#lib/telemetry/logger.ts";
import { RequestTimeoutError } from "./errors.ts";

/**
 * How long a body may take from when its head is there, however steadily its bytes drip. The largest
 * one, of 1 MiB, fits into a megabit a second; an order of 100 items is 10 kB.
 */
export const BODY_TIMEOUT_MS = 10_000;

const LOG_INTERVAL_MS = 10_000;

interface Unfinished {
  readonly giveUpAtMs: number;
  giveUp(error: RequestTimeoutError): void;
}

/**
 * Waits for bodies, a bounded number at a time.
 *
 * At the bound it is the oldest one that is given up, not the newest that is turned away: a body of
 * an honest client is there in milliseconds, so the oldest ones are those of clients that stall, and
 * one client that holds thousands of them keeps nobody out.
 */
export class UnfinishedBodies {
  readonly #countMax: number;
  readonly #timeoutMs: number;
  /** In the order in which they began, which is also that of their ends: all have the same time. */
  readonly #bodies = new Set<Unfinished>();
  /** One for all: a timer for each would cost every request. */
  #timer: Timer | undefined;
  #givenUp = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(countMax: number, timeoutMs = BODY_TIMEOUT_MS) {
    this.#countMax = countMax;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Waits for one body.
   *
   * @param body settles when it has been read; goes on unheard where it is given up, until its
   *   connection closes
   * @throws RequestTimeoutError, which closes the connection, when its time is over or its place is
   *   needed; what `body` rejects with
   */
  async wait<T>(body: Promise<T>): Promise<T> {
    if (this.#bodies.size >= this.#countMax) this.#giveUpOldest(OUTRUN);
    const { promise: end, reject: giveUp } = Promise.withResolvers<never>();
    const unfinished = { giveUpAtMs: performance.now() + this.#timeoutMs, giveUp };
    this.#bodies.add(unfinished);
    if (!this.#timer) this.#timer = this.#wakeAt(unfinished.giveUpAtMs);
    try {
      return await Promise.race([body, end]);
    } finally {
      this.#bodies.delete(unfinished);
    }
  }

  #wakeAt(atMs: number): Timer {
    const timer = setTimeout(() => this.#giveUpLate(), atMs - performance.now());
    timer.unref();
    return timer;
  }

  #giveUpLate(): void {
    this.#timer = undefined;
    for (const { giveUpAtMs } of this.#bodies) {
      if (giveUpAtMs > performance.now()) {
        this.#timer = this.#wakeAt(giveUpAtMs);
        return;
      }
      this.#giveUpOldest(LATE);
    }
  }

  #giveUpOldest(why: string): void {
    const [oldest] = this.#bodies;
    if (!oldest) return;
    this.#bodies.delete(oldest);
    oldest.giveUp(new RequestTimeoutError(why));
    this.#sayGivenUp();
  }

  /** One line for all of some seconds: the answers are counted one by one, as 408. */
  #sayGivenUp(): void {
    this.#givenUp += 1;
    if (performance.now() - this.#saidMs < LOG_INTERVAL_MS) return;
    const fields = { count: this.#givenUp };
    // It is about many requests, and whichever of them is active here is none of those.
    context.with(ROOT_CONTEXT, () =>
      logger.warn("bodies that did not arrive in time were given up", fields),
    );
    this.#saidMs = performance.now();
    this.#givenUp = 0;
  }
}

const LATE = "the body did not arrive in time";
const OUTRUN = "the body did not arrive before too many others had begun";
