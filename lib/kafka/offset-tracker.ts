// Offset tracker: which offset of one partition may be committed while its records finish out of order.

/**
 * Where a record stands:
 * - `new`: not seen yet, to be handled;
 * - `known`: in hand, or finished; Kafka delivered it once more after a rebalance;
 * - `rewound`: before what was committed and before what was to come next; someone moved the group back,
 *   or the topic was made anew.
 */
export type Place = "new" | "known" | "rewound";

/**
 * Tracks the records of one partition from dispatch until their offset is committed. A committed offset
 * says "everything before is done", so it may only move up to the first record that is not.
 *
 * Offsets may have gaps (compaction, transaction markers), so this goes by the order of dispatch.
 */
export class OffsetTracker {
  readonly #max: number;
  /** Dispatched records from the first unfinished one on, in order; the value says whether it is finished. */
  readonly #records = new Map<bigint, boolean>();
  /** The next offset to dispatch; undefined before the first. */
  #next: bigint | undefined;
  /** All dispatched records before this are finished. */
  #finishedUpTo = 0n;
  #committed = 0n;
  /** From where on Kafka delivers, or later, unless the group is set back. */
  #deliveredFrom = 0n;

  /** @param max how many records may be tracked at once: unfinished ones, and finished ones behind them */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether a further record has to wait until an earlier one finishes. */
  get isFull(): boolean {
    return this.#records.size >= this.#max;
  }

  /** Tells what to do with a record that Kafka delivered. */
  place(offset: string): Place {
    const position = BigInt(offset);
    if (this.#next === undefined || position >= this.#next) return "new";
    const isRewound = position < this.#committed && position < this.#deliveredFrom;
    return isRewound ? "rewound" : "known";
  }

  /** Takes note that Kafka has delivered a record, new or not: what is delivered next comes after it. */
  delivered(offset: string): void {
    this.#deliveredFrom = BigInt(offset) + 1n;
  }

  /**
   * Takes note that the group was joined anew and the partition stayed. Kafka then delivers from what is
   * committed when it is asked: this offset or a later one, though more may be committed until it comes.
   */
  rejoined(): void {
    this.#deliveredFrom = this.#committed;
  }

  /**
   * Takes note of a record that is now in hand.
   *
   * @throws RangeError when the tracker is full or the record is not new
   */
  start(offset: string): void {
    if (this.isFull)
      throw new RangeError(`more than ${this.#max} records in one partition's tracker`);
    if (this.place(offset) !== "new")
      throw new RangeError(`offset ${offset} was dispatched before`);
    const position = BigInt(offset);
    if (this.#next === undefined) {
      this.#committed = position;
      this.#finishedUpTo = position;
      this.#deliveredFrom = position;
    }
    this.#next = position + 1n;
    this.#records.set(position, false);
  }

  /** Takes note that a record is done with. */
  finish(offset: string): void {
    const finished = BigInt(offset);
    if (!this.#records.has(finished)) return;
    this.#records.set(finished, true);
    for (const [position, isFinished] of this.#records) {
      if (!isFinished) break;
      this.#records.delete(position);
      this.#finishedUpTo = position + 1n;
    }
  }

  /** The offset to commit (the next one to read), or undefined when that is committed already. */
  committable(): string | undefined {
    return this.#finishedUpTo > this.#committed ? this.#finishedUpTo.toString() : undefined;
  }

  /** Takes note that an offset is committed. */
  commit(offset: string): void {
    this.#committed = BigInt(offset);
  }
}
