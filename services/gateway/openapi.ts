/** What the public API is, as OpenAPI 3.1: `GET /openapi` is the page, `GET /openapi/json` the description. */
import { openapi } from "@elysiajs/openapi";
import { Type } from "@sinclair/typebox";
import type { DocumentDecoration } from "elysia";
import { ORDER_STATUSES } from "#lib/orders/order.ts";
import {
  CUSTOMER_ID_CHARACTERS_MAX,
  ITEM_ID_CHARACTERS_MAX,
  newOrderSchema,
} from "#lib/orders/schemas.ts";
import type { createBaseApp } from "#lib/service/app.ts";

const PATH = "/openapi";
/** The page's own files. Its package brings them, so that a browser asks nobody else for them. */
const ASSETS = { "swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript" } as const;

type Schema = Readonly<Record<string, unknown>>;

const CENTS = { type: "integer", minimum: 0, description: "cents" };
const STATUS = { type: "string", enum: [...ORDER_STATUSES] };
const ORDER_ID = { type: "string", format: "uuid" };
const ITEM_ID = textSchema(ITEM_ID_CHARACTERS_MAX);
const CUSTOMER_ID = textSchema(CUSTOMER_ID_CHARACTERS_MAX);
const COUNT = { type: "integer", minimum: 0 };

const ORDER = closed({
  id: ORDER_ID,
  customer_id: CUSTOMER_ID,
  items: {
    type: "array",
    items: closed({
      item_id: ITEM_ID,
      quantity: { type: "integer", minimum: 1, maximum: 10_000 },
      price: CENTS,
    }),
  },
  total: CENTS,
  status: STATUS,
  created_at: { type: "string", format: "date-time" },
});
const STOCK = closed({
  item_id: ITEM_ID,
  name: { type: "string" },
  available: COUNT,
  reserved: COUNT,
});

/** What may go wrong, and when. */
const ERRORS = {
  400: "The input breaks a rule; the error says which.",
  404: "There is no such thing.",
  408: "The request did not arrive whole in time.",
  413: "The body is larger than 1 MiB.",
  422: "The Idempotency-Key was used with another body.",
  502: "The service behind the gateway cannot be reached.",
  503: "A service has too much to do, or lacks what it needs; Retry-After says when to ask again.",
  504: "The service behind the gateway has not answered in time.",
} as const;
/** Of every route: the gateway needs a service behind it. */
const BEHIND = [502, 503, 504] as const;

const PAGE = [
  query("limit", { type: "integer", minimum: 1, maximum: 200, default: 50 }, "Orders of a page."),
  query("cursor", { type: "string" }, "From the Link header of the page before."),
  query("status", STATUS, "Only orders of this status."),
  query("customer_id", CUSTOMER_ID, "Only orders of this customer."),
];
const PAGE_ANSWERS = {
  200: answer(
    "A page of orders, newest first.",
    { type: "array", maxItems: 200, items: ORDER },
    { Link: { description: '`<…>; rel="next"` while there is more.', schema: { type: "string" } } },
  ),
  ...errors(400, ...BEHIND),
};

const ROUTES = {
  placeOrder: {
    summary: "Places an order",
    description:
      "It is settled later: `confirmed` where all items could be reserved, else `cancelled`.",
    parameters: [
      {
        in: "header",
        name: "Idempotency-Key",
        description: "The same key with the same body makes one order, however often it is sent.",
        schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,255}$" },
      },
    ],
    requestBody: {
      required: true,
      content: { "application/json": { schema: toJsonSchema(newOrderSchema) } },
    },
    responses: {
      201: answer("The order, which is pending.", ORDER, {
        Location: { description: "Where the order is.", schema: { type: "string" } },
      }),
      ...errors(400, 408, 413, 422, ...BEHIND),
    },
  },
  listOrders: { summary: "Lists orders", parameters: PAGE, responses: PAGE_ANSWERS },
  listOrdersNPlus1: {
    summary: "Lists orders, one query for each",
    description: "The same page by the anti-pattern, for its traces.",
    parameters: PAGE,
    responses: PAGE_ANSWERS,
  },
  getOrder: {
    summary: "Shows an order",
    responses: { 200: answer("The order.", ORDER), ...errors(400, 404, ...BEHIND) },
  },
  listStock: {
    summary: "Lists the stock",
    responses: {
      200: answer("All items.", { type: "array", items: STOCK }),
      ...errors(...BEHIND),
    },
  },
  getStock: {
    summary: "Shows an item's stock",
    responses: { 200: answer("The item.", STOCK), ...errors(404, ...BEHIND) },
  },
} satisfies Readonly<Record<string, Schema>>;

/** A route's options: how it is described. What it takes is checked elsewhere. */
export function described(route: keyof typeof ROUTES): { detail: DocumentDecoration } {
  // The type is that of OpenAPI 3.0, whose schemas are not JSON Schema's.
  return { detail: { operationId: route, ...ROUTES[route] } as unknown as DocumentDecoration };
}

/** The same for a part of the path, which the plugin reads from a route's schema alone: one that takes any text. */
export const orderIdInPath = Type.Object({ id: Type.Unsafe<string>(Type.Unknown(ORDER_ID)) });
export const itemIdInPath = Type.Object({ itemId: Type.Unsafe<string>(Type.Unknown(ITEM_ID)) });

/** Serves the description of the app's routes, and a page of it. */
export function addOpenApi(app: ReturnType<typeof createBaseApp>): void {
  app.use(
    openapi({
      path: PATH,
      provider: "swagger-ui",
      openapiVersion: "3.1.2",
      exclude: { paths: ["/healthz", "/readyz", "/metrics"] },
      swagger: {
        cdn: `${PATH}/assets/swagger-ui-bundle.js`,
        theme: `${PATH}/assets/swagger-ui.css`,
      },
      documentation: {
        info: {
          title: "OrderFlow",
          version: "1",
          description:
            "Orders and stock, by the gateway. Every answer of another kind is an error.",
        },
        components: { schemas: { Error: closed({ error: { type: "string" } }) as object } },
      },
    }),
  );
  for (const [name, type] of Object.entries(ASSETS)) {
    const file = Bun.file(new URL(import.meta.resolve(`swagger-ui-dist/${name}`)), { type });
    app.get(`${PATH}/assets/${name}`, () => new Response(file), { detail: { hide: true } });
  }
}

function answer(description: string, schema: Schema, headers: Schema = {}): Schema {
  return { description, headers, content: { "application/json": { schema } } };
}

function errors(...statuses: readonly (keyof typeof ERRORS)[]): Record<number, Schema> {
  const schema = { $ref: "#/components/schemas/Error" };
  return Object.fromEntries(statuses.map((status) => [status, answer(ERRORS[status], schema)]));
}

function query(name: string, schema: Schema, description: string): Schema {
  return { in: "query", name, schema, description };
}

/** An object of these members, and no others. */
function closed(properties: Readonly<Record<string, Schema>>): Schema {
  return {
    type: "object",
    required: Object.keys(properties),
    properties,
    additionalProperties: false,
  };
}

/** JSON Schema counts characters as we do: code points. NUL is no text, and a lone surrogate no JSON. */
function textSchema(charactersMax: number): Schema {
  return { type: "string", minLength: 1, maxLength: charactersMax, pattern: "^[^\\u0000]*$" };
}

/** A schema of ours without what only we know: its words for a person, and its formats. */
function toJsonSchema(schema: object): Schema {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) => {
    if (key === "error") return undefined;
    const format = (value as { format?: unknown } | null)?.format;
    const text = typeof format === "string" ? /^text-(\d+)$/.exec(format) : null;
    return text ? textSchema(Number(text[1])) : value;
  }) as Schema;
}
