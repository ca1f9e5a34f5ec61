// One partition's log: record batches in memory, found by offset with a binary search.
import { ErrorCode, RefusedError } from "./errors.ts";
import { Fifo } from "./fifo.ts";
import { ProducerSequences } from "./producer-sequences.ts";
import { assignOffset, findRecordByTimestamp, type RecordBatch } from "./record-batch.ts";

// What a stored batch costs beside its own bytes, so that the memory bound also holds for tiny ones.
const BATCH_OVERHEAD_BYTES = 512;

interface StoredBatch {
  readonly batch: RecordBatch;
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** Bytes appended to this log before this batch. */
  readonly startByte: number;
  /** Newest record time in this batch and all before it, so that it can be searched by halves. */
  readonly maxTimestampSoFarMs: number;
}

/** The records of one partition, oldest to newest. */
export class PartitionLog {
  readonly #batches = new Fifo<StoredBatch>();
  readonly #sequences = new ProducerSequences();
  readonly #listeners = new Set<() => void>();
  #startOffset = 0;
  #endOffset = 0;
  #endByte = 0;
  #closed = false;

  /** Offset of the oldest record still here. */
  get startOffset(): number {
    return this.#startOffset;
  }

  /** Offset the next record will get. With one replica it is the high watermark, too. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Whether the topic was deleted. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Appends a batch, or recognises it as a producer's repeat of one that is already here.
   * @returns its first record's offset, and the memory it took (0 for a repeat)
   * @throws RefusedError where the producer's epoch or sequence number is wrong
   */
  append(batch: RecordBatch): { baseOffset: number; storedBytes: number } {
    const idempotent = batch.producerId >= 0;
    const repeatOf = idempotent ? this.#sequences.findRepeat(batch) : null;
    if (repeatOf !== null) return { baseOffset: repeatOf, storedBytes: 0 };

    const baseOffset = this.#endOffset;
    assignOffset(batch.bytes, baseOffset);
    const newest = this.#batches.at(this.#batches.length - 1);
    const stored: StoredBatch = {
      batch,
      baseOffset,
      nextOffset: baseOffset + batch.recordCount,
      startByte: this.#endByte,
      maxTimestampSoFarMs: Math.max(
        newest?.maxTimestampSoFarMs ?? batch.maxTimestampMs,
        batch.maxTimestampMs,
      ),
    };
    this.#batches.push(stored);
    this.#endOffset = stored.nextOffset;
    this.#endByte += batch.bytes.length;
    if (idempotent) this.#sequences.remember(batch, baseOffset);
    this.#notify();
    return { baseOffset, storedBytes: storedBytesOf(stored) };
  }

  /**
   * Reads whole batches, from the one that holds `offset` on.
   * @param bytesMax stops before the batch that would exceed it
   * @param atLeastOne hands out the first batch even when it alone is larger, so that a reader with a
   *   small buffer gets on
   * @throws RefusedError OFFSET_OUT_OF_RANGE
   */
  read(offset: number, bytesMax: number, atLeastOne: boolean): Buffer[] {
    const found: Buffer[] = [];
    let bytes = 0;
    for (let index = this.#indexOf(offset); index < this.#batches.length; index++) {
      const next = this.#batches.at(index)?.batch.bytes;
      if (!next) break;
      bytes += next.length;
      if (bytes > bytesMax && !(atLeastOne && found.length === 0)) break;
      found.push(next);
    }
    return found;
  }

  /**
   * Says how many bytes a read from `offset` to the end would give.
   * @throws RefusedError OFFSET_OUT_OF_RANGE
   */
  bytesFrom(offset: number): number {
    const first = this.#batches.at(this.#indexOf(offset));
    return this.#endByte - (first?.startByte ?? this.#endByte);
  }

  /** @returns the first record at or after a time (see {@link findRecordByTimestamp}), or null */
  findByTimestamp(timestampMs: number): { offset: number; timestampMs: number } | null {
    // The first batch where the maximum so far reaches the time is the first whose own does.
    const index = this.#search((stored) => stored.maxTimestampSoFarMs >= timestampMs);
    const stored = this.#batches.at(index);
    if (!stored) return null;
    const record = findRecordByTimestamp(stored.batch, timestampMs);
    const offset = stored.baseOffset + record.offsetDelta;
    return { offset, timestampMs: record.timestampMs };
  }

  /** Forgets the oldest batch; the start offset moves behind it. @returns the memory that frees */
  dropOldest(): number {
    const oldest = this.#batches.shift();
    if (!oldest) return 0;
    this.#startOffset = oldest.nextOffset;
    return storedBytesOf(oldest);
  }

  /** Calls `listener` after every append, and when the topic is deleted. @returns ends that */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Marks the log as deleted and wakes those who wait for its records. */
  close(): void {
    this.#closed = true;
    this.#notify();
  }

  #indexOf(offset: number): number {
    if (offset < this.#startOffset || offset > this.#endOffset) {
      const reason = `offset ${offset} is not in ${this.#startOffset} to ${this.#endOffset}`;
      throw new RefusedError(ErrorCode.OFFSET_OUT_OF_RANGE, reason);
    }
    return this.#search((stored) => stored.nextOffset > offset);
  }

  /** Index of the first batch that satisfies a condition which, once true, stays true. */
  #search(satisfies: (stored: StoredBatch) => boolean): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const stored = this.#batches.at(middle);
      if (stored && satisfies(stored)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function storedBytesOf(stored: StoredBatch): number {
  return stored.batch.bytes.length + BATCH_OVERHEAD_BYTES;
}
