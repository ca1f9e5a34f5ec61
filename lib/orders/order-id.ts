/** An order's id tells when it was made. */

/** A UUID of version 7: its first 48 bits are Unix milliseconds. */
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * When an order was made, by the clock of the orders service that made it.
 * @returns undefined for an id that is no UUIDv7: one that was not made here
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
 */
export function orderMadeAt(orderId: string): Date | undefined {
  const match = UUID_V7.exec(orderId);
  return match ? new Date(Number.parseInt(`${match[1]}${match[2]}`, 16)) : undefined;
}
