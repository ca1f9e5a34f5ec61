// Record handling: one record's life from its turn to work until it is finished or given back.
import { trace, type Attributes } from "@opentelemetry/api";
import { ATTR_ERROR_TYPE } from "#lib/telemetry/attributes.ts";
import { traceProcess } from "#lib/telemetry/kafka/index.ts";
import type { ConsumedRecord } from "./owned-record.ts";
import { errorTypeOf } from "#lib/telemetry/error-text.ts";
import { backoffMs, type Backoff } from "./backoff.ts";
import { AbandonedError, describeError, isRetryable } from "./errors.ts";
import type { Outage } from "./outage.ts";
import type { Slots } from "#lib/waiting/slots.ts";
import { sleep } from "#lib/waiting/waiting.ts";

/** What a handler may use while it works on a record. */
export interface HandlingContext {
  /** Aborts when the record is given back: whatever still runs for it may end. */
  readonly signal: AbortSignal;
  /** Which try this is, from 1; counts the failures of all the record's steps. */
  readonly attempts: number;
  /**
   * To be called after a step has failed; when it returns, the step is to be tried again. Meanwhile the
   * record has given up its turn, so that others do not wait for it.
   *
   * @param error what the step failed with
   * @throws `error` itself when it is not retryable, or when the step has been tried for long enough
   * @throws AbandonedError when the record is given back; let it pass
   */
  retry(error: unknown): Promise<void>;
  /** To be called when a step succeeds after failures: the next one has the whole time for itself. */
  succeeded(): void;
}

/** A handler of records. Whatever it throws makes the record a dead letter. */
export type RecordHandler = (record: ConsumedRecord, context: HandlingContext) => Promise<void>;

/** What {@link handleRecord} needs; the same for all records of a consumer. */
export interface RecordHandlingOptions {
  readonly groupId: string;
  /** Where the consumer was started: no line of the service is on the stack when a record comes. */
  readonly location?: Attributes | undefined;
  readonly handle: RecordHandler;
  readonly slots: Slots;
  /** Undefined where nothing counts as an outage. */
  readonly outage: Outage | undefined;
  readonly backoff: Backoff;
  /** For how long a failing step is tried at least, from its first failure on, outages not counted. */
  readonly retryLimitMs: number;
  /** Writes the dead letter; one try. */
  readonly sendDeadLetter: (
    record: ConsumedRecord,
    failure: { error: unknown; attempts: number },
  ) => Promise<void>;
  /** Called when a dead letter could not be written and is tried again. */
  readonly onDeadLetterFailure: (error: unknown) => void;
}

/** How a record left our hands: `finished` (dead letters too), its offset may be committed; or not. */
export type Outcome = "finished" | "abandoned";

/** A record in hand. */
export interface RecordInHand {
  /** Gives the record back: ends its waiting, and asks its handler to end. */
  abandon(reason: string): void;
  /** Lets the handler go on, but gives the record back instead of waiting for another try. */
  abandonBeforeWaiting(reason: string): void;
}

/**
 * Takes a record in hand: it is worked on as soon as it is its turn.
 *
 * @param onDone called once, before the next record takes this one's turn
 */
export function handleRecord(
  record: ConsumedRecord,
  options: RecordHandlingOptions,
  onDone: (outcome: Outcome) => void,
): RecordInHand {
  const handling = new Handling(record, options);
  void handling.run(onDone);
  return handling;
}

class Handling implements RecordInHand, HandlingContext {
  readonly #record: ConsumedRecord;
  readonly #options: RecordHandlingOptions;
  readonly #abandoned = new AbortController();
  readonly #turn: Turn;
  #waitingRefused: string | undefined;
  #attempts = 1;
  /** Failures since a step last succeeded, and when they began. */
  #failures = 0;
  #firstFailure: { readonly atMs: number; readonly outagesMs: number } | undefined;

  constructor(record: ConsumedRecord, options: RecordHandlingOptions) {
    this.#record = record;
    this.#options = options;
    this.#turn = new Turn(options.slots, this.#abandoned.signal);
  }

  get signal(): AbortSignal {
    return this.#abandoned.signal;
  }

  get attempts(): number {
    return this.#attempts;
  }

  abandon(reason: string): void {
    this.#abandoned.abort(new AbandonedError(reason));
  }

  abandonBeforeWaiting(reason: string): void {
    if (this.#turn.isTaken) this.#waitingRefused = reason;
    else this.abandon(reason);
  }

  async retry(error: unknown): Promise<void> {
    this.signal.throwIfAborted();
    if (!isRetryable(error)) throw error;

    const { outage, retryLimitMs, backoff } = this.#options;
    this.#failures += 1;
    this.#firstFailure ??= { atMs: performance.now(), outagesMs: outage?.totalMs() ?? 0 };
    await this.#wait(async () => {
      const wasOutage = (await outage?.waitUntilOver(error, this.signal)) ?? false;
      const remainingMs = retryLimitMs - this.#triedForMs();
      // After an outage there is always another try: nothing becomes a dead letter because of one.
      if (remainingMs <= 0 && !wasOutage) throw error;
      // Not beyond the limit, so that the last try comes when it is reached, neither before nor long after.
      const delayMs = Math.min(
        backoffMs(this.#failures, backoff),
        Math.max(Math.ceil(remainingMs), backoff.initialMs),
      );
      trace.getActiveSpan()?.addEvent("retry", {
        "orderflow.retry.attempt": this.#attempts,
        "orderflow.retry.delay_ms": delayMs,
        "orderflow.retry.error": describeError(error),
        [ATTR_ERROR_TYPE]: errorTypeOf(error),
      });
      await sleep(delayMs, this.signal);
    });
    this.#attempts += 1;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#firstFailure = undefined;
  }

  async run(onDone: (outcome: Outcome) => void): Promise<void> {
    try {
      await this.#turn.take();
    } catch {
      onDone("abandoned"); // before its turn came, so nothing was done and there is no span
      return;
    }
    // Stays so only if the tracing itself failed: then Kafka delivers the record again after a restart.
    let outcome: Outcome = "abandoned";
    try {
      const { groupId, location } = this.#options;
      await traceProcess(this.#record, { consumerGroup: groupId, location }, async (span) => {
        try {
          await this.#options.handle(this.#record, this);
        } catch (error) {
          if (this.signal.aborted || !(await this.#deadLetter(error))) {
            span.addEvent("abandoned");
            return;
          }
          outcome = "finished";
          throw error; // so that the span says that the record was not handled
        }
        outcome = "finished";
      });
    } catch {
      // The error is on the span and in the dead letter.
    }
    onDone(outcome);
    this.#turn.giveUp();
  }

  /** Waits without holding up others; gives the record back where waiting is no longer wanted. */
  async #wait(wait: () => Promise<void>): Promise<void> {
    if (this.#waitingRefused !== undefined) this.abandon(this.#waitingRefused);
    this.signal.throwIfAborted();
    await this.#turn.giveUpDuring(wait);
  }

  /** Writes the dead letter, for as long as it takes; false when the record is given back before that. */
  async #deadLetter(error: unknown): Promise<boolean> {
    const failure = { error, attempts: this.attempts };
    for (let failures = 1; ; failures++) {
      try {
        await this.#options.sendDeadLetter(this.#record, failure);
        return true;
      } catch (sendError) {
        this.#options.onDeadLetterFailure(sendError);
      }
      try {
        const delayMs = backoffMs(failures, this.#options.backoff);
        await this.#wait(() => sleep(delayMs, this.signal));
      } catch {
        return false;
      }
    }
  }

  #triedForMs(): number {
    if (this.#firstFailure === undefined) return 0;
    const outagesMs = (this.#options.outage?.totalMs() ?? 0) - this.#firstFailure.outagesMs;
    return performance.now() - this.#firstFailure.atMs - outagesMs;
  }
}

/** A record's slot, given up while the record waits. Steps that run side by side share it. */
class Turn {
  readonly #slots: Slots;
  readonly #signal: AbortSignal;
  #isTaken = false;
  #taking: Promise<void> | undefined;

  constructor(slots: Slots, signal: AbortSignal) {
    this.#slots = slots;
    this.#signal = signal;
  }

  get isTaken(): boolean {
    return this.#isTaken;
  }

  async take(): Promise<void> {
    if (this.#isTaken) return;
    this.#taking ??= this.#slots
      .acquire(this.#signal)
      .then(() => void (this.#isTaken = true))
      .finally(() => (this.#taking = undefined));
    await this.#taking;
  }

  giveUp(): void {
    if (!this.#isTaken) return;
    this.#isTaken = false;
    this.#slots.release();
  }

  /** Waits without the slot, and then for the slot; also where the waiting ends in an error. */
  async giveUpDuring(wait: () => Promise<void>): Promise<void> {
    this.giveUp();
    try {
      await wait();
    } finally {
      await this.take();
    }
  }
}
