import { expect, test } from "bun:test";
import { orderMadeAt } from "./order-id.ts";

test("an id of ours tells when it was made, to the millisecond", () => {
  const before = Date.now();
  const madeMs = orderMadeAt(Bun.randomUUIDv7())?.getTime() ?? 0;
  expect(madeMs).toBeGreaterThanOrEqual(before);
  expect(madeMs).toBeLessThanOrEqual(Date.now());
  // The example of RFC 9562, appendix A.6.
  expect(orderMadeAt("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")?.toISOString()).toBe(
    "2022-02-22T19:22:22.000Z",
  );
});

test("the earliest and the latest id that there can be are times still", () => {
  expect(orderMadeAt("00000000-0000-7000-8000-000000000000")?.getTime()).toBe(0);
  expect(orderMadeAt("ffffffff-ffff-7fff-bfff-ffffffffffff")?.toISOString()).toStartWith("+010889");
});

test.each([
  ["a UUID of version 4", crypto.randomUUID()],
  ["another variant", "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f"],
  ["an order number", "4711"],
  ["a text with a UUID in it", "x017f22e2-79b0-7cc3-98c4-dc0c0c07398f"],
])("%s tells nothing", (_, id) => {
  expect(orderMadeAt(id)).toBeUndefined();
});
