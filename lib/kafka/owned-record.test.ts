import { expect, test } from "bun:test";
import type { KafkaMessage } from "kafkajs";
import { ownRecord, recordBytes } from "./owned-record.ts";

const response = Buffer.from("....key...value..h1.h2..".padEnd(256 * 1024, "."));
const view = (text: string) => {
  const at = response.indexOf(text);
  return response.subarray(at, at + text.length);
};

/** A message as kafkajs decodes it: every part a view into the response. */
function messageOf(changes: Partial<KafkaMessage>): KafkaMessage {
  const headers = { name: view("h1"), repeated: [view("h1"), view("h2")] };
  const whole = { key: view("key"), value: view("value"), headers, timestamp: "17", offset: "42" };
  return { ...whole, attributes: 0, ...changes } as KafkaMessage;
}

test("a record is the same as it was in the response", () => {
  expect(ownRecord("orders", 3, messageOf({}))).toEqual({
    topic: "orders",
    partition: 3,
    offset: "42",
    key: Buffer.from("key"),
    value: Buffer.from("value"),
    headers: {
      name: Buffer.from("h1"),
      repeated: [Buffer.from("h1"), Buffer.from("h2")],
    },
    timestamp: "17",
  });
});

test("no part of it keeps the response in memory", () => {
  const record = ownRecord("orders", 0, messageOf({}));
  const parts = [record.key, record.value, ...Object.values(record.headers).flat()] as Buffer[];
  expect(parts).toHaveLength(5);
  for (const part of parts) expect(part.buffer.byteLength).toBe(part.length);
});

test("what is not there is not there afterwards", () => {
  const empty = { nothing: null, mixed: [null, ""] } as unknown as Record<string, string>;
  const record = ownRecord("orders", 0, messageOf({ key: null, value: null, headers: empty }));
  expect(record).toMatchObject({ key: null, value: null, headers: empty });
});

test("its bytes are those of its key, its value, and its headers with their names", () => {
  const names = "name".length + "repeated".length;
  expect(recordBytes(ownRecord("orders", 0, messageOf({})))).toBe(3 + 5 + names + 3 * 2);
  const empty = { nothing: null } as unknown as Record<string, string>;
  const nothing = messageOf({ key: null, value: null, headers: empty });
  expect(recordBytes(ownRecord("orders", 0, nothing))).toBe("nothing".length);
});
