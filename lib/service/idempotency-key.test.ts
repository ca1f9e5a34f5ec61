import { expect, test } from "bun:test";
import { BadInputError } from "./errors.ts";
import { readIdempotencyKey } from "./idempotency-key.ts";

const keyOf = (...values: string[]) => {
  const headers = new Headers();
  for (const value of values) headers.append("Idempotency-Key", value);
  return readIdempotencyKey(headers);
};

test("a request without the header has no key", () => {
  expect(keyOf()).toBeUndefined();
});

test.each(["a", "!", "~", '"quoted"', "a,b", "x".repeat(255)])("%s is a key as it is", (key) => {
  expect(keyOf(key)).toBe(key);
});

test.each([
  ["empty", [""]],
  ["of 256 characters", ["x".repeat(256)]],
  ["with a space", ["a b"]],
  ["with a tab", ["a\tb"]],
  ["with DEL", ["a\x7f"]],
  ["with a letter that is not ASCII", ["ü"]],
  ["sent twice", ["a", "b"]],
  ["sent twice with the same value", ["a", "a"]],
  ["sent twice, once empty", ["a", ""]],
])("a key that is %s is refused", (_, values) => {
  expect(() => keyOf(...values)).toThrow(BadInputError);
});
