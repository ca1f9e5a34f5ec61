/** The gateway as the scripts use it: is it up, place an order, look at its status. */
import type { NewOrder, Order, OrderStatus } from "#lib/orders/order.ts";
import { factsOf } from "#lib/service/services.ts";
import { randomHex } from "./random-hex.ts";

/** Where it is on this machine, where nothing else is said. */
export const GATEWAY_URL = `http://localhost:${factsOf("gateway").port}`;
const REQUEST_TIMEOUT_MS = 10_000;
const HEALTH_TIMEOUT_MS = 5_000;

/**
 * Places an order.
 * @throws Error that says what was answered instead of 201, or that there was no answer within 10 s
 */
export async function placeOrder(
  gatewayUrl: string,
  order: NewOrder,
  signal?: AbortSignal,
): Promise<Order> {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(order),
  };
  const { status, text } = await answerOf(`${gatewayUrl}/orders`, request, signal);
  if (status === 201) return JSON.parse(text);
  throw new Error(`the gateway answers ${status} to POST /orders: ${text}`);
}

/**
 * Reads an order's status.
 * @throws Error that says what was answered instead of 200, or that there was no answer within 10 s
 */
export async function readStatus(
  gatewayUrl: string,
  orderId: string,
  signal?: AbortSignal,
): Promise<OrderStatus> {
  // Not sampled: the traces to be looked at are the orders', not those of our looking.
  const headers = { traceparent: `00-${randomHex(16)}-${randomHex(8)}-00` };
  const path = `/orders/${orderId}`;
  const { status, text } = await answerOf(gatewayUrl + path, { headers }, signal);
  const order: Partial<Order> = status === 200 ? JSON.parse(text) : {};
  if (order.status !== undefined) return order.status;
  throw new Error(`the gateway answers ${status} to GET ${path}: ${text}`);
}

/** Whether it lives; asked within 5 s. */
export async function isGatewayUp(gatewayUrl: string): Promise<boolean> {
  const url = `${gatewayUrl}/healthz`;
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    return (await fetch(url, { signal, ...pastProxy(url) })).ok;
  } catch {
    return false;
  }
}

/** Asks, and reads the answer to its end. @throws Error where there is none within 10 s */
export async function answerOf(url: string, request: RequestInit, signal?: AbortSignal) {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await fetch(url, {
    ...request,
    ...pastProxy(url),
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  return { status: response.status, text: await response.text() };
}

/** What listens on this machine is not behind the proxy that HTTP_PROXY names. */
function pastProxy(url: string): { proxy?: false } {
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  return isLocal ? { proxy: false } : {};
}
