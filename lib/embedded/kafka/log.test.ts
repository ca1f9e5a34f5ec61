// One partition's log: offsets, reads, time lookup, retention, repeats of idempotent producers.
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ErrorCode } from "./errors.ts";
import { limits } from "./limits.ts";
import { PartitionLog } from "./log.ts";
import { parseRecordBatch } from "./record-batch.ts";
import { buildRecordBatch, type RecordBatchSpec } from "./testing/record-batches.ts";
import { refusalOf } from "./testing/refusals.ts";

describe("offsets", () => {
  test("number every record, from 0 and without gaps", () => {
    const log = new PartitionLog();
    expect(append(log, { values: ["a", "b", "c"] })).toBe(0);
    expect(append(log, { values: ["d"] })).toBe(3);
    expect([log.startOffset, log.endOffset]).toEqual([0, 4]);
  });

  test("stand in the batches that are read", () => {
    const log = new PartitionLog();
    append(log, { values: ["a", "b"] });
    append(log, { values: ["c"] });
    expect(baseOffsets(log.read(0, 10_000, true))).toEqual([0, 2]);
  });
});

describe("reading", () => {
  test("from any offset gives every batch that holds it or comes after", () => {
    const batchSizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(batchSizes, fc.nat({ max: 29 }), (sizes, dropped) => {
        const log = new PartitionLog();
        const batches: { base: number; next: number; bytes: number }[] = [];
        for (const size of sizes) {
          const base = append(log, { values: Array.from({ length: size }, () => "v") });
          const bytes = log.bytesFrom(base);
          batches.push({ base, next: base + size, bytes });
        }
        for (let done = 0; done < Math.min(dropped, sizes.length); done++) {
          log.dropOldest();
          batches.shift();
        }
        expect(log.startOffset).toBe(batches[0]?.base ?? log.endOffset);
        for (let offset = log.startOffset; offset <= log.endOffset; offset++) {
          const expected = batches.filter(({ next }) => next > offset);
          expect(baseOffsets(log.read(offset, 1_000_000, false))).toEqual(
            expected.map(({ base }) => base),
          );
          const bytes = expected.reduce((sum, batch) => sum + batch.bytes, 0);
          expect(log.bytesFrom(offset)).toBe(bytes);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("stops before the byte limit, yet gives one batch to a reader with a small buffer", () => {
    const log = new PartitionLog();
    append(log, { values: ["a"] });
    append(log, { values: ["b"] });
    const oneBatch = log.bytesFrom(1);
    expect(baseOffsets(log.read(0, 2 * oneBatch, false))).toEqual([0, 1]);
    expect(baseOffsets(log.read(0, 2 * oneBatch - 1, false))).toEqual([0]);
    expect(baseOffsets(log.read(0, 1, true))).toEqual([0]);
    expect(log.read(0, 1, false)).toEqual([]);
  });

  test("outside of what is there is refused, at the very end it is empty", () => {
    const log = new PartitionLog();
    append(log, { values: ["a", "b"] });
    append(log, { values: ["c"] });
    log.dropOldest();
    expect(log.startOffset).toBe(2);
    expect(refusalOf(() => log.read(1, 1_000, true))).toBe(ErrorCode.OFFSET_OUT_OF_RANGE);
    expect(refusalOf(() => log.read(4, 1_000, true))).toBe(ErrorCode.OFFSET_OUT_OF_RANGE);
    expect(log.read(3, 1_000, true)).toEqual([]);
  });
});

test("finds the first record at or after a time, across batches that are out of order", () => {
  const log = new PartitionLog();
  append(log, { values: ["a", "b"], timestampsMs: [100, 200] });
  append(log, { values: ["c"], timestampsMs: [50] });
  append(log, { values: ["d", "e"], timestampsMs: [300, 400] });
  expect(log.findByTimestamp(0)).toEqual({ offset: 0, timestampMs: 100 });
  expect(log.findByTimestamp(150)).toEqual({ offset: 1, timestampMs: 200 });
  expect(log.findByTimestamp(201)).toEqual({ offset: 3, timestampMs: 300 });
  expect(log.findByTimestamp(400)).toEqual({ offset: 4, timestampMs: 400 });
  expect(log.findByTimestamp(401)).toBeNull();
});

test("tells subscribers of appends and of its end, until they unsubscribe", () => {
  const log = new PartitionLog();
  let calls = 0;
  const unsubscribe = log.subscribe(() => {
    calls += 1;
  });
  append(log, {});
  log.close();
  expect(calls).toBe(2);
  expect(log.closed).toBe(true);
  unsubscribe();
  append(log, {});
  expect(calls).toBe(2);
});

describe("idempotent producers", () => {
  const one = { producerId: 9, producerEpoch: 0 };

  test("get the first offset again for a batch they repeat, and nothing is stored twice", () => {
    const log = new PartitionLog();
    append(log, { ...one, values: ["a", "b"], baseSequence: 0 });
    append(log, { ...one, values: ["c"], baseSequence: 2 });
    expect(append(log, { ...one, values: ["a", "b"], baseSequence: 0 })).toBe(0);
    expect(append(log, { ...one, values: ["c"], baseSequence: 2 })).toBe(2);
    expect(log.endOffset).toBe(3);
  });

  test("are refused when a batch is missing in between", () => {
    const log = new PartitionLog();
    append(log, { ...one, baseSequence: 0 });
    const gap = () => append(log, { ...one, baseSequence: 2 });
    expect(refusalOf(gap)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(log.endOffset).toBe(1);
  });

  test("are refused when a newer epoch took over, which starts again at 0", () => {
    const log = new PartitionLog();
    append(log, { ...one, baseSequence: 0 });
    const wrongStart = () => append(log, { ...one, producerEpoch: 1, baseSequence: 1 });
    expect(refusalOf(wrongStart)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(append(log, { ...one, producerEpoch: 1, baseSequence: 0 })).toBe(1);
    const old = () => append(log, { ...one, baseSequence: 1 });
    expect(refusalOf(old)).toBe(ErrorCode.INVALID_PRODUCER_EPOCH);
  });

  test("go on at 0 after the largest sequence number", () => {
    const log = new PartitionLog();
    append(log, { ...one, values: ["a", "b"], baseSequence: 2 ** 31 - 2 });
    expect(append(log, { ...one, values: ["c"], baseSequence: 0 })).toBe(2);
  });

  test("do not disturb each other, and the one silent for longest is forgotten first", () => {
    const log = new PartitionLog();
    for (let producerId = 0; producerId <= limits.producersPerPartitionMax; producerId++) {
      append(log, { producerId, producerEpoch: 0, baseSequence: 0 });
    }
    const end = log.endOffset;
    expect(append(log, { producerId: 1, producerEpoch: 0, baseSequence: 0 })).toBe(1);
    expect(append(log, { producerId: 0, producerEpoch: 0, baseSequence: 0 })).toBe(end);
  });
});

function append(log: PartitionLog, spec: RecordBatchSpec): number {
  return log.append(parseRecordBatch(buildRecordBatch(spec))).baseOffset;
}

function baseOffsets(batches: readonly Buffer[]): number[] {
  return batches.map((batch) => Number(batch.readBigInt64BE(0)));
}
