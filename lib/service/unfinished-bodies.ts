/** Bodies that are on their way: each has its time, and where they are too many the oldest goes. */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { RequestTimeoutError } from "./errors.ts";

/**
 * How long a body may take from when its head is there, however steadily its bytes drip. The largest
 * one, of 1 MiB, fits into a megabit a second; an order of 100 items is 10 kB.
 */
const BODY_TIMEOUT_MS = 10_000;

const LOG_INTERVAL_MS = 10_000;

/** A body that has begun. */
export interface UnfinishedBody {
  readonly giveUpAtMs: number;
  /** Announced, or here. */
  bytes: number;
  /**
   * What whoever needs the body waits for: settled by those who read it, or rejected with a
   * RequestTimeoutError, which closes the connection, when its time is over or its place is needed.
   */
  readonly promise: Promise<unknown>;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What {@link UnfinishedBodies} is bounded by. */
export interface BodyLimits {
  /** Bodies at a time. */
  readonly countMax: number;
  /** Of all of them together, announced or here. */
  readonly bytesMax: number;
  /** For each. @default BODY_TIMEOUT_MS */
  readonly timeoutMs?: number;
}

/**
 * The bodies that are on their way, a bounded number and a bounded size at a time.
 *
 * At the bound it is the oldest one that is given up, not the newest that is turned away: a body of
 * an honest client is there in milliseconds, so the oldest ones are those of clients that stall, and
 * one client that holds thousands of them keeps nobody out.
 */
export class UnfinishedBodies {
  readonly #countMax: number;
  readonly #bytesMax: number;
  readonly #timeoutMs: number;
  /** In the order in which they began, which is also that of their ends: all have the same time. */
  readonly #bodies = new Set<UnfinishedBody>();
  #bytes = 0;
  /** One for all: a timer for each would cost every request. */
  #timer: Timer | undefined;
  #givenUp = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor({ countMax, bytesMax, timeoutMs = BODY_TIMEOUT_MS }: BodyLimits) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * A body begins. Whoever calls this reads it, settles the promise with what comes of that, and calls
   * `end` once the promise has settled. What is given up goes on being read, unheard, until its
   * connection closes.
   */
  begin(): UnfinishedBody {
    if (this.#bodies.size >= this.#countMax) this.#giveUpOldest(OUTRUN);
    // One promise and no Promise.race, no function around it: this is on every POST's way.
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const giveUpAtMs = performance.now() + this.#timeoutMs;
    const body = { giveUpAtMs, bytes: 0, promise, resolve, reject };
    this.#bodies.add(body);
    if (!this.#timer) this.#timer = this.#wakeAt(giveUpAtMs);
    return body;
  }

  /** So many more bytes of a body are here, or have been announced. */
  grow(body: UnfinishedBody, bytes: number): void {
    if (!this.#bodies.has(body)) return;
    body.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) this.#giveUpOldest(OUTRUN);
  }

  /** A body is there, or is not waited for any more: its place is free. Safe to call again. */
  end(body: UnfinishedBody): void {
    if (this.#bodies.delete(body)) this.#bytes -= body.bytes;
  }

  #wakeAt(atMs: number): Timer {
    const timer = setTimeout(() => this.#giveUpLate(), Math.max(1, atMs - performance.now()));
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
    this.end(oldest);
    oldest.reject(new RequestTimeoutError(why));
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
