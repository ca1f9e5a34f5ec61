/** The attribute names that are about orders. */

export const ATTR_ORDER_ID = "orderflow.order.id";
export const ATTR_ORDER_STATUS = "orderflow.order.status";
export const ATTR_RESERVATION_RESULT = "orderflow.reservation.result";
