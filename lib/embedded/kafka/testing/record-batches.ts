// Builds record batches for the broker's tests, byte by byte, independent of any client.
import { crc32c } from "../crc32c.ts";

/** What {@link buildRecordBatch} makes a batch of. */
export interface RecordBatchSpec {
  /** One record each; the default is a single record. */
  readonly values?: readonly string[];
  /** Time of each record, in milliseconds since 1970; missing ones are 0. */
  readonly timestampsMs?: readonly number[];
  readonly attributes?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
}

/**
 * Builds an uncompressed record batch, as a producer would send it.
 * @see https://kafka.apache.org/41/implementation/message-format/#record-batch
 */
export function buildRecordBatch(spec: RecordBatchSpec = {}): Buffer {
  const { values = ["value"], timestampsMs = [] } = spec;
  const times = values.map((_, index) => timestampsMs[index] ?? 0);
  const baseTimestampMs = times[0] ?? 0;
  const records = values.map((value, index) =>
    encodeRecord(value, index, (times[index] ?? 0) - baseTimestampMs),
  );

  const header = Buffer.alloc(61);
  header.writeInt32BE(-1, 12); // partition leader epoch
  header.writeInt8(2, 16); // magic
  header.writeInt16BE(spec.attributes ?? 0, 21);
  header.writeInt32BE(values.length - 1, 23); // last offset delta
  header.writeBigInt64BE(BigInt(baseTimestampMs), 27);
  header.writeBigInt64BE(BigInt(Math.max(...times)), 35);
  header.writeBigInt64BE(BigInt(spec.producerId ?? -1), 43);
  header.writeInt16BE(spec.producerEpoch ?? -1, 51);
  header.writeInt32BE(spec.baseSequence ?? -1, 53);
  header.writeInt32BE(values.length, 57);

  const batch = Buffer.concat([header, ...records]);
  batch.writeInt32BE(batch.length - 12, 8);
  return resealRecordBatch(batch);
}

/** Makes the CRC right again after a test changed a batch. @returns the same bytes */
export function resealRecordBatch(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

function encodeRecord(value: string, offsetDelta: number, timestampDeltaMs: number): Buffer {
  const bytes = Buffer.from(value);
  const body = Buffer.concat([
    Buffer.from([0]), // attributes
    varint(timestampDeltaMs),
    varint(offsetDelta),
    varint(-1), // no key
    varint(bytes.length),
    bytes,
    varint(0), // headers
  ]);
  return Buffer.concat([varint(body.length), body]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value >= 0 ? value * 2 : -value * 2 - 1; // zigzag
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}
