// Tests of dead-letter headers.
import { expect, test } from "bun:test";
import { deadLetterHeaders, originalHeaders } from "./dead-letter-headers.ts";

const record = { topic: "order.created", partition: 2, offset: "41" };

test("a dead letter keeps its record's headers and says what happened", () => {
  const traceparent = Buffer.from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  const repeated = [Buffer.from([0xff, 0x00]), Buffer.from("b")];
  const headers = deadLetterHeaders(
    { ...record, headers: { traceparent, repeated } },
    { error: new Error("no such item"), attempts: 3 },
  );
  expect(headers).toEqual({
    traceparent,
    repeated,
    "dlq-error": "Error: no such item",
    "dlq-topic": "order.created",
    "dlq-partition": "2",
    "dlq-offset": "41",
    "dlq-attempts": "3",
  });
});

test("a letter's original headers come back without ours", () => {
  const headers = { traceparent: "00-…", "x-repeated": ["a", "b"] };
  const letter = deadLetterHeaders({ ...record, headers }, { error: "e", attempts: 1 });
  expect(originalHeaders(letter)).toEqual(headers);
});

test("a record's own headers of our names are kept, before ours, and come back alone", () => {
  const bytes = Buffer.from([0xff, 0x00]);
  const headers = { "dlq-error": bytes, "dlq-topic": ["a", "b"], "dlq-offset": "" };
  const letter = deadLetterHeaders({ ...record, headers }, { error: "again", attempts: 1 });
  expect(letter).toEqual({
    "dlq-error": [bytes, "again"],
    "dlq-topic": ["a", "b", "order.created"],
    "dlq-partition": "2",
    "dlq-offset": ["", "41"],
    "dlq-attempts": "1",
  });
  expect(originalHeaders(letter)).toEqual({
    "dlq-error": [bytes],
    "dlq-topic": ["a", "b"],
    "dlq-offset": [""],
  });
});

test("a header without a value, which kafkajs reads but cannot write, does not stop a dead letter", () => {
  // What kafkajs gives for such a header; its types do not say so.
  const headers = { empty: null, mixed: [null, "a"] } as unknown as Record<string, string>;
  const letter = deadLetterHeaders({ ...record, headers }, { error: "e", attempts: 1 });
  expect(letter).toMatchObject({ empty: "", mixed: ["", "a"] });
});
