// An order's whole way: placed at the gateway, settled by the worker.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { ATTR_ORDER_ID } from "#lib/orders/attributes.ts";
import { ATTR_KAFKA_MESSAGE_KEY } from "#lib/telemetry/attributes.ts";
import { call, line, newOrder, postOrder, waitForStatus } from "./support/api.ts";
import {
  createItem,
  stack,
  startStack,
  STACK_START_TIMEOUT_MS,
  TEST_TIMEOUT_MS,
  stockOf,
} from "./support/stack.ts";
import { isWhole, newTraceparent, topmost, traceOf, type TestSpan } from "./support/traces.ts";
import { until } from "./support/until.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const ORDERS = 200;
/** Of the valid ones: a machine with too much to do may refuse some, and no more. */
const ACCEPTED_SHARE_MIN = 0.9;
const SETTLED_WITHIN_MS = 60_000;
const TIMEOUT_MS = 120_000;

/** What is special about an order of the two hundred. */
type Kind = "plain" | "bad" | "unknown" | "scarce";

/** Every tenth is refused, every tenth has an unknown item, every tenth wants what is scarce. */
function kindOf(n: number): Kind {
  return n % 10 === 3 ? "bad" : n % 10 === 5 ? "unknown" : n % 10 === 7 ? "scarce" : "plain";
}

/** How many events of an order wait in the outbox. */
async function eventsWaiting(orderId: string): Promise<number> {
  const [row] = await (
    await stack()
  ).sql`
    SELECT count(*)::int AS waiting FROM orders.outbox WHERE key = ${orderId}`;
  return row.waiting;
}

describe("an order", () => {
  test("is confirmed once every item is reserved, and its stock is held", async () => {
    const [one, other] = [await createItem(10), await createItem(10)];
    const { id } = await postOrder(newOrder([line(one, 3), line(other, 10)]));
    await waitForStatus(id, "confirmed");
    expect(await stockOf(one)).toEqual({ available: 7, reserved: 3 });
    expect(await stockOf(other)).toEqual({ available: 0, reserved: 10 });
    await until("its event has left the outbox", async () => (await eventsWaiting(id)) === 0);
  });

  test("of one item on several lines reserves their sum, in one step", async () => {
    const item = await createItem(10);
    const { traceId, traceparent } = newTraceparent();
    const { id } = await postOrder(newOrder([line(item, 2), line(item, 3)]), { traceparent });
    await waitForStatus(id, "confirmed");
    expect(await stockOf(item)).toEqual({ available: 5, reserved: 5 });
    const spans = await traceOf(traceId, isWhole);
    expect(spans.filter(({ name }) => name === "POST /stock/:itemId/reserve")).toHaveLength(1);
  });

  test("is cancelled where an item is unknown, and what was reserved is put back", async () => {
    const item = await createItem(10);
    // Items are reserved in the order of their ids: this one comes first, the unknown one after.
    const { id } = await postOrder(newOrder([line(item, 4), line("ZZZ-NO-SUCH-ITEM", 1)]));
    await waitForStatus(id, "cancelled");
    expect(await stockOf(item)).toEqual({ available: 10, reserved: 0 });
  });

  test("is cancelled where stock is short, and what was reserved is put back", async () => {
    const [one, other] = [await createItem(10, `A-${crypto.randomUUID()}`), await createItem(2)];
    const { id } = await postOrder(newOrder([line(one, 4), line(other, 3)]));
    await waitForStatus(id, "cancelled");
    expect(await stockOf(one)).toEqual({ available: 10, reserved: 0 });
    expect(await stockOf(other)).toEqual({ available: 2, reserved: 0 });
  });

  test("whose lines are each in stock, but not their sum, is cancelled", async () => {
    const item = await createItem(10);
    const { id } = await postOrder(newOrder([line(item, 6), line(item, 6)]));
    await waitForStatus(id, "cancelled");
    expect(await stockOf(item)).toEqual({ available: 10, reserved: 0 });
  });

  test("of an item whose id needs encoding is confirmed", async () => {
    const item = await createItem(5, `a/b?c=%2F #ü😀 ${crypto.randomUUID()}`);
    const { id } = await postOrder(newOrder([line(item, 5)]));
    await waitForStatus(id, "confirmed");
    expect(await stockOf(item)).toEqual({ available: 0, reserved: 5 });
  });

  test("can be shipped once it is confirmed", async () => {
    const { id } = await postOrder(newOrder([line(await createItem(1))]));
    await waitForStatus(id, "confirmed");
    const { services } = await stack();
    const shipped = await call("PATCH", `${services.orders}/orders/${id}/status`, {
      status: "shipped",
    });
    expect(shipped.status).toBe(200);
    expect((await call("GET", `${services.gateway}/orders/${id}`)).json).toMatchObject({
      status: "shipped",
    });
  });

  test("that someone cancels before the worker gets to it holds no stock", async () => {
    const item = await createItem(1_000);
    const { services } = await stack();
    const orders = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const answer = await call("POST", `${services.orders}/orders`, newOrder([line(item, 1)]));
        const { id } = answer.json as { id: string };
        await call("PATCH", `${services.orders}/orders/${id}/status`, { status: "cancelled" });
        return id;
      }),
    );
    const settled = await Promise.all(
      orders.map((id) => waitForStatus(id, "confirmed", "cancelled")),
    );
    const confirmed = settled.filter(({ status }) => status === "confirmed").length;
    // Whoever was first: stock is held for the confirmed ones only, in the end.
    await until("stock adds up", async () => {
      const [row] = await (
        await stack()
      ).sql`
        SELECT count(*)::int AS settled FROM inventory.reservations WHERE item_id = ${item}`;
      const stock = await stockOf(item);
      return row.settled === orders.length && stock.reserved === confirmed;
    });
    expect(await stockOf(item)).toEqual({ available: 1_000 - confirmed, reserved: confirmed });
  });
});

describe(`${ORDERS} orders at once, some bad, some short`, () => {
  test(
    "each is settled, stock adds up, and each has a complete trace of its own",
    async () => {
      const { services, sql } = await stack();
      const run = crypto.randomUUID();
      const plenty = await createItem(10_000);
      const scarce = await createItem(10);
      const placed = await Promise.all(
        Array.from({ length: ORDERS }, async (_, n) => {
          const { traceId, traceparent } = newTraceparent();
          const answer = await call("POST", `${services.gateway}/orders`, orderNumber(n), {
            traceparent,
          });
          return { n, traceId, answer };
        }),
      );

      // An order that is answered 503 or 504 may yet have been placed.
      for (const { n, answer } of placed) {
        expect([kindOf(n) === "bad" ? 400 : 201, 503, 504]).toContain(answer.status);
      }
      const accepted = placed.filter(({ answer }) => answer.status === 201);
      const valid = placed.filter(({ n }) => kindOf(n) !== "bad");
      expect(accepted.length).toBeGreaterThanOrEqual(ACCEPTED_SHARE_MIN * valid.length);

      const rows = await until(
        "every order is settled",
        async () => {
          const found: { id: string; n: number; status: string }[] = await sql`
          SELECT id, split_part(customer_id, '/', 2)::int AS n, status
          FROM orders.orders WHERE starts_with(customer_id, ${run})`;
          return found.every(({ status }) => status !== "pending") && found;
        },
        SETTLED_WITHIN_MS,
      );
      const ids = rows.map(({ id }) => id);
      expect(ids).toEqual(
        expect.arrayContaining(accepted.map(({ answer }) => (answer.json as { id: string }).id)),
      );
      const count = (kind: Kind, status: string) =>
        rows.filter((row) => kindOf(row.n) === kind && row.status === status).length;
      const wanting = rows.filter(({ n }) => kindOf(n) === "scarce").length;
      expect({
        bad: rows.filter(({ n }) => kindOf(n) === "bad").length,
        plainCancelled: count("plain", "cancelled"),
        unknownConfirmed: count("unknown", "confirmed"),
        scarceConfirmed: count("scarce", "confirmed"),
      }).toEqual({
        bad: 0,
        plainCancelled: 0,
        unknownConfirmed: 0,
        // Each takes two of ten.
        scarceConfirmed: Math.min(wanting, 5),
      });
      const scarceHeld = 2 * count("scarce", "confirmed");
      expect(await stockOf(scarce)).toEqual({ available: 10 - scarceHeld, reserved: scarceHeld });
      const held = rows.filter(({ status }) => status === "confirmed").length;
      expect(await stockOf(plenty)).toEqual({ available: 10_000 - held, reserved: held });

      for (const { answer, traceId } of accepted) {
        const { id } = answer.json as { id: string };
        expectTreeOfOneOrder(await traceOf(traceId, isWhole), id);
      }
      await until("no event is left in the outbox", async () => {
        const [row] = await sql`
          SELECT count(*)::int AS waiting FROM orders.outbox WHERE key IN ${sql(ids)}`;
        return row.waiting === 0;
      });

      function orderNumber(n: number) {
        const items = [line(plenty, 1)];
        if (kindOf(n) === "bad") items.push(line(plenty, 0));
        if (kindOf(n) === "unknown") items.push(line("ZZZ-NO-SUCH-ITEM", 1));
        if (kindOf(n) === "scarce") items.push(line(scarce, 2));
        return newOrder(items, `${run}/${n}`);
      }
    },
    TIMEOUT_MS,
  );
});

/** One root, no span whose parent is missing, all services, and nothing of another order. */
function expectTreeOfOneOrder(spans: TestSpan[], orderId: string): void {
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  // The parent of the first is the caller's own span, which is in no store.
  const roots = topmost(spans).map(({ service, name }) => `${service} ${name}`);
  expect(roots).toEqual(["gateway POST /orders"]);
  expect(spans.map(({ service }) => service)).toEqual(expect.arrayContaining(ORDER_SERVICES));
  const named = spans.map(({ attributes }) => attributes[ATTR_ORDER_ID]).filter(Boolean);
  expect(new Set(named)).toEqual(new Set([orderId]));
  const keys = spans.map(({ attributes }) => attributes[ATTR_KAFKA_MESSAGE_KEY]);
  expect(new Set(keys.filter(Boolean))).toEqual(new Set([orderId]));
}
