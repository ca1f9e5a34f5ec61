// Checking record batches and searching them by time.
import { describe, expect, test } from "bun:test";
import { ErrorCode } from "./errors.ts";
import { limits } from "./limits.ts";
import { assignOffset, findRecordByTimestamp, parseRecordBatch } from "./record-batch.ts";
import { buildRecordBatch, resealRecordBatch } from "./testing/record-batches.ts";
import { refusalOf } from "./testing/refusals.ts";

test("reads the header and keeps a copy of the bytes", () => {
  const sent = buildRecordBatch({
    values: ["a", "b", "c"],
    timestampsMs: [1_000, 1_500, 1_200],
    producerId: 7,
    producerEpoch: 2,
    baseSequence: 11,
  });
  const batch = parseRecordBatch(sent);
  expect(batch).toMatchObject({
    recordCount: 3,
    baseTimestampMs: 1_000,
    maxTimestampMs: 1_500,
    producerId: 7,
    producerEpoch: 2,
    baseSequence: 11,
  });
  const before = Buffer.from(sent);
  sent.fill(0);
  expect(batch.bytes.equals(before)).toBe(true);
});

test("changes nothing but base offset and leader epoch when a batch gets its place", () => {
  const sent = buildRecordBatch({ values: ["a", "b"] });
  const { bytes } = parseRecordBatch(sent);
  assignOffset(bytes, 5_000_000_000);
  expect(bytes.readBigInt64BE(0)).toBe(5_000_000_000n);
  expect(bytes.readInt32BE(12)).toBe(0);
  expect(bytes.subarray(8, 12).equals(sent.subarray(8, 12))).toBe(true);
  expect(bytes.subarray(16).equals(sent.subarray(16))).toBe(true);
  expect(() => parseRecordBatch(bytes)).not.toThrow(); // the CRC still fits
});

describe("refuses", () => {
  const { CORRUPT_MESSAGE, INVALID_RECORD, MESSAGE_TOO_LARGE } = ErrorCode;
  const flipped = buildRecordBatch();
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;

  const cases: [string, Buffer, ErrorCode][] = [
    ["no bytes", Buffer.alloc(0), INVALID_RECORD],
    ["one changed bit", flipped, CORRUPT_MESSAGE],
    ["a batch cut short", buildRecordBatch().subarray(0, -1), INVALID_RECORD],
    ["a header cut short", buildRecordBatch().subarray(0, 40), INVALID_RECORD],
    ["message format v1", changedBatch((batch) => batch.writeInt8(1, 16)), INVALID_RECORD],
    ["two batches", Buffer.concat([buildRecordBatch(), buildRecordBatch()]), INVALID_RECORD],
    ["no records", changedBatch((batch) => batch.writeInt32BE(0, 57)), INVALID_RECORD],
    ["a wrong record count", changedBatch((batch) => batch.writeInt32BE(2, 57)), INVALID_RECORD],
    ["unknown compression", buildRecordBatch({ attributes: 7 }), INVALID_RECORD],
    ["a transaction", buildRecordBatch({ attributes: 0x10 }), INVALID_RECORD],
    ["a control batch", buildRecordBatch({ attributes: 0x20 }), INVALID_RECORD],
    [
      "a batch above the size bound",
      buildRecordBatch({ values: ["x".repeat(limits.batchBytesMax)] }),
      MESSAGE_TOO_LARGE,
    ],
  ];
  test.each(cases)("%s", (_name, bytes, code) => {
    expect(refusalOf(() => parseRecordBatch(bytes))).toBe(code);
  });
});

describe("finding a record by time", () => {
  const timestampsMs = [100, 300, 200, 400];
  const values = ["a", "b", "c", "d"];
  const batch = parseRecordBatch(buildRecordBatch({ values, timestampsMs }));

  test.each([
    [50, 0, 100],
    [100, 0, 100],
    [101, 1, 300],
    [301, 3, 400],
  ])("gives the first record at or after %d ms", (timestampMs, offsetDelta, foundMs) => {
    const found = findRecordByTimestamp(batch, timestampMs);
    expect(found).toEqual({ offsetDelta, timestampMs: foundMs });
  });

  test("gives the batch's first record where the records are compressed", () => {
    const gzip = parseRecordBatch(buildRecordBatch({ values, timestampsMs, attributes: 1 }));
    expect(findRecordByTimestamp(gzip, 301)).toEqual({ offsetDelta: 0, timestampMs: 100 });
  });

  test("gives the batch's first record where the bytes are no records", () => {
    const garbage = buildRecordBatch({ values, timestampsMs }).fill(0xff, 61);
    const found = findRecordByTimestamp(parseRecordBatch(resealRecordBatch(garbage)), 301);
    expect(found).toEqual({ offsetDelta: 0, timestampMs: 100 });
  });
});

function changedBatch(change: (batch: Buffer) => void): Buffer {
  const batch = buildRecordBatch();
  change(batch);
  return resealRecordBatch(batch);
}
