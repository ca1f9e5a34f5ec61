import { describe, expect, test } from "bun:test";
import { createMailer } from "./mailer.ts";

const FAST = { min: 0, max: 0 };

describe("the mailer", () => {
  test("sends each mail without a key", async () => {
    const mailer = createMailer(FAST);
    expect([await mailer.send(undefined), await mailer.send(undefined)]).toEqual(["sent", "sent"]);
  });

  test("sends a key once, also when it is asked for many times at once", async () => {
    const mailer = createMailer(FAST);
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => mailer.send("order-1")));
    expect(outcomes.sort()).toEqual(["repeated", "repeated", "repeated", "sent"]);
    expect(await mailer.send("order-1")).toBe("repeated");
    expect(await mailer.send("order-2")).toBe("sent");
  });

  test("answers a repeat only once the first is out", async () => {
    const mailer = createMailer({ min: 20, max: 20 });
    const order: string[] = [];
    await Promise.all(
      ["first", "second"].map(async (name) => {
        await mailer.send("key");
        order.push(name);
      }),
    );
    expect(order).toEqual(["first", "second"]);
  });

  test("remembers a bounded number of keys and forgets the oldest", async () => {
    const mailer = createMailer(FAST, 2);
    for (const key of ["a", "b", "c"]) await mailer.send(key);
    expect(await mailer.send("c")).toBe("repeated");
    expect(await mailer.send("b")).toBe("repeated");
    expect(await mailer.send("a")).toBe("sent");
  });
});
