/** Calls to the API, and what every error answer must look like. */
import { expect } from "bun:test";
import type { Order } from "#lib/orders/order.ts";
import { stack } from "./stack.ts";
import { until } from "./until.ts";

/** An answer, read to its end. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The body as JSON; undefined where it is none. */
  json: unknown;
}

/** Makes a call. A body that is no string is sent as JSON. */
export async function call(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const init: RequestInit = { method, redirect: "manual", headers };
  if (body !== undefined) {
    init.body = typeof body === "string" ? body : JSON.stringify(body);
    init.headers = { "content-type": "application/json", ...headers };
  }
  const response = await fetch(url, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

/** Words that only a stack, SQL or a library's own message has. */
const INTERNALS =
  /\bat \w+ \(|node_modules|\.ts:|\bSELECT\b|\bINSERT\b|\bUPDATE\b|ECONN|ERR_|violates|syntax error|elysia|typebox|kafkajs|ValidationError/i;

/** Asserts that an answer is an error in the house's form, and tells nothing of the inside. */
export function expectError(answer: Answer, status: number, text?: string | RegExp): void {
  expect({ status: answer.status, body: answer.json }).toEqual({
    status,
    body: { error: expect.any(String) },
  });
  const { error } = answer.json as { error: string };
  expect(error).not.toBe("");
  expect(error).not.toMatch(INTERNALS);
  expect(answer.headers.get("content-type")).toStartWith("application/json");
  if (text !== undefined) expect(error).toMatch(text);
}

export interface OrderLine {
  item_id: string;
  quantity: number;
  price: number;
}

/** A valid order of one item. */
export function newOrder(items: OrderLine[] = [line("ITEM-007")], customerId = "customer-1") {
  return { customer_id: customerId, items };
}

/** One line of an order. */
export function line(itemId: string, quantity = 1, price = 250): OrderLine {
  return { item_id: itemId, quantity, price };
}

/** Places an order at the gateway. @returns it, as answered with 201 */
export async function postOrder(
  order = newOrder(),
  headers: Record<string, string> = {},
): Promise<Order> {
  const { services } = await stack();
  const answer = await call("POST", `${services.gateway}/orders`, order, headers);
  expect(answer.status, answer.text).toBe(201);
  return answer.json as Order;
}

/** Waits until an order has one of some statuses. */
export async function waitForStatus(orderId: string, ...statuses: string[]): Promise<Order> {
  const { services } = await stack();
  return await until(`order ${orderId} is ${statuses.join(" or ")}`, async () => {
    const answer = await call("GET", `${services.orders}/orders/${orderId}`);
    const order = answer.json as Order;
    return answer.status === 200 && statuses.includes(order.status) ? order : undefined;
  });
}

/**
 * Writes an order straight into the database: no event, so the worker leaves it alone.
 * @param createdAt as PostgreSQL reads it; microseconds too
 */
export async function insertOrder(
  values: { status?: string; createdAt?: string; customerId?: string } = {},
): Promise<string> {
  const { status = "pending", createdAt = new Date().toISOString(), customerId = "c" } = values;
  const { sql } = await stack();
  const id = crypto.randomUUID();
  await sql`
    INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
    VALUES (${id}, ${customerId}, ${status}, 250, ${createdAt}::timestamptz, ${createdAt}::timestamptz)`;
  await sql`
    INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
    VALUES (${crypto.randomUUID()}, ${id}, 'ITEM-001', 1, 250)`;
  return id;
}

/**
 * Sends bytes as they are and reads the answer, for what `fetch` would correct or refuse to send.
 * @param request head and body; `Connection: close` must be among its headers
 */
export async function rawCall(url: string, request: string | Uint8Array): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let text = "";
  let toSend = Buffer.from(request);
  const send = (socket: { write(bytes: Uint8Array): number }) => {
    toSend = toSend.subarray(Math.max(0, socket.write(toSend)));
  };
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: send,
      drain: send,
      data: (_, bytes) => void (text += bytes.toString()),
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  try {
    await Promise.race([closed, Bun.sleep(10_000)]);
  } finally {
    socket.terminate();
  }
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [statusLine = "", ...headerLines] = head.split("\r\n");
  const headers = new Headers(
    headerLines.map((one) => {
      const colon = one.indexOf(":");
      return [one.slice(0, colon), one.slice(colon + 1).trim()] as [string, string];
    }),
  );
  const body = rest.join("\r\n\r\n");
  return { status: Number(statusLine.split(" ")[1]), headers, text: body, json: parsed(body) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
