// Topics and the memory bound over their logs.
import { describe, expect, test } from "bun:test";
import { ErrorCode } from "./errors.ts";
import { limits } from "./limits.ts";
import { parseRecordBatch, type RecordBatch } from "./record-batch.ts";
import { buildRecordBatch } from "./testing/record-batches.ts";
import { TopicStore } from "./topics.ts";
import { refusalOf } from "./testing/refusals.ts";

const MEBIBYTE = 1024 * 1024;

describe("creating a topic", () => {
  test("gives it the number of partitions asked for, or the default", () => {
    const topics = storeOf(MEBIBYTE);
    expect(topics.create("asked", 5)).toHaveLength(5);
    expect(topics.create("default")).toHaveLength(3);
    expect(topics.names()).toEqual(["asked", "default"]);
    expect(topics.partition("asked", 4)).toBeDefined();
    expect(topics.partition("asked", 5)).toBeUndefined();
    expect(topics.partition("asked", -1)).toBeUndefined();
  });

  test.each(["", ".", "..", "a b", "ä", "x".repeat(250), "a/b", "constructor\0"])(
    "refuses the name %j",
    (name) => {
      const refusal = refusalOf(() => storeOf(MEBIBYTE).create(name));
      expect(refusal).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION);
    },
  );

  test("refuses a second one of the same name", () => {
    const topics = storeOf(MEBIBYTE);
    topics.create("events");
    expect(refusalOf(() => topics.create("events"))).toBe(ErrorCode.TOPIC_ALREADY_EXISTS);
  });

  test("refuses a number of partitions below 1, and more than there is room for", () => {
    const topics = storeOf(MEBIBYTE);
    expect(refusalOf(() => topics.create("none", 0))).toBe(ErrorCode.INVALID_PARTITIONS);
    expect(refusalOf(() => topics.create("negative", -2))).toBe(ErrorCode.INVALID_PARTITIONS);
    topics.create("large", limits.partitionsMax);
    expect(refusalOf(() => topics.create("more", 1))).toBe(ErrorCode.POLICY_VIOLATION);
    topics.delete("large");
    expect(topics.create("more", 1)).toHaveLength(1);
  });
});

describe("the memory bound", () => {
  test("drops the oldest batches, whichever partition they are in", () => {
    const topics = storeOf(MEBIBYTE);
    const [quiet, busy] = topics.create("events", 2);
    if (!quiet || !busy) throw new Error("two partitions were created");
    topics.append(quiet, largeBatch());
    for (let count = 0; count < 30; count++) topics.append(busy, largeBatch());
    topics.append(quiet, largeBatch());

    expect([quiet.startOffset, quiet.endOffset]).toEqual([1, 2]);
    expect(busy.endOffset).toBe(30);
    const kept = busy.endOffset - busy.startOffset + 1;
    expect(kept).toBe(10); // ten of 100 kB are within 1 MiB, eleven are not
  });

  test("counts again from zero for a topic that was deleted", () => {
    const topics = storeOf(MEBIBYTE);
    for (let round = 0; round < 20; round++) {
      const [log] = topics.create("events", 1);
      if (!log) throw new Error("a partition was created");
      for (let count = 0; count < 9; count++) topics.append(log, largeBatch());
      expect(log.startOffset).toBe(0); // nothing had to go
      expect(topics.delete("events")).toBe(true);
      expect(log.endOffset).toBe(log.startOffset);
    }
    expect(topics.delete("events")).toBe(false);
  });
});

function largeBatch(): RecordBatch {
  return parseRecordBatch(buildRecordBatch({ values: ["x".repeat(100_000)] }));
}

function storeOf(retentionBytesMax: number): TopicStore {
  return new TopicStore({ partitionsDefault: 3, retentionBytesMax });
}
