/** Pages of orders: newest first, by keyset. */
import { BadInputError } from "#lib/service/errors.ts";
import { isText, isUuid } from "#lib/service/validation.ts";
import { isOrderStatus, ORDER_STATUSES, type OrderStatus } from "#lib/orders/order.ts";
import { CUSTOMER_ID_CHARACTERS_MAX } from "#lib/orders/schemas.ts";

const LIMIT = { default: 50, min: 1, max: 200 };

/**
 * Where a page ended: the order's creation time in microseconds, as PostgreSQL stores it, and its id.
 * A time of whole milliseconds would skip or repeat orders that were created within one.
 */
export interface Cursor {
  createdUs: string;
  id: string;
}

export interface PageRequest {
  limit: number;
  cursor?: Cursor;
  status?: OrderStatus;
  customerId?: string;
}

/**
 * Reads `?limit=&cursor=&status=&customer_id=`.
 * @throws BadInputError that names the parameter
 */
export function parsePageRequest(query: URLSearchParams): PageRequest {
  const page: PageRequest = { limit: LIMIT.default };
  const limit = single(query, "limit");
  if (limit !== undefined) {
    page.limit = /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
    if (page.limit < LIMIT.min || page.limit > LIMIT.max) {
      throw new BadInputError(`limit must be an integer from ${LIMIT.min} to ${LIMIT.max}`);
    }
  }
  const cursor = single(query, "cursor");
  if (cursor !== undefined) page.cursor = decodeCursor(cursor);
  const status = single(query, "status");
  if (status !== undefined) {
    if (!isOrderStatus(status)) {
      throw new BadInputError(`status must be one of ${ORDER_STATUSES.join(", ")}`);
    }
    page.status = status;
  }
  const customerId = single(query, "customer_id");
  if (customerId !== undefined) {
    if (!isText(customerId, CUSTOMER_ID_CHARACTERS_MAX)) {
      throw new BadInputError(
        `customer_id must be a string of 1 to ${CUSTOMER_ID_CHARACTERS_MAX} characters`,
      );
    }
    page.customerId = customerId;
  }
  return page;
}

/** The opaque text of a cursor. */
export function encodeCursor({ createdUs, id }: Cursor): string {
  return Buffer.from(`${createdUs} ${id}`).toString("base64url");
}

function decodeCursor(text: string): Cursor {
  const [createdUs = "", id = "", ...more] = Buffer.from(text, "base64url").toString().split(" ");
  const valid = /^-?\d{1,17}$/.test(createdUs) && isUuid(id) && more.length === 0;
  if (!valid || encodeCursor({ createdUs, id }) !== text) {
    throw new BadInputError("cursor is not one that this API gave");
  }
  return { createdUs, id };
}

/** The `Link` header's value for the page after this one; filters and limit stay. */
export function nextLink(path: string, query: URLSearchParams, cursor: Cursor): string {
  const next = new URLSearchParams(query);
  next.set("cursor", encodeCursor(cursor));
  return `<${path}?${next}>; rel="next"`;
}

function single(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw new BadInputError(`${name} is given more than once`);
  return values[0];
}
