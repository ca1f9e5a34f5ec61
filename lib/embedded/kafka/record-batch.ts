// A record batch (format v2): its header is checked and read, its records stay opaque bytes.
import { crc32c } from "./crc32c.ts";
import { ErrorCode, RefusedError } from "./errors.ts";
import { limits } from "./limits.ts";

// Byte offsets of the header's fields.
const BATCH_LENGTH = 8;
const LEADER_EPOCH = 12;
const MAGIC = 16;
const CRC = 17;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const PRODUCER_EPOCH = 51;
const BASE_SEQUENCE = 53;
const RECORD_COUNT = 57;
const HEADER_BYTES = 61;

// Attribute bits.
const COMPRESSION_MASK = 0x07;
const COMPRESSION_MAX = 4; // none, gzip, snappy, lz4, zstd
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** One batch a producer sent, checked. */
export interface RecordBatch {
  readonly bytes: Buffer;
  readonly recordCount: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  /** -1 where the producer is not idempotent. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/**
 * Checks one batch of a produce request and reads its header.
 * @param bytes the partition's records as sent; the result keeps a copy, not a view
 * @throws RefusedError with the code for that partition: CORRUPT_MESSAGE where the CRC-32C is wrong,
 *   INVALID_RECORD for another format, length or header that cannot be, MESSAGE_TOO_LARGE
 * @see https://kafka.apache.org/41/implementation/message-format/#record-batch
 */
export function parseRecordBatch(bytes: Buffer): RecordBatch {
  // The magic stands at the same place in every format, so an old one is told apart from damage.
  if (bytes.length <= MAGIC) throw invalid("the record batch is cut short");
  if (bytes.readInt8(MAGIC) !== 2) throw invalid("only record batches of format v2 are accepted");
  if (bytes.length < HEADER_BYTES) throw invalid("the record batch is cut short");
  if (bytes.length > limits.batchBytesMax) {
    const reason = `a record batch may have at most ${limits.batchBytesMax} bytes`;
    throw new RefusedError(ErrorCode.MESSAGE_TOO_LARGE, reason);
  }
  const batchBytes = bytes.readInt32BE(BATCH_LENGTH) + LEADER_EPOCH;
  if (batchBytes < bytes.length) throw invalid("a partition's records must be one batch");
  if (batchBytes > bytes.length) throw invalid("the record batch is cut short");
  if (bytes.readUInt32BE(CRC) !== crc32c(bytes.subarray(ATTRIBUTES))) {
    throw new RefusedError(ErrorCode.CORRUPT_MESSAGE, "the record batch's CRC is wrong");
  }

  const attributes = bytes.readInt16BE(ATTRIBUTES);
  const recordCount = bytes.readInt32BE(RECORD_COUNT);
  if (recordCount <= 0 || recordCount !== bytes.readInt32BE(LAST_OFFSET_DELTA) + 1) {
    throw invalid("the record count does not fit the last offset delta");
  }
  if ((attributes & COMPRESSION_MASK) > COMPRESSION_MAX) throw invalid("unknown compression");
  if (attributes & (TRANSACTIONAL | CONTROL)) throw invalid("transactions are not supported");

  return {
    bytes: Buffer.from(bytes),
    recordCount,
    baseTimestampMs: safeInt64(bytes, BASE_TIMESTAMP),
    maxTimestampMs: safeInt64(bytes, MAX_TIMESTAMP),
    producerId: safeInt64(bytes, PRODUCER_ID),
    producerEpoch: bytes.readInt16BE(PRODUCER_EPOCH),
    baseSequence: bytes.readInt32BE(BASE_SEQUENCE),
  };
}

/**
 * Writes the place a batch got in the log into its header. Neither field is covered by the CRC.
 * @param batch changed in place
 * @param baseOffset offset of its first record
 */
export function assignOffset(batch: Buffer, baseOffset: number): void {
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  batch.writeInt32BE(0, LEADER_EPOCH);
}

/**
 * Finds the first record at or after a time.
 * @param batch a stored batch whose newest record is at or after `timestampMs`
 * @returns the record's place in the batch and its time. Compressed records are not opened: for them
 *   it is the batch's first record, which can be earlier than asked but never skips one
 */
export function findRecordByTimestamp(
  batch: RecordBatch,
  timestampMs: number,
): { offsetDelta: number; timestampMs: number } {
  const first = { offsetDelta: 0, timestampMs: batch.baseTimestampMs };
  if (batch.baseTimestampMs >= timestampMs) return first;
  if (batch.bytes.readInt16BE(ATTRIBUTES) & COMPRESSION_MASK) return first;

  let position = HEADER_BYTES;
  for (let index = 0; index < batch.recordCount; index++) {
    const length = readVarint(batch.bytes, position);
    const timestampDelta = length && readVarint(batch.bytes, length.end + 1); // 1: attributes
    const offsetDelta = timestampDelta && readVarint(batch.bytes, timestampDelta.end);
    if (!offsetDelta || length.value <= 0) return first; // the CRC fits, yet these are no records
    const recordMs = batch.baseTimestampMs + timestampDelta.value;
    if (recordMs >= timestampMs) return { offsetDelta: offsetDelta.value, timestampMs: recordMs };
    position = length.end + length.value;
  }
  return first;
}

/** Reads a zigzag varint; null where the bytes end first. */
function readVarint(bytes: Buffer, start: number): { value: number; end: number } | null {
  let raw = 0;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return null;
    raw += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      const value = raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
      return { value, end: start + index + 1 };
    }
  }
  return null;
}

function safeInt64(bytes: Buffer, position: number): number {
  const value = Number(bytes.readBigInt64BE(position));
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
}

function invalid(reason: string): RefusedError {
  return new RefusedError(ErrorCode.INVALID_RECORD, reason);
}
