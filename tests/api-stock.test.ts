// Stock: reading it at the gateway and at inventory, moving it at inventory.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { call, expectError } from "./support/api.ts";
import {
  createItem,
  stack,
  startStack,
  STACK_START_TIMEOUT_MS,
  TEST_TIMEOUT_MS,
  stockOf,
} from "./support/stack.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const move = async (kind: "reserve" | "release", itemId: string, body: unknown) =>
  call(
    "POST",
    `${(await stack()).services.inventory}/stock/${encodeURIComponent(itemId)}/${kind}`,
    body,
  );
const reserve = (itemId: string, body: unknown) => move("reserve", itemId, body);
const release = (itemId: string, body: unknown) => move("release", itemId, body);

const reads = [
  ["gateway", "/inventory"],
  ["inventory", "/stock"],
] as const;

describe.each(reads)("stock read at %s%s", (service, path) => {
  const get = async (rest = "") =>
    call("GET", `${(await stack()).services[service]}${path}${rest}`);

  test("lists every item, the ten seeded ones among them", async () => {
    const answer = await get();
    expect(answer.status).toBe(200);
    const items = answer.json as { item_id: string; name: string }[];
    expect(items).toContainEqual({
      item_id: "ITEM-006",
      name: "Headset Pro",
      available: expect.any(Number),
      reserved: expect.any(Number),
    } as never);
    const seeded = items.filter(({ item_id }) => /^ITEM-0\d\d$/.test(item_id));
    expect(seeded.map(({ name }) => name)).toEqual([
      "Wireless Mouse",
      "Mechanical Keyboard",
      "USB-C Hub",
      "Monitor Stand",
      "Webcam HD",
      "Headset Pro",
      "Mouse Pad XL",
      "Cable Management Kit",
      "Laptop Stand",
      "Desk Lamp LED",
    ]);
  });

  test("shows one item", async () => {
    const id = await createItem(12);
    const answer = await get(`/${id}`);
    expect({ status: answer.status, body: answer.json }).toEqual({
      status: 200,
      body: { item_id: id, name: "Test item", available: 12, reserved: 0 },
    });
  });

  test("finds an item whose id needs encoding", async () => {
    for (const kind of ["a/b", "../x", "50% off?", "ü 😀", "a%2Fb", "a+b", "."]) {
      const id = `${kind} ${crypto.randomUUID()}`;
      await createItem(1, id);
      const answer = await get(`/${encodeURIComponent(id)}`);
      expect(answer.json, id).toMatchObject({ item_id: id });
    }
  });

  test.each([
    "NO-SUCH-ITEM",
    "%00",
    "a%00b",
    "%2e%2e%2fhealthz",
    "..%2f..%2fhealthz",
    "%2e%2e",
    "%ED%A0%80",
    "'%20OR%201=1--",
    "x".repeat(65),
  ])("answers 404 for %s", async (id) => {
    const answer = await get(`/${id}`);
    expectError(answer, 404);
  });

  test("answers an id that is no percent-encoding, or is far too long, with 400 or 404", async () => {
    for (const id of ["%ZZ", "%", "a%2", "%FF%FE", "%FF", "%ED%A0%80", "x".repeat(5_000)]) {
      const answer = await get(`/${id}`);
      expect([400, 404], id.slice(0, 10)).toContain(answer.status);
      expectError(answer, answer.status);
    }
  });
});

describe("reserve and release without an order", () => {
  test("reserve moves pieces from available to reserved, each time", async () => {
    const id = await createItem(10);
    const answer = await reserve(id, { quantity: 3 });
    expect({ status: answer.status, body: answer.json }).toEqual({
      status: 200,
      body: { item_id: id, name: "Test item", available: 7, reserved: 3 },
    });
    expect((await reserve(id, { quantity: 3 })).json).toMatchObject({ available: 4, reserved: 6 });
    expect(await stockOf(id)).toEqual({ available: 4, reserved: 6 });
  });

  test("release moves them back, each time", async () => {
    const id = await createItem(10);
    await reserve(id, { quantity: 6 });
    const answer = await release(id, { quantity: 4 });
    expect({ status: answer.status, body: answer.json }).toEqual({
      status: 200,
      body: { item_id: id, name: "Test item", available: 8, reserved: 2 },
    });
    expect(await stockOf(id)).toEqual({ available: 8, reserved: 2 });
  });

  test("the last piece can be reserved, one more cannot", async () => {
    const id = await createItem(2);
    expect((await reserve(id, { quantity: 2 })).status).toBe(200);
    expectError(await reserve(id, { quantity: 1 }), 409, /stock/);
    expect(await stockOf(id)).toEqual({ available: 0, reserved: 2 });
  });

  test("more than is reserved cannot be released", async () => {
    const id = await createItem(5);
    await reserve(id, { quantity: 2 });
    expectError(await release(id, { quantity: 3 }), 409, /reserved/);
    expect(await stockOf(id)).toEqual({ available: 3, reserved: 2 });
  });

  test("what would exceed the largest number of pieces is 409 and moves nothing", async () => {
    const { sql } = await stack();
    const most = 2_147_483_647;
    const [reservedMost, availableMost] = [await createItem(5), await createItem(5)];
    await sql`UPDATE inventory.items SET reserved = ${most} WHERE item_id = ${reservedMost}`;
    await sql`
      UPDATE inventory.items SET available = ${most}, reserved = 5 WHERE item_id = ${availableMost}`;
    for (const order of [{}, { order_id: crypto.randomUUID() }]) {
      expectError(await reserve(reservedMost, { quantity: 1, ...order }), 409);
    }
    expectError(await release(availableMost, { quantity: 1 }), 409);
    expect(await stockOf(reservedMost)).toEqual({ available: 5, reserved: most });
    expect(await stockOf(availableMost)).toEqual({ available: most, reserved: 5 });
  });

  test("fifty who want the last ten pieces at once: ten get one each", async () => {
    const id = await createItem(10);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => reserve(id, { quantity: 1 })),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 409)).toHaveLength(40);
    expect(await stockOf(id)).toEqual({ available: 0, reserved: 10 });
  });
});

describe("reserve and release for an order", () => {
  test("the same reserve again answers 200 and moves nothing", async () => {
    const id = await createItem(10);
    const body = { quantity: 3, order_id: crypto.randomUUID() };
    const first = await reserve(id, body);
    const again = await reserve(id, body);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.json).toEqual(first.json as never);
    expect(await stockOf(id)).toEqual({ available: 7, reserved: 3 });
  });

  test("the same release again answers 200 and moves nothing", async () => {
    const id = await createItem(10);
    const body = { quantity: 3, order_id: crypto.randomUUID() };
    await reserve(id, body);
    const first = await release(id, body);
    const again = await release(id, body);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.json).toEqual({ item_id: id, name: "Test item", available: 10, reserved: 0 });
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
  });

  test("a repeat is 200 also when nothing is available any more", async () => {
    const id = await createItem(3);
    const body = { quantity: 3, order_id: crypto.randomUUID() };
    await reserve(id, body);
    expect((await reserve(id, body)).status).toBe(200);
    expect(await stockOf(id)).toEqual({ available: 0, reserved: 3 });
  });

  test("another quantity under the same key is 409, for reserve and for release", async () => {
    const id = await createItem(10);
    const orderId = crypto.randomUUID();
    await reserve(id, { quantity: 3, order_id: orderId });
    expectError(await reserve(id, { quantity: 4, order_id: orderId }), 409);
    expectError(await release(id, { quantity: 2, order_id: orderId }), 409);
    expect(await stockOf(id)).toEqual({ available: 7, reserved: 3 });
    await release(id, { quantity: 3, order_id: orderId });
    expectError(await release(id, { quantity: 2, order_id: orderId }), 409);
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
  });

  test("a reserve after that order's release is 409, with the same quantity and another", async () => {
    const id = await createItem(10);
    const orderId = crypto.randomUUID();
    await reserve(id, { quantity: 3, order_id: orderId });
    await release(id, { quantity: 3, order_id: orderId });
    expectError(await reserve(id, { quantity: 3, order_id: orderId }), 409, /released/);
    expectError(await reserve(id, { quantity: 1, order_id: orderId }), 409);
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
  });

  test("nothing of that order to release is 409, also while others hold some", async () => {
    const id = await createItem(10);
    expectError(await release(id, { quantity: 1, order_id: crypto.randomUUID() }), 409);
    await reserve(id, { quantity: 5, order_id: crypto.randomUUID() });
    await reserve(id, { quantity: 2 });
    expectError(await release(id, { quantity: 1, order_id: crypto.randomUUID() }), 409);
    expect(await stockOf(id)).toEqual({ available: 3, reserved: 7 });
  });

  test("too little stock is 409 and books nothing: once there is stock, the same call succeeds", async () => {
    const id = await createItem(2);
    const body = { quantity: 3, order_id: crypto.randomUUID() };
    expectError(await reserve(id, body), 409, /stock/);
    const { sql } = await stack();
    await sql`UPDATE inventory.items SET available = 3 WHERE item_id = ${id}`;
    expect((await reserve(id, body)).status).toBe(200);
    expect(await stockOf(id)).toEqual({ available: 0, reserved: 3 });
  });

  test("a final refusal holds for that order when stock comes back, and for no other", async () => {
    const id = await createItem(2);
    const body = { quantity: 3, order_id: crypto.randomUUID(), final: true };
    expectError(await reserve(id, body), 409, /stock/);
    const { sql } = await stack();
    await sql`UPDATE inventory.items SET available = 10 WHERE item_id = ${id}`;
    expectError(await reserve(id, body), 409, /refused/);
    expectError(await reserve(id, { ...body, final: false }), 409, /refused/);
    expectError(await reserve(id, { ...body, quantity: 1 }), 409, /refused/);
    await release(id, { quantity: 3, order_id: body.order_id });
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
    expect((await reserve(id, { ...body, order_id: crypto.randomUUID() })).status).toBe(200);
    expect(await stockOf(id)).toEqual({ available: 7, reserved: 3 });
  });

  test("final reserves of one order, at once and while stock comes back, all get the same answer", async () => {
    const { sql } = await stack();
    for (let round = 0; round < 10; round++) {
      const id = await createItem(2);
      const body = { quantity: 3, order_id: crypto.randomUUID(), final: true };
      const calls = Array.from({ length: 20 }, async (_, n) => {
        if (n === round) await sql`UPDATE inventory.items SET available = 9 WHERE item_id = ${id}`;
        return (await reserve(id, body)).status;
      });
      const statuses = new Set(await Promise.all(calls));
      expect(statuses.size).toBe(1);
      expect([200, 409]).toContain([...statuses][0] ?? 0);
      const reserved = statuses.has(200) ? 3 : 0;
      expect(await stockOf(id)).toEqual({ available: 9 - reserved, reserved });
    }
  });

  test("a final reserve for nobody is refused without consequence", async () => {
    const id = await createItem(2);
    expectError(await reserve(id, { quantity: 3, final: true }), 409, /stock/);
    expect((await reserve(id, { quantity: 2, final: true })).status).toBe(200);
  });

  test("a UUID in upper case is the same order", async () => {
    const id = await createItem(10);
    const orderId = crypto.randomUUID();
    await reserve(id, { quantity: 3, order_id: orderId });
    expect((await reserve(id, { quantity: 3, order_id: orderId.toUpperCase() })).status).toBe(200);
    expect(await stockOf(id)).toEqual({ available: 7, reserved: 3 });
    expect((await release(id, { quantity: 3, order_id: orderId.toUpperCase() })).status).toBe(200);
    expectError(await reserve(id, { quantity: 3, order_id: orderId }), 409, /released/);
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
  });

  test("two items of one order, and two orders of one item, are booked apart", async () => {
    const [one, other] = [await createItem(10), await createItem(10)];
    const [ann, bob] = [crypto.randomUUID(), crypto.randomUUID()];
    await reserve(one, { quantity: 1, order_id: ann });
    await reserve(other, { quantity: 2, order_id: ann });
    await reserve(one, { quantity: 3, order_id: bob });
    await release(one, { quantity: 1, order_id: ann });
    expect(await stockOf(one)).toEqual({ available: 7, reserved: 3 });
    expect(await stockOf(other)).toEqual({ available: 8, reserved: 2 });
  });

  test("the same call thirty times at once moves stock once, and all are 200", async () => {
    const id = await createItem(100);
    const body = { quantity: 2, order_id: crypto.randomUUID() };
    const statuses = async (move: typeof reserve) => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => move(id, body)));
      return new Set(answers.map(({ status }) => status));
    };
    expect(await statuses(reserve)).toEqual(new Set([200]));
    expect(await stockOf(id)).toEqual({ available: 98, reserved: 2 });
    expect(await statuses(release)).toEqual(new Set([200]));
    expect(await stockOf(id)).toEqual({ available: 100, reserved: 0 });
  });

  test("fifty orders that want the last ten pieces at once: ten get one each", async () => {
    const id = await createItem(10);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => reserve(id, { quantity: 1, order_id: crypto.randomUUID() })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(40);
    expect(await stockOf(id)).toEqual({ available: 0, reserved: 10 });
  });

  test("reserve and release of one order at once end consistent", async () => {
    const id = await createItem(10);
    const body = { quantity: 4, order_id: crypto.randomUUID() };
    await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 ? reserve : release)(id, body)));
    const { available, reserved } = await stockOf(id);
    expect(available + reserved).toBe(10);
    expect([0, 4]).toContain(reserved);
  });

  test("twenty reserves and twenty releases of one order at once wait for each other in one direction", async () => {
    for (let round = 0; round < 10; round++) {
      const id = await createItem(10);
      const body = { quantity: 4, order_id: crypto.randomUUID() };
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) => (n % 2 ? release : reserve)(id, body)),
      );
      // A deadlock would be PostgreSQL's to end, after a second and with an error for one of the two.
      const statuses = answers.map(({ status }) => status);
      expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([]);
      const { available, reserved } = await stockOf(id);
      expect(available + reserved).toBe(10);
      expect([0, 4]).toContain(reserved);
    }
  });
});

describe.each([
  ["reserve", reserve],
  ["release", release],
] as const)("a bad %s", (_, send) => {
  test("of an item that is not there is 404, with and without an order", async () => {
    expectError(await send("NO-SUCH-ITEM", { quantity: 1 }), 404);
    expectError(await send("NO-SUCH-ITEM", { quantity: 1, order_id: "x" }), 404);
    expectError(await send("a\u0000b", { quantity: 1 }), 404);
    expectError(await send("x".repeat(65), { quantity: 1 }), 404);
  });

  test.each([
    ["no quantity", {}],
    ["quantity 0", { quantity: 0 }],
    ["quantity -1", { quantity: -1 }],
    ["quantity 1.5", { quantity: 1.5 }],
    ['quantity "1"', { quantity: "1" }],
    ["quantity null", { quantity: null }],
    ["quantity 1e400", '{"quantity":1e400}'],
    ["quantity 2147483648", { quantity: 2_147_483_648 }],
    ['final "yes"', { quantity: 1, order_id: "x", final: "yes" }],
    ["order_id empty", { quantity: 1, order_id: "" }],
    ["order_id a number", { quantity: 1, order_id: 5 }],
    ["order_id null", { quantity: 1, order_id: null }],
    ["order_id with NUL", { quantity: 1, order_id: "a\u0000" }],
    ["order_id with a lone surrogate", { quantity: 1, order_id: "\ud800" }],
    ["order_id of 256 characters", { quantity: 1, order_id: "x".repeat(256) }],
    ["a list", "[]"],
    ["null", "null"],
    ["malformed JSON", "{"],
    ["an empty body", ""],
  ])("is 400 for %s, and moves nothing", async (_, body) => {
    const id = await createItem(10);
    expectError(await send(id, body), 400);
    expect(await stockOf(id)).toEqual({ available: 10, reserved: 0 });
  });
});
