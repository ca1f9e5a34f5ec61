/** What the business counts. */
import { counter, histogram } from "#lib/telemetry/metrics/instruments.ts";

/** An order is settled in some tenths of a second, or after minutes of retries. */
const SETTLE_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

export const ordersCreated = counter(
  "orderflow.orders.created",
  "Number of orders accepted.",
  "{order}",
);
export const ordersSettled = counter(
  "orderflow.orders.settled",
  "Number of orders confirmed or cancelled.",
  "{order}",
);
export const orderSettleDuration = histogram(
  "orderflow.order.settle.duration",
  "Time from an order's creation to its confirmation or cancellation.",
  SETTLE_SECONDS,
);
export const stockReservations = counter(
  "orderflow.stock.reservations",
  "Number of stock reservations asked for, by result.",
  "{reservation}",
);
export const emailsSent = counter(
  "orderflow.emails.sent",
  "Number of e-mails sent, and of repeats that were answered without sending.",
  "{email}",
);
