import { describe, expect, test } from "bun:test";
import type { OrderStatus } from "#lib/orders/order.ts";
import { ConflictError, UnavailableError } from "#lib/service/errors.ts";
import type { TracedSql } from "#lib/telemetry/sql/sql.ts";
import { createOrderRepository } from "./repository.ts";

const ID = "01a208df-26fe-76a4-9498-9ed041436d4d";

/** One order, which others move on: `change(n)` is called before the n-th statement that runs on it. */
function orderOf(status: OrderStatus, change: (statement: number) => OrderStatus | undefined) {
  let statements = 0;
  let current = status;
  const row = () => ({ id: ID, customer_id: "c", status: current, total: "0", order_id: null });
  const db = {
    async query(strings: TemplateStringsArray, ...values: unknown[]) {
      const text = strings.join("?").trim();
      current = change(++statements) ?? current;
      if (text.includes("UPDATE")) {
        const [to, , from] = values as [OrderStatus, string, OrderStatus[]];
        if (!from.includes(current)) return [];
        current = to;
      }
      return [{ ...row(), age_seconds: 1, created_at: new Date(0) }];
    },
  };
  return createOrderRepository(db as unknown as TracedSql);
}

describe("a status that is set while another one is", () => {
  test("is set where the other one allows it, though it did not at first", async () => {
    const orders = orderOf("pending", (statement) => (statement === 2 ? "confirmed" : undefined));
    const { order } = await orders.setStatus(ID, "shipped");
    expect(order.status).toBe("shipped");
  });

  test("is a conflict where the other one does not allow it", async () => {
    const orders = orderOf("pending", (statement) => (statement === 2 ? "cancelled" : undefined));
    await expect(orders.setStatus(ID, "shipped")).rejects.toThrow(ConflictError);
  });

  test("is not tried for ever", async () => {
    const orders = orderOf("pending", (statement) => (statement % 2 ? "pending" : "confirmed"));
    await expect(orders.setStatus(ID, "shipped")).rejects.toThrow(UnavailableError);
  });
});
