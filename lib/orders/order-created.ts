/** The event `order.created`: its topic, its shape, and how to read it from a Kafka record. */
import { type Static, Type } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { isUuid, text } from "#lib/service/validation.ts";
import { newOrderSchema } from "./schemas.ts";
import type { Order } from "./order.ts";

export const ORDER_CREATED_TOPIC = "order.created";
export const ORDER_CREATED_DEAD_LETTER_TOPIC = "order.created.dlq";
/** The group whose members share the settling of orders. */
export const SETTLING_GROUP = "notification-worker";
/** Partitions of both topics: how many workers can share the work. */
export const ORDER_TOPIC_PARTITIONS = 6;

const orderCreatedSchema = Type.Object({
  order_id: text("order_id", 36),
  customer_id: newOrderSchema.properties.customer_id,
  items: newOrderSchema.properties.items,
  timestamp: text("timestamp", 64),
});

export type OrderCreated = Static<typeof orderCreatedSchema>;

const compiled = TypeCompiler.Compile(orderCreatedSchema);
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The record's value for an order. */
export function orderCreatedValue(order: Order): string {
  const event: OrderCreated = {
    order_id: order.id,
    customer_id: order.customer_id,
    items: order.items,
    timestamp: order.created_at,
  };
  return JSON.stringify(event);
}

/**
 * Reads a record's value.
 * @throws Error that says what is wrong with it; the record can then not be handled by anyone
 */
export function parseOrderCreated(value: Buffer | null): OrderCreated {
  if (!value) throw new Error("the record has no value");
  let event: unknown;
  try {
    event = JSON.parse(utf8.decode(value));
  } catch {
    throw new Error("the record's value is not JSON");
  }
  // Looking for errors takes many times as long as looking whether there are any.
  if (!compiled.Check(event)) {
    const breach = compiled.Errors(event).First();
    throw new Error(
      `the record's value is not an order.created event: ${breach?.path || "value"} ${breach?.message}`,
    );
  }
  const checked = event as OrderCreated;
  if (!isUuid(checked.order_id)) throw new Error("the record's order_id is not a UUID");
  // One order, one spelling: stock and mail are booked under it.
  return { ...checked, order_id: checked.order_id.toLowerCase() };
}
