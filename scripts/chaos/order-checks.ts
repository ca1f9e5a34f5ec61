/** What must be true of orders, stock and events once all is settled. */
import type { BookedOrder, Books } from "./books.ts";
import { check, type Check } from "./check.ts";
import type { PostedOrder } from "./load.ts";

/**
 * @param posted every order that was posted, answered or not
 * @param pieces of each item there were before the run
 */
export function checkOrders(
  posted: readonly PostedOrder[],
  books: Books,
  pieces: ReadonlyMap<string, number>,
): Check[] {
  return [
    checkAccepted(posted, books),
    checkLostAnswers(posted, books),
    checkOncePerPost(books),
    checkOutcome(posted, books),
    checkPieces(books, pieces),
    checkReserved(books),
    checkReservations(books),
    check(
      "every event is published",
      `${books.outboxRows} in the outbox`,
      books.outboxRows === 0 ? [] : [`${books.outboxRows} rows are left in orders.outbox`],
    ),
    check(
      "every record is handled",
      `${books.records} records, ${books.recordsBehind} behind`,
      books.recordsBehind === 0 ? [] : [`${books.recordsBehind} records are not committed`],
    ),
    check(
      "no order is given up",
      `${books.deadLetters} dead letters`,
      books.deadLetters === 0 ? [] : [`${books.deadLetters} records in the dead-letter topic`],
    ),
  ];
}

function isSettled({ status }: BookedOrder): boolean {
  return status === "confirmed" || status === "cancelled";
}

function checkAccepted(posted: readonly PostedOrder[], { orders }: Books): Check {
  const byId = new Map(orders.map((order) => [order.id, order]));
  const accepted = posted.filter(({ status }) => status === 201);
  const breaches = accepted.flatMap(({ orderId = "", customerId }) => {
    const order = byId.get(orderId);
    if (!order) return [`order ${orderId} of ${customerId} was answered 201 and is not there`];
    return isSettled(order) ? [] : [`order ${orderId} of ${customerId} is still ${order.status}`];
  });
  return check("every 201 is settled", `${accepted.length} of ${posted.length} posts`, [
    // Of nothing everything is true.
    ...(accepted.length === 0 ? ["no order was accepted"] : []),
    ...breaches,
  ]);
}

function checkLostAnswers(posted: readonly PostedOrder[], { orders }: Books): Check {
  const answered = new Set(posted.map(({ orderId }) => orderId));
  const others = orders.filter(({ id }) => !answered.has(id));
  const breaches = others
    .filter((order) => !isSettled(order))
    .map(({ id, status }) => `order ${id}, whose answer was lost, is still ${status}`);
  return check("so is every order whose answer was lost", `${others.length} orders`, breaches);
}

function checkOncePerPost({ orders }: Books): Check {
  const breaches = [...Map.groupBy(orders, (order) => order.customerId)]
    .filter(([, made]) => made.length > 1)
    .map(([customerId, made]) => `${made.length} orders came of the one post of ${customerId}`);
  return check("one post makes one order at most", `${orders.length} orders`, breaches);
}

function checkOutcome(posted: readonly PostedOrder[], { orders, items }: Books): Check {
  const expectedOf = new Map(posted.map(({ customerId, expected }) => [customerId, expected]));
  const left = new Map(items.map(({ itemId, available }) => [itemId, available]));
  // Nobody puts back pieces of a scarce item, as it comes last in its order: what was too little for an
  // order when it was cancelled is too little for it at the end.
  const isShort = ({ quantities }: BookedOrder) =>
    [...quantities].some(([itemId, quantity]) => (left.get(itemId) ?? 0) < quantity);
  const breaches = orders.filter(isSettled).flatMap((order) => {
    const { id, customerId, status } = order;
    const expected = expectedOf.get(customerId);
    if (expected !== "either") {
      return expected === status
        ? []
        : [`order ${id} of ${customerId} is ${status}; it should be ${expected}`];
    }
    return status === "confirmed" || isShort(order)
      ? []
      : [`order ${id} of ${customerId} is cancelled; all that it wanted is still there`];
  });
  const cancelled = orders.filter(({ status }) => status === "cancelled");
  const short = cancelled.filter(({ customerId }) => expectedOf.get(customerId) === "either");
  const confirmed = orders.filter(({ status }) => status === "confirmed");
  return check(
    "confirmed exactly where there is stock",
    `${confirmed.length} confirmed, ${cancelled.length} cancelled (${short.length} short of stock)`,
    breaches,
  );
}

function checkPieces({ items }: Books, pieces: ReadonlyMap<string, number>): Check {
  const breaches = items.flatMap(({ itemId, available, reserved }) => {
    const before = pieces.get(itemId);
    return available + reserved === before
      ? []
      : [`${itemId}: ${available} available + ${reserved} reserved, there were ${before}`];
  });
  return check("available + reserved = seeded", `${items.length} items`, breaches);
}

function checkReserved({ items, orders }: Books): Check {
  const wanted = new Map<string, number>();
  for (const { status, quantities } of orders) {
    if (status !== "confirmed") continue;
    for (const [itemId, quantity] of quantities) {
      wanted.set(itemId, (wanted.get(itemId) ?? 0) + quantity);
    }
  }
  const breaches = items.flatMap(({ itemId, reserved }) => {
    const confirmed = wanted.get(itemId) ?? 0;
    return reserved === confirmed
      ? []
      : [`${itemId}: ${reserved} reserved, confirmed orders have ${confirmed}`];
  });
  const pieces = items.reduce((sum, { reserved }) => sum + reserved, 0);
  return check("reserved = sum over confirmed orders", `${pieces} pieces`, breaches);
}

function checkReservations({ reservations, orders }: Books): Check {
  const due = new Set(
    orders
      .filter(({ status }) => status === "confirmed")
      .flatMap(({ id, quantities }) =>
        [...quantities].map(([itemId, quantity]) => keyOf(id, itemId, quantity)),
      ),
  );
  const held = new Set(
    reservations
      .filter(({ status }) => status === "reserved")
      .map(({ orderId, itemId, quantity }) => keyOf(orderId, itemId, quantity)),
  );
  const breaches = [
    ...[...held.difference(due)].map((key) => `reserved and not confirmed: ${key}`),
    ...[...due.difference(held)].map((key) => `confirmed and not reserved: ${key}`),
  ];
  const released = reservations.length - held.size;
  return check(
    "reservations are those of confirmed orders",
    `${held.size} held, ${released} released`,
    breaches,
  );
}

function keyOf(orderId: string, itemId: string, quantity: number): string {
  return `${quantity} of ${itemId} for order ${orderId}`;
}
