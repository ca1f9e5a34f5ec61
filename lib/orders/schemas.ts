/**
 * The shapes that requests must have. One place for all services' rules.
 *
 * A field that we do not know is left out, at every depth: Elysia would refuse it at the outermost.
 */
import { Type } from "@sinclair/typebox";
import { strictInteger, text } from "#lib/service/validation.ts";

export const CUSTOMER_ID_CHARACTERS_MAX = 255;
export const ITEM_ID_CHARACTERS_MAX = 64;
const QUANTITY = { min: 1, max: 10_000 };

const ORDER_ITEMS = Type.Array(
  Type.Object(
    {
      item_id: text("item_id", ITEM_ID_CHARACTERS_MAX),
      quantity: strictInteger("quantity", QUANTITY),
      price: strictInteger("price (in cents)", { min: 0, max: 1_000_000_000 }),
    },
    { error: "must be an object {item_id, quantity, price}" },
  ),
  { minItems: 1, maxItems: 100, error: "items must be a list of 1 to 100 order items" },
);

/** `POST /orders` */
export const newOrderSchema = Type.Object(
  { customer_id: text("customer_id", CUSTOMER_ID_CHARACTERS_MAX), items: ORDER_ITEMS },
  { additionalProperties: true, error: "the body must be a JSON object {customer_id, items}" },
);

/**
 * `POST /stock/:itemId/reserve` and `/release`. The sum over an order's lines may reach 100 lines' worth.
 * `final` is for reserve: a refusal of this order for want of stock then holds for all its later tries.
 */
export const stockMoveSchema = Type.Object(
  {
    quantity: strictInteger("quantity", { min: 1, max: 100 * QUANTITY.max }),
    order_id: Type.Optional(text("order_id", CUSTOMER_ID_CHARACTERS_MAX)),
    final: Type.Optional(Type.Boolean({ error: "final must be true or false" })),
  },
  {
    additionalProperties: true,
    error: "the body must be a JSON object {quantity, order_id?, final?}",
  },
);

/** `PATCH /orders/:id/status` */
export const statusChangeSchema = Type.Object(
  { status: text("status", 32) },
  { additionalProperties: true, error: "the body must be a JSON object {status}" },
);

/** `POST /send` */
export const emailSchema = Type.Object(
  { to: text("to", 320), subject: text("subject", 998), body: text("body", 100_000) },
  { additionalProperties: true, error: "the body must be a JSON object {to, subject, body}" },
);
