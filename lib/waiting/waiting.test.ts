import { expect, test } from "bun:test";
import { withTimeout } from "./waiting.ts";

test("work that is done in time gives its result or its error", async () => {
  expect(await withTimeout(Promise.resolve(5), 1_000)).toBe(5);
  await expect(withTimeout(Promise.reject(new Error("broken")), 1_000)).rejects.toThrow("broken");
});

test("work that takes too long is given up", async () => {
  const never = new Promise<never>(() => {});
  await withTimeout(never, 5).then(
    () => expect.unreachable(),
    (error: Error) => expect(error.message).toBe("no answer within 5 ms"),
  );
});
