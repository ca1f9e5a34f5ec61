/**
 * The stock, in PostgreSQL: one atomic statement moves it.
 *
 * With an order's id each move is booked in `inventory.reservations`, which makes it idempotent: the
 * same call again finds its booking and moves nothing.
 */
import { SQL } from "bun";
import { orderMadeAt } from "#lib/orders/order-id.ts";
import { onDatabase } from "#lib/service/database.ts";
import { faultStrikes } from "#lib/service/faults.ts";
import { ConflictError, NotFoundError, UnavailableError } from "#lib/service/errors.ts";
import { stockReservations } from "#lib/telemetry/instruments.ts";
import { ATTR_RESERVATION_RESULT } from "#lib/telemetry/attributes.ts";
import type { Queryable } from "#lib/telemetry/sql.ts";

/** An item's stock as the API shows it. */
export interface StockItem {
  item_id: string;
  name: string;
  available: number;
  reserved: number;
}

/** A number of pieces to move, on behalf of an order or of nobody. */
export interface StockMove {
  quantity: number;
  order_id?: string;
  /** Of an order's reserve: where stock is short now, this order is never to have the item. */
  final?: boolean;
}

/** An item together with what is booked on it for one order. */
interface BookedItem extends StockItem {
  booked_quantity: number | null;
  booked_status: "reserved" | "released" | null;
  /** Whether the order is so old that a booking of its may have been deleted. */
  may_be_forgotten: boolean;
}

/**
 * By how much the clock of an orders service, which made the order's id, may be ahead of PostgreSQL's,
 * which dates the bookings.
 */
const CLOCK_SKEW_MAX_MS = 3_600_000;

/** How often a move is tried again when the row changed between the move and the look at it. */
const TRIES_MAX = 3;
const UNIQUE_VIOLATION = "23505";
const NUMERIC_VALUE_OUT_OF_RANGE = "22003";

export type Stock = ReturnType<typeof createStock>;

/** @param db where the `inventory` schema lives */
export function createStock(db: Queryable) {
  return {
    /** All items, by id. */
    list: () =>
      onDatabase(async () => {
        return await db.query<StockItem>`
          SELECT item_id, name, available, reserved FROM inventory.items ORDER BY item_id`;
      }),

    /** @throws NotFoundError */
    get: (itemId: string) => onDatabase(() => getItem(db, itemId)),

    /**
     * Moves pieces from available to reserved.
     * @throws NotFoundError; ConflictError where too little is available, or where the order's
     *   reservation of this item differs, was released, was refused for good, or may have been
     *   forgotten
     */
    reserve: (itemId: string, move: StockMove) =>
      onDatabase(async () => {
        const result = await tryToMove(
          async () => {
            if (faultStrikes("lost-inventory")) await loseItem(db, itemId, move.order_id);
            return move.order_id === undefined
              ? await reserveUnbooked(db, itemId, move.quantity)
              : await reserveBooked(db, itemId, move.quantity, move.order_id);
          },
          () => explainReserve(db, itemId, move),
        ).catch((error: unknown) => {
          if (error instanceof ConflictError) countReservation("refused");
          if (error instanceof NotFoundError) countReservation("unknown");
          throw error;
        });
        countReservation(result.moved ? "reserved" : "repeated");
        return result.item;
      }),

    /**
     * Moves pieces back from reserved to available.
     * @throws NotFoundError; ConflictError where there is nothing of that order to release, or less
     *   is reserved than that
     */
    release: (itemId: string, move: StockMove) =>
      onDatabase(async () => {
        const result = await tryToMove(
          () =>
            move.order_id === undefined
              ? releaseUnbooked(db, itemId, move.quantity)
              : releaseBooked(db, itemId, move.quantity, move.order_id),
          () => explainRelease(db, itemId, move),
        );
        return result.item;
      }),
  };
}

/**
 * Tries a move; where it moved nothing, `explain` says why not by throwing, returns the item where
 * the move was made before, or undefined where a new try may do it.
 */
async function tryToMove(
  move: () => Promise<StockItem[]>,
  explain: () => Promise<StockItem | undefined>,
): Promise<{ item: StockItem; moved: boolean }> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const [item] = await move().catch((error: unknown) => {
      if (!hasState(error, NUMERIC_VALUE_OUT_OF_RANGE)) throw error;
      throw new ConflictError("the item would have more pieces than can be counted");
    });
    if (item) return { item, moved: true };
    const before = await explain();
    if (before) return { item: before, moved: false };
  }
  throw new UnavailableError("this item's stock changes too often; try again shortly");
}

/**
 * The fault `lost-inventory`. What is booked for the order already stays to be found: pieces that
 * nobody releases any more would be a worse lesson.
 */
async function loseItem(db: Queryable, itemId: string, orderId?: string): Promise<void> {
  const { booked_status } = await getItem(db, itemId, orderId);
  if (booked_status === null) throw new NotFoundError(`there is no item ${itemId}`);
}

async function reserveUnbooked(db: Queryable, itemId: string, quantity: number) {
  return await db.query<StockItem>`
    UPDATE inventory.items
    SET available = available - ${quantity}, reserved = reserved + ${quantity}
    WHERE item_id = ${itemId} AND available >= ${quantity}
    RETURNING item_id, name, available, reserved`;
}

async function releaseUnbooked(db: Queryable, itemId: string, quantity: number) {
  return await db.query<StockItem>`
    UPDATE inventory.items
    SET available = available + ${quantity}, reserved = reserved - ${quantity}
    WHERE item_id = ${itemId} AND reserved >= ${quantity}
    RETURNING item_id, name, available, reserved`;
}

async function reserveBooked(db: Queryable, itemId: string, quantity: number, orderId: string) {
  try {
    return await db.query<StockItem>`
      WITH moved AS (
        UPDATE inventory.items AS item
        SET available = available - ${quantity}, reserved = reserved + ${quantity}
        WHERE item_id = ${itemId} AND available >= ${quantity} AND NOT EXISTS (
          SELECT 1 FROM inventory.reservations AS booked
          WHERE booked.order_id = ${orderId} AND booked.item_id = item.item_id
        ) AND NOT EXISTS (
          SELECT 1 FROM inventory.forgotten_reservations AS forgotten
          WHERE forgotten.up_to > to_timestamp(${earliestBooking(orderId)}::float8))
        RETURNING item_id, name, available, reserved
      ), booking AS (
        INSERT INTO inventory.reservations (order_id, item_id, quantity, status)
        SELECT ${orderId}, item_id, ${quantity}::integer, 'reserved' FROM moved
      )
      SELECT item_id, name, available, reserved FROM moved`;
  } catch (error) {
    // The same call ran at the same time and was first: nothing was moved here, its booking is there.
    if (hasState(error, UNIQUE_VIOLATION)) return [];
    throw error;
  }
}

/**
 * Locks the item before the booking, as a reserve does: the other way round the two of them, called
 * at once for one order, would wait for each other.
 */
async function releaseBooked(db: Queryable, itemId: string, quantity: number, orderId: string) {
  return await db.query<StockItem>`
    WITH locked AS (
      SELECT item_id FROM inventory.items WHERE item_id = ${itemId} FOR NO KEY UPDATE
    ), released AS (
      UPDATE inventory.reservations AS booked
      SET status = 'released', updated_at = now()
      FROM locked
      WHERE booked.order_id = ${orderId} AND booked.item_id = locked.item_id
        AND booked.quantity = ${quantity} AND booked.status = 'reserved'
      RETURNING booked.item_id, booked.quantity
    )
    UPDATE inventory.items AS item
    SET available = available + released.quantity, reserved = reserved - released.quantity
    FROM released WHERE item.item_id = released.item_id
    RETURNING item.item_id, item.name, item.available, item.reserved`;
}

async function explainReserve(db: Queryable, itemId: string, move: StockMove) {
  const item = await getItem(db, itemId, move.order_id);
  if (item.booked_status === "released") {
    throw new ConflictError(`order ${move.order_id} has released ${itemId}, or was refused it`);
  }
  if (item.booked_quantity !== null && item.booked_quantity !== move.quantity) {
    throw new ConflictError(
      `order ${move.order_id} has reserved ${item.booked_quantity} of ${itemId}`,
    );
  }
  if (item.booked_status === "reserved") return shown(item);
  if (item.may_be_forgotten) {
    throw new ConflictError(
      `order ${move.order_id} is so old that what it has reserved is not known any more`,
    );
  }
  if (item.available >= move.quantity) return undefined;
  if (move.final && !(await bookRefusal(db, itemId, move))) return undefined;
  throw new ConflictError(
    `too little stock of ${itemId}: ${move.quantity} wanted, ${item.available} available`,
  );
}

/**
 * Makes a refusal final, in the form of a booking that is released already.
 * @returns false where the order has a booking by now, which decides instead
 */
async function bookRefusal(db: Queryable, itemId: string, move: StockMove): Promise<boolean> {
  if (move.order_id === undefined) return true; // nobody's refusal is nothing to remember
  const booked = await db.query`
    INSERT INTO inventory.reservations (order_id, item_id, quantity, status)
    VALUES (${move.order_id}, ${itemId}, ${move.quantity}, 'released')
    ON CONFLICT DO NOTHING
    RETURNING order_id`;
  return booked.length > 0;
}

async function explainRelease(db: Queryable, itemId: string, move: StockMove) {
  const item = await getItem(db, itemId, move.order_id);
  if (move.order_id === undefined) {
    if (item.reserved >= move.quantity) return undefined;
    throw new ConflictError(
      `too little of ${itemId} is reserved: ${move.quantity} to release, ${item.reserved} reserved`,
    );
  }
  if (item.booked_status === null) {
    throw new ConflictError(`order ${move.order_id} has nothing of ${itemId} to release`);
  }
  if (item.booked_quantity !== move.quantity) {
    throw new ConflictError(
      `order ${move.order_id} has reserved ${item.booked_quantity} of ${itemId}`,
    );
  }
  return item.booked_status === "released" ? shown(item) : undefined;
}

async function getItem(db: Queryable, itemId: string, orderId?: string): Promise<BookedItem> {
  const [item] =
    orderId === undefined
      ? await db.query<BookedItem>`
          SELECT item_id, name, available, reserved, NULL AS booked_quantity, NULL AS booked_status,
                 false AS may_be_forgotten
          FROM inventory.items WHERE item_id = ${itemId}`
      : await db.query<BookedItem>`
          SELECT item.item_id, item.name, item.available, item.reserved,
                 booked.quantity AS booked_quantity, booked.status AS booked_status,
                 forgotten.up_to IS NOT NULL AS may_be_forgotten
          FROM inventory.items AS item
          LEFT JOIN inventory.reservations AS booked
            ON booked.item_id = item.item_id AND booked.order_id = ${orderId}
          LEFT JOIN inventory.forgotten_reservations AS forgotten
            ON forgotten.up_to > to_timestamp(${earliestBooking(orderId)}::float8)
          WHERE item.item_id = ${itemId}`;
  if (!item) throw new NotFoundError(`there is no item ${itemId}`);
  return item;
}

/**
 * The earliest moment, by PostgreSQL's clock, at which an order can have booked something. Bookings that
 * are deleted leave the latest of their times behind in `inventory.forgotten_reservations`: an order
 * whose earliest moment is later than that had none among them.
 * @returns seconds since 1970; null where the id does not tell: such an order's bookings are forgotten
 *   without a trace
 */
function earliestBooking(orderId: string): number | null {
  const madeAt = orderMadeAt(orderId);
  return madeAt ? (madeAt.getTime() - CLOCK_SKEW_MAX_MS) / 1_000 : null;
}

function hasState(error: unknown, sqlState: string): boolean {
  return error instanceof SQL.PostgresError && error.errno === sqlState;
}

/** An item without the columns that are only about bookings. */
export function shown({ item_id, name, available, reserved }: StockItem): StockItem {
  return { item_id, name, available, reserved };
}

function countReservation(result: "reserved" | "repeated" | "refused" | "unknown"): void {
  stockReservations.add(1, { [ATTR_RESERVATION_RESULT]: result });
}
