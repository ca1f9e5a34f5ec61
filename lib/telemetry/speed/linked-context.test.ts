import { expect, test } from "bun:test";
import { context, createContextKey, ROOT_CONTEXT } from "@opentelemetry/api";
import { EMPTY_CONTEXT, LinkedContextManager } from "./linked-context.ts";

const [A, B] = [createContextKey("a"), createContextKey("b")];

test("a value set in a context is in that one only, and what was there stays", () => {
  const first = EMPTY_CONTEXT.setValue(A, 1);
  const second = first.setValue(B, 2);
  const third = second.setValue(A, 3);
  expect([A, B].map((key) => EMPTY_CONTEXT.getValue(key))).toEqual([undefined, undefined]);
  expect([A, B].map((key) => first.getValue(key))).toEqual([1, undefined]);
  expect([A, B].map((key) => second.getValue(key))).toEqual([1, 2]);
  expect([A, B].map((key) => third.getValue(key))).toEqual([3, 2]);
});

test("a deleted value is gone from there on", () => {
  const full = EMPTY_CONTEXT.setValue(A, 1);
  expect(full.deleteValue(A).getValue(A)).toBeUndefined();
  expect(full.deleteValue(A).setValue(A, 2).getValue(A)).toBe(2);
  expect(full.getValue(A)).toBe(1);
});

test("where nothing is active the empty context is, also under the API's own root", async () => {
  const manager = new LinkedContextManager().enable();
  expect(manager.active()).toBe(EMPTY_CONTEXT);
  manager.with(ROOT_CONTEXT, () => expect(manager.active()).toBe(EMPTY_CONTEXT));
  const own = EMPTY_CONTEXT.setValue(A, 1);
  await manager.with(own, async () => {
    await Bun.sleep(1);
    expect(manager.active()).toBe(own);
  });
  expect(context.active().getValue(A)).toBeUndefined();
});
