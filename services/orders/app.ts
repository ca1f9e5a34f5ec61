/** The routes of the orders service. */
import { isOrderStatus, ORDER_STATUSES } from "#lib/orders/order.ts";
import { newOrderSchema, statusChangeSchema } from "#lib/orders/schemas.ts";
import type { createBaseApp } from "#lib/service/app.ts";
import { BadInputError } from "#lib/service/errors.ts";
import { readIdempotencyKey } from "#lib/service/idempotency-key.ts";
import { isUtf8Query, isUuid } from "#lib/service/validation.ts";
import { ATTR_ORDER_STATUS } from "#lib/orders/attributes.ts";
import { orderSettleDuration, ordersCreated, ordersSettled } from "#lib/orders/instruments.ts";
import { nextLink, parsePageRequest, type PageRequest } from "./list-page.ts";
import type { Relay } from "./relay.ts";
import type { OrderRepository, Page } from "./repository.ts";

export function addOrdersRoutes(
  app: ReturnType<typeof createBaseApp>,
  orders: OrderRepository,
  relay: Pick<Relay, "wake">,
) {
  app
    .post(
      "/orders",
      async ({ body, request, set }) => {
        const { order, isNew } = await orders.create(body, readIdempotencyKey(request.headers));
        if (isNew) {
          relay.wake();
          ordersCreated.add(1);
        }
        set.status = 201;
        set.headers["location"] = `/orders/${order.id}`;
        return order;
      },
      { body: newOrderSchema },
    )
    .get("/orders", ({ request }) => answerPage(request, orders.list))
    .get("/orders-nplus1", ({ request }) => answerPage(request, orders.listNPlusOne))
    .get("/orders/:id", ({ params }) => orders.get(orderId(params)))
    .patch(
      "/orders/:id/status",
      async ({ params, body }) => {
        const id = orderId(params);
        if (!isOrderStatus(body.status)) {
          throw new BadInputError(`status must be one of ${ORDER_STATUSES.join(", ")}`);
        }
        const { order, settledAfterSeconds } = await orders.setStatus(id, body.status);
        if (settledAfterSeconds !== undefined) {
          const outcome = { [ATTR_ORDER_STATUS]: order.status };
          ordersSettled.add(1, outcome);
          orderSettleDuration.record(settledAfterSeconds, outcome);
        }
        return order;
      },
      { body: statusChangeSchema },
    );
  return app;
}

async function answerPage(
  request: Request,
  list: (page: PageRequest) => Promise<Page>,
): Promise<Response> {
  const url = new URL(request.url);
  if (!isUtf8Query(url.search)) throw new BadInputError("the query is not valid UTF-8");
  const { orders, next } = await list(parsePageRequest(url.searchParams));
  const headers = next && { link: nextLink(url.pathname, url.searchParams, next) };
  return Response.json(orders, headers && { headers });
}

function orderId({ id }: { id: string }): string {
  if (!isUuid(id)) throw new BadInputError("the order's id must be a UUID");
  return id;
}
