// Recognises an idempotent producer's repeated batches by producer id, epoch and sequence number.
import { ErrorCode, RefusedError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { RecordBatch } from "./record-batch.ts";

// A producer may have five requests in flight, so a repeat is one of its last five batches.
const BATCHES_REMEMBERED = 5;
const SEQUENCE_COUNT = 2 ** 31;

interface AcceptedBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
}

interface ProducerState {
  epoch: number;
  batches: AcceptedBatch[];
}

/**
 * What one partition remembers of its idempotent producers.
 * @see https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging
 */
export class ProducerSequences {
  // In order of last use, the oldest first.
  readonly #producers = new Map<number, ProducerState>();

  /**
   * Decides what to do with a batch.
   * @returns the base offset it already has where it is a repeat, else null: append it
   * @throws RefusedError INVALID_PRODUCER_EPOCH for a producer that was replaced,
   *   OUT_OF_ORDER_SEQUENCE_NUMBER where a batch before it is missing
   */
  findRepeat(batch: RecordBatch): number | null {
    const known = this.#producers.get(batch.producerId);
    // An unknown producer may be one we forgot: like Kafka, take it up wherever it is.
    if (!known) return null;
    if (batch.producerEpoch < known.epoch) {
      throw new RefusedError(ErrorCode.INVALID_PRODUCER_EPOCH, "a newer producer took over");
    }
    if (batch.producerEpoch > known.epoch) {
      if (batch.baseSequence === 0) return null;
      throw outOfOrder(0, batch.baseSequence);
    }
    const lastSequence = lastSequenceOf(batch);
    const repeat = known.batches.find(
      (one) => one.firstSequence === batch.baseSequence && one.lastSequence === lastSequence,
    );
    if (repeat) return repeat.baseOffset;
    const expected = ((known.batches.at(-1)?.lastSequence ?? -1) + 1) % SEQUENCE_COUNT;
    if (batch.baseSequence !== expected) throw outOfOrder(expected, batch.baseSequence);
    return null;
  }

  /** Remembers a batch that was appended. */
  remember(batch: RecordBatch, baseOffset: number): void {
    const known = this.#producers.get(batch.producerId);
    const batches = known?.epoch === batch.producerEpoch ? known.batches : [];
    batches.push({
      firstSequence: batch.baseSequence,
      lastSequence: lastSequenceOf(batch),
      baseOffset,
    });
    if (batches.length > BATCHES_REMEMBERED) batches.shift();
    this.#producers.delete(batch.producerId);
    this.#producers.set(batch.producerId, { epoch: batch.producerEpoch, batches });
    if (this.#producers.size > limits.producersPerPartitionMax) {
      for (const oldest of this.#producers.keys()) {
        this.#producers.delete(oldest);
        break;
      }
    }
  }
}

function lastSequenceOf(batch: RecordBatch): number {
  return (batch.baseSequence + batch.recordCount - 1) % SEQUENCE_COUNT;
}

function outOfOrder(expected: number, got: number): RefusedError {
  const reason = `sequence number ${got} where ${expected} is next`;
  return new RefusedError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, reason);
}
