// The lists of orders, plain and N+1, at the gateway and at the orders service.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Order } from "#lib/orders/order.ts";
import { call, expectError, insertOrder, postOrder } from "./support/api.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const lists = [
  ["gateway", "/orders"],
  ["gateway", "/orders-nplus1"],
  ["orders", "/orders"],
  ["orders", "/orders-nplus1"],
] as const;

describe.each(lists)("the list at %s%s", (service, path) => {
  const list = async (query = "") =>
    call("GET", `${(await stack()).services[service]}${path}${query}`);

  /** The ids of all pages, and how many orders each page had. Follows `Link` as a client would. */
  async function walk(query: string): Promise<{ ids: string[]; sizes: number[] }> {
    const ids: string[] = [];
    const sizes: number[] = [];
    let next: string | undefined = `${path}${query}`;
    while (next) {
      const answer = await call("GET", new URL(next, (await stack()).services[service]).href);
      expect(answer.status, answer.text).toBe(200);
      const orders = answer.json as Order[];
      ids.push(...orders.map(({ id }) => id));
      sizes.push(orders.length);
      next = nextOf(answer.headers);
    }
    return { ids, sizes };
  }

  test("an order placed a moment ago is in it, in full", async () => {
    const customerId = crypto.randomUUID();
    const order = await postOrder({
      customer_id: customerId,
      items: [
        { item_id: "ITEM-007", quantity: 2, price: 1999 },
        { item_id: "ITEM-008", quantity: 1, price: 5 },
      ],
    });
    const answer = await list(`?customer_id=${customerId}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toStartWith("application/json");
    expect(answer.json).toEqual([{ ...order, status: expect.any(String) }]);
    expect(answer.headers.get("link")).toBeNull();
  });

  test("no order of that customer is an empty list", async () => {
    const answer = await list(`?customer_id=${crypto.randomUUID()}`);
    expect({ status: answer.status, body: answer.json }).toEqual({ status: 200, body: [] });
    expect(answer.headers.get("link")).toBeNull();
  });

  test("pages are newest first and give each order once, also within one millisecond and at one time", async () => {
    const customerId = crypto.randomUUID();
    // Microseconds apart, and four at the very same time: a cursor in milliseconds, or without the
    // id, skips or repeats some of them.
    const times = [1, 2, 3, 999, 5, 5, 5, 5, 6, 1000, 1001].map(
      (us) => `2026-01-02T03:04:05.${String(678_000 + us).padStart(6, "0")}Z`,
    );
    const inserted: { id: string; time: string }[] = [];
    for (const time of times) {
      inserted.push({ id: await insertOrder({ customerId, createdAt: time }), time });
    }
    const expected = inserted
      .toSorted((a, b) => (a.time === b.time ? compare(b.id, a.id) : compare(b.time, a.time)))
      .map(({ id }) => id);

    for (const limit of [1, 2, 3, 4, 11, 200]) {
      const { ids, sizes } = await walk(`?customer_id=${customerId}&limit=${limit}`);
      expect(ids, `limit=${limit}`).toEqual(expected);
      expect(sizes.every((size) => size <= limit && size > 0)).toBe(true);
      // Exactly as many pages as it takes: no empty one at the end.
      expect(sizes.length).toBe(Math.ceil(expected.length / limit));
    }
  });

  test("times before 1970 and far ahead are paged too", async () => {
    const customerId = crypto.randomUUID();
    const times = [
      "1969-12-31T23:59:59.999999Z",
      "1901-01-01T00:00:00.000001Z",
      "2199-06-01T00:00:00Z",
    ];
    const ids: string[] = [];
    for (const createdAt of times) ids.push(await insertOrder({ customerId, createdAt }));
    const walked = await walk(`?customer_id=${customerId}&limit=1`);
    expect(walked.ids).toEqual([ids[2], ids[0], ids[1]] as string[]);
  });

  test("an order that comes in while someone pages moves nothing on later pages", async () => {
    const customerId = crypto.randomUUID();
    const old = [];
    for (const second of [1, 2, 3]) {
      old.unshift(await insertOrder({ customerId, createdAt: `2026-02-01T00:00:0${second}Z` }));
    }
    const first = await list(`?customer_id=${customerId}&limit=2`);
    await insertOrder({ customerId, createdAt: "2026-02-01T00:00:09Z" });
    const next = nextOf(first.headers) ?? "";
    const second = await call("GET", new URL(next, (await stack()).services[service]).href);
    expect([first, second].flatMap((page) => (page.json as Order[]).map(({ id }) => id))).toEqual(
      old,
    );
  });

  test("status filters, alone and together with customer_id, and the next page keeps both", async () => {
    const customerId = `a&b=c ${crypto.randomUUID()}`;
    const wanted = [];
    for (const second of [1, 2, 3]) {
      const createdAt = `2026-03-01T00:00:0${second}Z`;
      await insertOrder({ customerId, createdAt, status: "cancelled" });
      wanted.unshift(await insertOrder({ customerId, createdAt, status: "shipped" }));
    }
    const query = `?status=shipped&limit=2&customer_id=${encodeURIComponent(customerId)}`;
    expect((await walk(query)).ids).toEqual(wanted);
    const shipped = (await list("?status=shipped&limit=200")).json as Order[];
    expect(new Set(shipped.map(({ status }) => status))).toEqual(new Set(["shipped"]));
  });

  test("a page has 50 orders where no limit is given, and up to 200 where asked for", async () => {
    const customerId = crypto.randomUUID();
    const { sql } = await stack();
    await sql`
      INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
      SELECT gen_random_uuid(), ${customerId}, 'pending', 0, now(), now() FROM generate_series(1, 201)`;
    const sizes = async (query: string) => (await walk(`?customer_id=${customerId}${query}`)).sizes;
    expect(await sizes("")).toEqual([50, 50, 50, 50, 1]);
    expect(await sizes("&limit=200")).toEqual([200, 1]);
  });

  test.each([
    ["limit=0", /limit/],
    ["limit=201", /limit/],
    ["limit=-1", /limit/],
    ["limit=1.5", /limit/],
    ["limit=1e2", /limit/],
    ["limit=", /limit/],
    ["limit=abc", /limit/],
    ["limit=%2010", /limit/],
    ["limit=99999999999999999999", /limit/],
    ["limit=5&limit=6", /limit/],
    ["cursor=", /cursor/],
    ["cursor=abc", /cursor/],
    ["cursor=%00", /cursor/],
    ["cursor=MSAx", /cursor/],
    [`cursor=${Buffer.from("1 2 3").toString("base64url")}`, /cursor/],
    [`cursor=${Buffer.from(`9e9 ${crypto.randomUUID()}`).toString("base64url")}`, /cursor/],
    [
      `cursor=${Buffer.from(`1' OR 1=1 -- ${crypto.randomUUID()}`).toString("base64url")}`,
      /cursor/,
    ],
    ["status=", /status/],
    ["status=PENDING", /status/],
    ["status=unknown", /status/],
    ["status=pending&status=shipped", /status/],
    ["customer_id=", /customer_id/],
    ["customer_id=a%00b", /customer_id/],
    [`customer_id=${"x".repeat(256)}`, /customer_id/],
    ["customer_id=a&customer_id=b", /customer_id/],
    ["customer_id=%FF", /UTF-8/],
    ["customer_id=%ED%A0%80", /UTF-8/],
    ["limit=1&unknown=%C3", /UTF-8/],
  ])("refuses ?%s with 400", async (query, text) => {
    expectError(await list(`?${query}`), 400, text);
  });

  test("the extreme cursors that one can make up give a page or a 400, never a failure", async () => {
    for (const micros of ["0", "-1", "99999999999999999", "-99999999999999999"]) {
      const cursor = Buffer.from(`${micros} ${crypto.randomUUID()}`).toString("base64url");
      const answer = await list(`?cursor=${cursor}&limit=1`);
      expect([200, 400], micros).toContain(answer.status);
    }
  });
});

test("the N+1 list gives exactly what the plain list gives", async () => {
  const { services } = await stack();
  for (const query of ["?limit=20", "?limit=3&status=pending", "?limit=200"]) {
    const plain = await call("GET", `${services.orders}/orders${query}`);
    const nPlusOne = await call("GET", `${services.orders}/orders-nplus1${query}`);
    // Statuses go on changing while the worker settles other tests' orders.
    const stable = (answer: typeof plain) =>
      (answer.json as Order[]).map((order) => ({ ...order, status: "" }));
    expect(stable(nPlusOne)).toEqual(stable(plain));
  }
});

/** The target of `Link: <…>; rel="next"`. */
function nextOf(headers: Headers): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
