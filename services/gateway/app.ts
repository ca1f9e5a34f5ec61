/** The routes of the gateway: each is one call to the service behind it, whose answer is passed on. */
import { ITEM_ID_CHARACTERS_MAX } from "#lib/orders/schemas.ts";
import type { createBaseApp } from "#lib/service/app.ts";
import {
  errorInBody,
  pathSegment,
  type CallOptions,
  type ServiceClient,
} from "#lib/service/client.ts";
import { BadGatewayError, BadInputError, NotFoundError } from "#lib/service/errors.ts";
import { IDEMPOTENCY_KEY_HEADER, readIdempotencyKey } from "#lib/service/idempotency-key.ts";
import type { CalledBy } from "#lib/service/services.ts";
import { isText } from "#lib/service/validation.ts";
import { addOpenApi, described, itemIdInPath, orderIdInPath } from "./openapi.ts";
import { noteServerError } from "#lib/telemetry/http/server.ts";

/** Leaves room, in the 16 KiB that the service behind takes as a head, for 8 KiB of baggage. */
const PATH_CHARACTERS_MAX = 4_096;

/** Headers of an answer that are the caller's business. */
const PASSED_ON = ["content-type", "location", "link", "retry-after"];

export function addGatewayRoutes(
  app: ReturnType<typeof createBaseApp>,
  { orders, inventory }: Readonly<Record<CalledBy<"gateway">, ServiceClient>>,
) {
  app
    .post(
      "/orders",
      ({ body, request }) => {
        const key = readIdempotencyKey(request.headers);
        const headers = key === undefined ? {} : { [IDEMPOTENCY_KEY_HEADER]: key };
        return forward(orders, "POST", "/orders", { body, headers });
      },
      described("placeOrder"),
    )
    .get(
      "/orders",
      ({ request }) => forward(orders, "GET", `/orders${queryOf(request)}`),
      described("listOrders"),
    )
    .get(
      "/orders-nplus1",
      ({ request }) => {
        return forward(orders, "GET", `/orders-nplus1${queryOf(request)}`);
      },
      described("listOrdersNPlus1"),
    )
    .get(
      "/orders/:id",
      ({ params }) => {
        return forward(orders, "GET", `/orders/${pathSegment(params.id)}`);
      },
      { ...described("getOrder"), params: orderIdInPath },
    )
    .get("/inventory", () => forward(inventory, "GET", "/stock"), described("listStock"))
    .get(
      "/inventory/:itemId",
      ({ params }) => {
        if (!isText(params.itemId, ITEM_ID_CHARACTERS_MAX)) {
          throw new NotFoundError("there is no such item");
        }
        return forward(inventory, "GET", `/stock/${pathSegment(params.itemId)}`);
      },
      { ...described("getStock"), params: itemIdInPath },
    );
  addOpenApi(app);
  return app;
}

async function forward(
  service: ServiceClient,
  method: "GET" | "POST",
  path: string,
  options: CallOptions = {},
): Promise<Response> {
  if (path.length > PATH_CHARACTERS_MAX) {
    throw new BadInputError(`path and query may have ${PATH_CHARACTERS_MAX} characters`);
  }
  const answer = await service.call(method, path, options);
  if (answer.status >= 300 && answer.status < 400) {
    throw new BadGatewayError(`the ${service.name} service answers with a redirect`);
  }
  // Its answer is passed on as it is; the request's own span tells what went wrong, too.
  if (answer.status >= 500) {
    noteServerError(errorInBody(answer.body) ?? `the ${service.name} service failed`);
  }
  const headers = new Headers();
  for (const name of PASSED_ON) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(answer.body, { status: answer.status, headers });
}

function queryOf(request: Request): string {
  return new URL(request.url).search;
}
