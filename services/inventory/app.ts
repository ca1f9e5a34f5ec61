/** The routes of the inventory service. */
import { stockMoveSchema } from "#lib/orders/schemas.ts";
import type { createBaseApp } from "#lib/service/app.ts";
import { NotFoundError } from "#lib/service/errors.ts";
import { faultStrikes, HANGING_INVENTORY_MS } from "#lib/service/faults.ts";
import { isText, isUuid } from "#lib/service/validation.ts";
import { ITEM_ID_CHARACTERS_MAX } from "#lib/orders/schemas.ts";
import { shown, type Stock, type StockMove } from "./stock.ts";

export function addInventoryRoutes(app: ReturnType<typeof createBaseApp>, stock: Stock) {
  app
    .get("/stock", () => stock.list())
    .get("/stock/:itemId", async ({ params }) => {
      if (faultStrikes("hanging-inventory")) await Bun.sleep(HANGING_INVENTORY_MS);
      return shown(await stock.get(itemId(params)));
    })
    .post(
      "/stock/:itemId/reserve",
      async ({ params, body }) => {
        if (faultStrikes("hanging-inventory")) await Bun.sleep(HANGING_INVENTORY_MS);
        return await stock.reserve(itemId(params), withOneSpelling(body));
      },
      { body: stockMoveSchema },
    )
    .post(
      "/stock/:itemId/release",
      ({ params, body }) => stock.release(itemId(params), withOneSpelling(body)),
      { body: stockMoveSchema },
    );
  return app;
}

/** A UUID is the same order in upper case; bookings are found by their text. */
function withOneSpelling(move: StockMove): StockMove {
  const { order_id: orderId } = move;
  if (orderId === undefined || !isUuid(orderId)) return move;
  return { ...move, order_id: orderId.toLowerCase() };
}

/** What no item can be called is not there; PostgreSQL would refuse a NUL. */
function itemId(params: { itemId: string }): string {
  if (isText(params.itemId, ITEM_ID_CHARACTERS_MAX)) return params.itemId;
  throw new NotFoundError("there is no such item");
}
