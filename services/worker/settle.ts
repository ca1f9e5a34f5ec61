/**
 * Settles an order: reserves every item, then says confirmed – or, where some item is unknown or
 * short, puts back what was reserved and says cancelled. Status first, mail after, so that no mail
 * says what is not so.
 *
 * Each step may run again after a crash and a redelivery; each is idempotent, and what they come to
 * is the same. Items are reserved in one fixed order and released in the reverse one: whatever was
 * released is therefore the end of what was reserved, and a repeat meets it before it goes further.
 */
import { trace } from "@opentelemetry/api";
import type { ConsumedRecord } from "#lib/kafka/owned-record.ts";
import { UnprocessableRecordError } from "#lib/kafka/errors.ts";
import type { HandlingContext, RecordHandler } from "#lib/kafka/record-handling.ts";
import { quantitiesByItem, type OrderStatus } from "#lib/orders/order.ts";
import { parseOrderCreated, type OrderCreated } from "#lib/orders/order-created.ts";
import { pathSegment } from "#lib/service/client.ts";
import { describeAnswer, UnexpectedAnswerError, type Dependency } from "#lib/service/dependency.ts";
import type { CalledBy } from "#lib/service/services.ts";
import { ATTR_ORDER_ID, ATTR_ORDER_STATUS } from "#lib/orders/attributes.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { inSpan } from "#lib/telemetry/index.ts";

type Dependencies = Readonly<Record<CalledBy<"worker">, Dependency>>;

type Quantities = [itemId: string, quantity: number][];

/** Makes the handler of `order.created` records. */
export function createSettler(dependencies: Dependencies): RecordHandler {
  return async (record, context) => {
    const event = readEvent(record);
    trace.getActiveSpan()?.setAttribute(ATTR_ORDER_ID, event.order_id);
    await settle(event, dependencies, context);
  };
}

function readEvent(record: ConsumedRecord): OrderCreated {
  try {
    return parseOrderCreated(record.value);
  } catch (error) {
    throw new UnprocessableRecordError((error as Error).message, { cause: error });
  }
}

async function settle(
  event: OrderCreated,
  dependencies: Dependencies,
  context: HandlingContext,
): Promise<void> {
  const id = event.order_id;
  const wanted = quantitiesByItem(event.items);
  const { reserved, refusal } = await reserveItems(id, wanted, dependencies, context);
  if (refusal !== undefined) await compensate(id, reserved, dependencies, context);

  const status = refusal === undefined ? "confirmed" : "cancelled";
  const settled = await setStatus(id, status, dependencies, context);
  if (settled === "unknown") {
    await compensate(id, wanted, dependencies, context);
    throw new UnexpectedAnswerError(`there is no order ${id}`);
  }
  if (settled !== status) {
    // Someone settled it otherwise. A cancelled order holds nothing; the others keep what they hold.
    logger.warn("order was settled otherwise", {
      [ATTR_ORDER_ID]: id,
      [ATTR_ORDER_STATUS]: settled,
    });
    if (settled !== "cancelled") return;
    await compensate(id, wanted, dependencies, context);
  }
  trace.getActiveSpan()?.setAttribute(ATTR_ORDER_STATUS, settled);
  await sendMail(event, settled, refusal, dependencies, context);
}

/** Reserves until an item is refused. @returns what is held now, and why it went no further */
async function reserveItems(
  orderId: string,
  wanted: Quantities,
  { inventory }: Dependencies,
  context: HandlingContext,
): Promise<{ reserved: Quantities; refusal?: string }> {
  return await inSpan("reserve items", { [ATTR_ORDER_ID]: orderId }, async () => {
    const reserved: Quantities = [];
    for (const [itemId, quantity] of wanted) {
      const answer = await inventory.call(context, "POST", stockPath(itemId, "reserve"), {
        // What is short is short for good: another worker with this order, or a call of ours that
        // arrives late, gets the same answer, though stock may have come back in between.
        body: { quantity, order_id: orderId, final: true },
      });
      if (answer.status === 404 || answer.status === 409) {
        return { reserved, refusal: describeAnswer("inventory", answer) };
      }
      if (answer.status !== 200)
        throw new UnexpectedAnswerError(describeAnswer("inventory", answer));
      reserved.push([itemId, quantity]);
    }
    return { reserved };
  });
}

/** Releases what an order holds, in the reverse order. What it does not hold is no failure. */
async function compensate(
  orderId: string,
  held: Quantities,
  { inventory }: Dependencies,
  context: HandlingContext,
): Promise<void> {
  if (held.length === 0) return;
  await inSpan("compensate", { [ATTR_ORDER_ID]: orderId }, async () => {
    for (const [itemId, quantity] of held.toReversed()) {
      const answer = await inventory.call(context, "POST", stockPath(itemId, "release"), {
        body: { quantity, order_id: orderId },
      });
      if (![200, 404, 409].includes(answer.status)) {
        throw new UnexpectedAnswerError(describeAnswer("inventory", answer));
      }
    }
  });
}

/** @returns the status that the order has now, whoever set it; `unknown` where there is no order */
async function setStatus(
  orderId: string,
  status: OrderStatus,
  { orders }: Dependencies,
  context: HandlingContext,
): Promise<OrderStatus | "unknown"> {
  const answer = await orders.call(context, "PATCH", `/orders/${orderId}/status`, {
    body: { status },
  });
  if (answer.status === 200) return status;
  if (answer.status === 404) return "unknown";
  if (answer.status !== 409) throw new UnexpectedAnswerError(describeAnswer("orders", answer));

  const current = await orders.call(context, "GET", `/orders/${orderId}`);
  if (current.status !== 200) throw new UnexpectedAnswerError(describeAnswer("orders", current));
  return (JSON.parse(current.body) as { status: OrderStatus }).status;
}

async function sendMail(
  event: OrderCreated,
  status: OrderStatus,
  refusal: string | undefined,
  { email }: Dependencies,
  context: HandlingContext,
): Promise<void> {
  const reason = refusal === undefined ? "" : " because an item is not available";
  const answer = await email.call(context, "POST", "/send", {
    // The same order and kind is the same mail, however often it is asked for.
    headers: { "idempotency-key": `${event.order_id}:${status}` },
    body: {
      to: `${event.customer_id}@example.com`,
      subject: `Your order ${event.order_id} is ${status}`,
      body: `Your order ${event.order_id} was ${status}${reason}.`,
    },
  });
  if (answer.status !== 200) throw new UnexpectedAnswerError(describeAnswer("email", answer));
}

function stockPath(itemId: string, move: "reserve" | "release"): string {
  return `/stock/${pathSegment(itemId)}/${move}`;
}
